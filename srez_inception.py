"""Features of pictures for FID and KID: Keras' InceptionV3, where its weights are at hand."""

import os
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import srez_files
from srez_config import KERAS_CACHE, UserError
from srez_quiet import one_line

FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
SIDE, AT_ONCE = 299, 16
HOW = (
    f"no FID and KID: Keras' InceptionV3 weights ({FILE}) are neither in Keras' cache nor named by "
    '--inception_weights; python3 -c "import keras; keras.applications.InceptionV3(include_top=False)" '
    "fetches them"
)


def inception(weights: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from pictures [N, h, w, 3] in [0, 1] to features [N, 2048]; None where weights are missing.

    Raises UserError where a file that was named cannot be used.
    """
    if weights == KERAS_CACHE:
        home = os.environ.get("KERAS_HOME", os.path.join(os.path.expanduser("~"), ".keras"))
        weights = os.path.join(home, "models", FILE)
        if not srez_files.exists(weights):
            return None
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    try:
        with srez_files.local_copy(weights) as local:
            network.load_weights(local)
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise UserError(
            f"--inception_weights={weights}: not the weights of Keras' InceptionV3 without its top "
            f"({one_line(error)})"
        ) from None
    infer = tf.function(lambda x: network(2 * tf.image.resize(x, [SIDE, SIDE]) - 1, training=False))

    def features(pictures: np.ndarray) -> np.ndarray:
        parts = [infer(pictures[i : i + AT_ONCE]).numpy() for i in range(0, len(pictures), AT_ONCE)]
        return np.concatenate(parts).astype(np.float64)

    return features
