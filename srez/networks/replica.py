"""What happens inside a replica of a training that has several."""

from typing import Any

import tensorflow as tf

# ---- within a replica ------------------------------------------------------------------------------


def replica_index() -> tf.Tensor:
    """This replica's number among all, from 0."""
    return tf.convert_to_tensor(tf.distribute.get_replica_context().replica_id_in_sync_group)


def in_sync() -> int:
    """How many replicas train together; 1 outside of a replica."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def mean_over_replicas(values: Any) -> Any:
    """Means of tensors, in any structure, over all replicas; differentiable any number of times.

    The gradient is that of the sum of all replicas' results.
    """
    if in_sync() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)


def total(values: tf.Tensor) -> tf.Tensor:
    """The sum over all replicas."""
    context = tf.distribute.get_replica_context()
    # what comes from outside of the replica has no device yet, and is refused
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(values))


def of_first(values: tf.Tensor) -> tf.Tensor:
    """Those of the first replica, on all."""
    return total(tf.where(tf.equal(replica_index(), 0), values, tf.zeros_like(values)))


def assign(variable: Any, value: tf.Tensor) -> None:
    """Set this replica's copy of a variable, TensorFlow's or Keras', where all set theirs to the same value.

    `variable.assign` would exchange the values first.
    """
    if not isinstance(variable, tf.Variable):
        variable = variable.value
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
