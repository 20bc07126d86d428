"""What happens inside a replica of a training that has several."""

from typing import Any

import tensorflow as tf


def replica_index() -> tf.Tensor:
    """The number of the replica that asks, counted from 0 over all workers."""
    return tf.convert_to_tensor(tf.distribute.get_replica_context().replica_id_in_sync_group)


def replica_count() -> int:
    """How many replicas train together; 1 outside of a replica."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def mean_over_replicas(values: Any) -> Any:
    """Means of tensors, in any structure, over all replicas; differentiable any number of times.

    The gradient is that of the sum of all replicas' results.
    """
    if replica_count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)


def sum_over_replicas(values: tf.Tensor) -> tf.Tensor:
    """The sum of each replica's tensor, the same on all."""
    context = tf.distribute.get_replica_context()
    # what comes from outside of the replica has no device yet, and is refused
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(values))


def of_first_replica(values: tf.Tensor) -> tf.Tensor:
    """The first replica's tensor, given to all replicas."""
    return sum_over_replicas(tf.where(tf.equal(replica_index(), 0), values, tf.zeros_like(values)))


def assign(variable: Any, value: tf.Tensor) -> None:
    """Set this replica's copy of a variable, TensorFlow's or Keras', where all set theirs to the same value.

    `variable.assign` would exchange the values first.
    """
    if not isinstance(variable, tf.Variable):
        variable = variable.value
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
