"""A generator's weights, from a checkpoint or a file."""

import tensorflow as tf

from srez.errors import UserError, one_line
from srez.system import files


def restore(generator: tf.Module, path: str, part: str = "generator") -> None:
    """Put a checkpoint's weights, or those of a .weights.h5 file, into a generator. Raises UserError.

    part: "generator", or "average" for a training's exponential average (gene_ema).
    """
    try:
        if path.endswith(".h5"):
            _load_weights(generator, path)
        else:
            status = tf.train.Checkpoint(**{part: generator}).restore(path)
            status.assert_existing_objects_matched().expect_partial()
    except (OSError, KeyError, IndexError, ValueError, AssertionError, tf.errors.OpError) as error:
        raise UserError(
            f"'{path}' does not hold the weights of this network ({one_line(error)})",
            "name the folder of the same training, --checkpoint=N takes another of its checkpoints",
        ) from None


def _load_weights(generator: tf.Module, path: str) -> None:
    with files.local_copy(path) as local:
        generator.load_weights(local)
