"""Picture quality as a table: one figure per picture, of output, label and feature in [0, 1].

Protocol: RGB as stored (no colour conversion), the whole picture without a border left off, output clipped to
[0, 1] beforehand. SSIM: Gaussian window 11x11, sigma 1.5, K1 0.01, K2 0.03, mean over channels and over the
positions where the window fits (Wang et al. 2004).
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from srez.metrics.perceptual import lpips

MIN_SQUARED_ERROR = 1e-10  # mean squared error below it counts as this: 100 dB
LONE_PIXEL_LIMIT = 0.12  # beyond all eight neighbours by more is a dot to the eye; edges and lines are not


def psnr(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """PSNR of pictures [B, h, w, c] in [0, 1], dB, [B]; at most 100."""
    error = mean_squared_error(one, other)
    return -10 / tf.math.log(10.0) * tf.math.log(tf.maximum(error, MIN_SQUARED_ERROR))


def ssim(output: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """SSIM of pictures [B, h, w, 3], [B]."""
    return tf.image.ssim(output, label, max_val=1.0, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03)


def consistency(output: tf.Tensor, feature: tf.Tensor) -> tf.Tensor:
    """PSNR between the input and the output averaged down to the input's size, dB, [B]."""
    factor = output.shape[1] // feature.shape[1]
    return psnr(tf.nn.avg_pool2d(output, factor, factor, "VALID"), feature)


def beyond_neighbours(pictures: tf.Tensor) -> tf.Tensor:
    """How far each value lies outside the range of its eight neighbours, 0 inside; [B, h, w, c]."""
    height, width = pictures.shape[1:3]
    padded = tf.pad(pictures, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")
    places = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    around = tf.stack([padded[:, y : y + height, x : x + width] for y, x in places])
    above, below = pictures - tf.reduce_max(around, 0), tf.reduce_min(around, 0) - pictures
    return tf.nn.relu(tf.maximum(above, below))


def lone_pixels(pictures: tf.Tensor) -> tf.Tensor:
    """How many pixels stand out alone in any channel, [B]: the dots that some critics let through."""
    alone = tf.reduce_any(beyond_neighbours(pictures) > LONE_PIXEL_LIMIT, axis=-1)
    return tf.reduce_sum(tf.cast(alone, tf.float32), axis=[1, 2])


def mean_squared_error(output: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Mean squared error of pictures [B, h, w, c], [B]."""
    return tf.reduce_mean(tf.math.squared_difference(output, label), axis=[1, 2, 3])


Metric = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
METRICS: dict[str, Metric] = {
    "psnr": lambda output, label, feature: psnr(output, label),
    "ssim": lambda output, label, feature: ssim(output, label),
    "consistency": lambda output, label, feature: consistency(output, feature),
}
# the table of --run eval
EVAL_METRICS = METRICS | {
    "lpips": lambda output, label, feature: lpips(output, label),
    "l1": lambda output, label, feature: tf.reduce_mean(tf.abs(output - label), axis=[1, 2, 3]),
    "mse": lambda output, label, feature: mean_squared_error(output, label),
    "lone": lambda output, label, feature: lone_pixels(output),
}
# 2017's two: summed over pixels and channels
METRICS_OF_2017: dict[str, Metric] = {
    "l1_quality": lambda output, label, feature: tf.reduce_sum(tf.abs(output - label), axis=[1, 2, 3]),
    "mse_quality": lambda output, label, feature: tf.reduce_sum(
        tf.math.squared_difference(output, label), axis=[1, 2, 3]
    ),
}


def measure(
    output: tf.Tensor, label: tf.Tensor, feature: tf.Tensor, metrics: Mapping[str, Metric] = METRICS
) -> dict[str, float]:
    """Mean of every metric over pictures [B, ...], the output clipped to [0, 1] first."""
    output = tf.clip_by_value(output, 0.0, 1.0)
    return {name: float(tf.reduce_mean(metric(output, label, feature))) for name, metric in metrics.items()}
