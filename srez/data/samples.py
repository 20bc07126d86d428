"""Crops -> labels and features: colour jitter, area averaging, flips, on whole batches."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from srez.options.config import Config


@dataclass(frozen=True)
class Batch:
    """Samples: label [B, S, S, 3] in [0, 1]; feature [B, s, s, 3] in [0, 1], or noise in [-1, 1]."""

    label: tf.Tensor
    feature: tf.Tensor


def centre_crop(window: np.ndarray, size: int) -> np.ndarray:
    """The crop [size, size, 3] in the middle of a window [h, w, 3]."""
    y, x = (window.shape[0] - size) // 2, (window.shape[1] - size) // 2
    return window[y : y + size, x : x + size]


def area_resize(pictures: tf.Tensor, size: int) -> tf.Tensor:
    """Area-averaged [B, size, size, 3] of square pictures [B, n, n, 3], n >= size."""
    side = pictures.shape[1]
    factor, rest = divmod(side, size)
    if not rest:  # rows, then columns: a compiler makes more of this than of pooling
        rows = sum(pictures[:, i::factor] for i in range(factor))
        return sum(rows[:, :, i::factor] for i in range(factor)) / factor**2
    edges = np.arange(size + 1)[:, None] * side / size
    # [size + 1, side] -> [size, side]: how much of each pixel lies before an edge, then between two
    shares = (np.diff(np.clip(edges - np.arange(side), 0, 1), axis=0) * size / side).astype(np.float32)
    return tf.einsum("ij,bjkc,lk->bilc", shares, pictures, shares)


def jitter_colours(pictures: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """2017's colour augmentation of pictures [B, C, C, 3] in [0, 1] with amounts [B, 3] in [-1, 1].

    Saturation times 0.95..1.05 (in HSV, hue and value kept), plus brightness -0.05..0.05, contrast times
    0.95..1.05 around each channel's mean; clipped to [0, 1].
    """
    saturation, brightness, contrast = tf.unstack(amounts[:, :, None, None] * 0.05, axis=1)
    red, green, blue = tf.unstack(pictures, axis=-1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    # saturation is chroma / value and may not pass 1
    factor = tf.minimum(1 + saturation, value / tf.maximum(chroma, 1e-6))
    # a plane a channel, and means of columns first: sums along the last axis are slow
    planes = tf.stack([value + factor * (plane - value) + brightness for plane in (red, green, blue)], axis=1)
    means = tf.reduce_mean(tf.reduce_mean(planes, axis=2, keepdims=True), axis=3, keepdims=True)
    planes = tf.clip_by_value(means + (1 + contrast[:, None]) * (planes - means), 0.0, 1.0)
    return tf.transpose(planes, [0, 2, 3, 1])


@tf.function(autograph=False)
def prepare(
    crops: tf.Tensor, random: tf.Tensor, batches: int, config: Config
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Label and feature of each of several equal batches, `crops` and `random` as in `prepare_batch`.

    Each by itself: what lies between the passes over it, 200 kB a sample, then stays in the cache.
    """
    parts = zip(tf.split(crops, batches), tf.split(random, batches), strict=True)
    return [prepare_batch(*part, config) for part in parts]


@tf.function(autograph=False, jit_compile=True)
def prepare_batch(crops: tf.Tensor, random: tf.Tensor, config: Config) -> tuple[tf.Tensor, tf.Tensor]:
    """Label and feature of uint8 crops [B, C, C, 3]: colour jitter, area averaging, flips.

    random [B, 4] in [0, 1), float64: whether to flip; saturation, brightness and contrast. Flipping
    commutes with the others and is cheapest at the end.
    """
    jittered = jitter_colours(tf.cast(crops, tf.float32) / 255.0, tf.cast(2 * random[:, 1:] - 1, tf.float32))
    label = area_resize(jittered, config.sample_size)
    label = tf.where((random[:, 0] < 0.5)[:, None, None, None], label[:, :, ::-1], label)
    return label, area_resize(label, config.input_size)


def shared_tensor(numbers: np.ndarray) -> tf.Tensor:
    """A tensor in the memory of an `aligned_bytes` array, not copied: it must not be changed any more."""
    return tf.experimental.dlpack.from_dlpack(numbers.__dlpack__())


def grid_columns(
    output: np.ndarray, label: np.ndarray, feature: np.ndarray, config: Config
) -> list[np.ndarray]:
    """The columns of a grid, one face a row, [n, S, S, 3] each, not clipped.

    Nearest, bicubic, generated, truth; for noise input noise, generated: as layout.GRID_COLUMNS names them.
    """
    size = [config.sample_size, config.sample_size]
    if config.noise_input:
        nearest = tf.image.resize((feature + 1) / 2, size, method="nearest")
        return [nearest.numpy(), output]
    enlarged = [tf.image.resize(feature, size, method=method).numpy() for method in ("nearest", "bicubic")]
    return [*enlarged, output, np.asarray(label)]
