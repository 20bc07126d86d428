"""LPIPS, which tells how different two pictures look, and features for distances of sets: by AlexNet.

LPIPS version 0.1 (Zhang et al. 2018) with torchvision's AlexNet, which was trained on ImageNet. The weights,
float16, and their licences lie beside this module; scripts/alexnet_weights.py made the file.
"""

import functools
from collections.abc import Callable
from importlib import resources

import numpy as np
import tensorflow as tf

WEIGHTS_FILE = "alexnet_lpips.npz"
FEATURES = 256  # channels of the last convolution
BATCH = 32  # pictures in the network at once
# ImageNet's means and deviations by channel, of values -1..1, as LPIPS rounds them
SHIFT, SCALE = np.float32([-0.030, -0.088, -0.188]), np.float32([0.458, 0.448, 0.450])
SHORTEST = 1e-10  # what LPIPS adds to the length that it divides by
STRIDES, PADDINGS, POOLED = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1), (False, True, True, False, False)

Pictures = np.ndarray | tf.Tensor


def lpips(one: Pictures, other: Pictures) -> tf.Tensor:
    """LPIPS of pictures [B, h, w, 3] in [0, 1] and as many others of their size, [B]; 0: they look the same.

    Sides of at least 32 pixels: of smaller ones nothing is left after the second pooling.
    """
    starts = range(0, len(one), BATCH)
    pairs = ([embed_with_features(p[i : i + BATCH])[0] for p in (one, other)] for i in starts)
    return tf.concat([squared_distance(*pair) for pair in pairs], axis=0)


def squared_distance(one: Pictures, other: Pictures) -> tf.Tensor:
    """Squared distances of points [B, D] and as many others, [B]: LPIPS of what was embedded."""
    return tf.reduce_sum(tf.math.squared_difference(one, other), axis=1)


def features(pictures: Pictures) -> np.ndarray:
    """Features [B, 256], float64, of pictures [B, h, w, 3] in [0, 1], for distances of sets of pictures.

    The last convolution's channels, divided by their length at each position as in LPIPS, then the mean over
    positions; times 16, so that the mean square at a position is 1. Sides of at least 32 pixels.
    """
    return embed_with_features(pictures)[1]


def embed_with_features(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """Points [B, D] whose squared distance is LPIPS, and `features`, of pictures [B, h, w, 3] in [0, 1].

    By one pass through the network. D depends on the pictures' size: 31,872 for 64x64.
    """
    infer = _on_processor()
    parts = [infer(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
    embedded, found = (np.concatenate(part) for part in zip(*parts, strict=True))
    return embedded, found.astype(np.float64)


def lpips_loss(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Mean LPIPS of pictures [B, h, w, 3] and as many others, a scalar that can be differentiated.

    Computed where the caller is, not on the processor. Pictures need not be clipped to [0, 1].
    """
    return tf.reduce_mean(squared_distance(_infer(one)[0], _infer(other)[0]))


@functools.cache
def _on_processor() -> Callable[[Pictures], tuple[tf.Tensor, tf.Tensor]]:
    """`_infer` compiled once, on the processor, so that a figure does not depend on the machine."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])], autograph=False)
    def infer(pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.device("CPU:0"):
            return _infer(pictures)

    return infer


def _infer(pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What `embed_with_features` gives, in float32.

    The weights are constants: no policy of precision, no strategy and no checkpoint takes them for a part of
    what is trained.
    """
    x, embedded = (2 * pictures - 1 - SHIFT) / SCALE, []
    for (kernel, bias, weight), stride, padding, pooled in zip(
        _weights(), STRIDES, PADDINGS, POOLED, strict=True
    ):
        if pooled:
            x = tf.nn.max_pool2d(x, 3, 2, "VALID")
        around = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, stride, around) + bias)
        # a position where nothing is active has length 0, of which a norm has no gradient
        length = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(x), axis=-1, keepdims=True), SHORTEST**2))
        directions = x / (length + SHORTEST)
        shape = tf.shape(x)
        positions = tf.cast(shape[1] * shape[2], tf.float32)
        embedded.append(tf.reshape(directions * tf.sqrt(weight / positions), [shape[0], -1]))
    means = tf.reduce_mean(directions, axis=[1, 2])
    return tf.concat(embedded, axis=1), means * FEATURES**0.5


@functools.cache
def _weights() -> list[list[np.ndarray]]:
    """Of each convolution the kernel, the bias and LPIPS' weights of its channels."""
    with resources.files("srez.metrics").joinpath(WEIGHTS_FILE).open("rb") as file:
        stored = {name: array.astype(np.float32) for name, array in np.load(file, allow_pickle=False).items()}
    return [[stored[f"{part}_{n}"] for part in ("kernel", "bias", "weight")] for n in range(len(STRIDES))]
