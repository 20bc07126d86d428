"""Layers of generator and critic, as Keras layers."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf
from tensorflow import Tensor

from srez.networks.replica import assign, mean_over_replicas, replica_count

BATCH_NORM_EPSILON, LAYER_NORM_EPSILON = 1e-3, 1e-12
BATCH_AXES = [0, 1, 2]
# up to so many pixels XLA gives the sum of a channel to one block of a GPU, and the others wait, unless it is
# taken picture by picture
ONE_BLOCK = 4096
MOMENTUM = 0.99

# variance of the initial weights, times sqrt(in * out) * kernel^2
GAIN_RESIDUAL, GAIN_LINEAR, GAIN_BEFORE_RELU = 1e-3, 1.0, 2.0


class Kernel(keras.layers.Layer):
    """A layer with a kernel [size, size, in, width] and an offset per channel."""

    def __init__(self, width: int, size: int = 3, gain: float = GAIN_BEFORE_RELU, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.size, self.gain, self.seed = width, size, gain, seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        inputs = input_shape[-1]
        stddev = math.sqrt(self.gain / (math.sqrt(inputs * self.width) * self.size**2))
        self.kernel = self.add_weight(
            shape=(self.size, self.size, inputs, self.width),
            initializer=keras.initializers.TruncatedNormal(stddev=stddev, seed=self.seed),
            name="kernel",
        )
        self.offset = self.add_weight(shape=(self.width,), initializer="zeros", name="offset")

    def get_config(self) -> dict[str, Any]:
        config = {"width": self.width, "size": self.size, "gain": self.gain, "seed": self.seed}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("srez")
class Conv(Kernel):
    """Convolution, SAME padding: [B, h, w, in] -> [B, ceil(h/stride), ceil(w/stride), width]."""

    def __init__(self, width: int, size: int = 3, stride: int = 1, **kwargs):
        super().__init__(width, size, **kwargs)
        self.stride = stride

    def call(self, x: Tensor) -> Tensor:
        x = tf.nn.conv2d(x, self.kernel, self.stride, "SAME")
        return tf.nn.bias_add(x, self.offset)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable("srez")
class SpectralConv(Conv):
    """Convolution whose kernel is divided by its largest singular value, as [size * size * in, width].

    One step of power iteration in every training pass, its vector kept (Miyato et al. 2018, algorithm 1).
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.direction = self.add_weight(
            shape=(1, self.width),
            initializer=keras.initializers.RandomNormal(seed=self.seed),
            trainable=False,
            autocast=False,
            name="direction",
        )

    def call(self, x: Tensor, training: bool = False, groups: int = 0) -> Tensor:
        """groups: how many equal parts of the batch each have a step, and so a kernel, of their own."""
        if not groups:
            kernel = tf.cast(self.kernel / tf.cast(self._largest(training), self.kernel.dtype), x.dtype)
            return tf.nn.bias_add(tf.nn.conv2d(x, kernel, self.stride, "SAME"), self.offset)
        parts = tf.split(tf.nn.conv2d(x, self.kernel, self.stride, "SAME"), groups)
        y = tf.concat([part / tf.cast(self._largest(training), x.dtype) for part in parts], 0)
        return tf.nn.bias_add(y, self.offset)

    def _largest(self, training: bool) -> Tensor:
        """The estimate of the largest singular value, float32; in training after a step of the iteration."""
        matrix = tf.reshape(tf.cast(self.kernel, tf.float32), [-1, self.width])
        right = tf.convert_to_tensor(self.direction)
        left = tf.math.l2_normalize(tf.stop_gradient(tf.matmul(right, matrix, transpose_b=True)))
        if training:
            right = tf.math.l2_normalize(tf.stop_gradient(tf.matmul(left, matrix)))
            assign(self.direction, right)
        else:
            right = tf.math.l2_normalize(right)
        return tf.reduce_sum(tf.matmul(left, matrix) * right)


@keras.saving.register_keras_serializable("srez")
class Deconv(Kernel):
    """Transposed convolution with stride 2, SAME padding: [B, h, w, in] -> [B, 2h, 2w, width]."""

    def call(self, x: Tensor) -> Tensor:
        return tf.nn.bias_add(transposed_conv(x, self.kernel, "SAME"), self.offset)


@keras.saving.register_keras_serializable("srez")
class UpscaleConv(Kernel):
    """Nearest x2, then a 3x3 transposed convolution with stride 1: [B, h, w, in] -> [B, 2h, 2w, width].

    Done as one transposed convolution with stride 2: the same numbers, borders included, for 4/9 of the
    multiplications in use and 1/4 in training.
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if training:  # sums over 2x2 pixels; times 4, which is exact, the fused kernel's means are sums
            y = tf.nn.avg_pool2d(transposed_conv(x, 4 * self.kernel, "VALID"), 2, 1, "VALID")
        else:  # TensorFlow keeps memory of x's size for every size that it has seen VALID padding with
            y = transposed_conv(x, self.merged(), "SAME")
        return tf.nn.bias_add(y, self.offset)

    def merged(self) -> Tensor:
        """Kernel [4, 4, in, width] with those sums in it: the 3x3 one, summed over its shifts by 0 or 1."""
        shifts = [[i, 1 - i] for i in (0, 1)]
        return sum(tf.pad(self.kernel, [down, right, [0, 0], [0, 0]]) for down in shifts for right in shifts)


def transposed_conv(x: Tensor, kernel: Tensor, padding: str) -> Tensor:
    """Transposed convolution with stride 2 of [B, h, w, in] and a kernel [k, k, in, out].

    [B, 2h, 2w, out] with SAME padding, [B, 2h + k - 2, 2w + k - 2, out] with VALID.
    """
    batch, height, width = tf.unstack(tf.shape(x)[:3])
    more = kernel.shape[0] - 2 if padding == "VALID" else 0
    shape = [batch, 2 * height + more, 2 * width + more, kernel.shape[-1]]
    y = tf.nn.conv2d_transpose(x, tf.transpose(kernel, [0, 1, 3, 2]), shape, 2, padding)
    height, width = (None if n is None else 2 * n + more for n in x.shape[1:3])
    return tf.ensure_shape(y, [x.shape[0], height, width, kernel.shape[-1]])


def normalize(x: Tensor, axes: list[int], epsilon: float, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x with mean 0 and variance 1 over `axes`, plus an offset; mean and variance, float32.

    Where the axes include the batch's, it is the whole batch of all replicas.
    """
    over_all = mean_over_replicas if 0 in axes else tf.identity
    y = tf.cast(x, tf.float32)
    mean = over_all(tf.reduce_mean(y, axes, keepdims=True))
    y -= mean
    variance = over_all(tf.reduce_mean(tf.square(y), axes, keepdims=True))
    y = y * tf.math.rsqrt(variance + epsilon) + offset
    return tf.cast(y, x.dtype), mean, variance


def normalize_groups(x: Tensor, groups: int, epsilon: float, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm of each of `groups` equal parts of a batch by itself, plus an offset [channels].

    [B, h, w, channels] -> the same; mean and variance [groups, 1, 1, channels], float32. Moments in one pass
    over x, the gradient as one formula (Ioffe and Szegedy 2015, section 3) which cannot be differentiated
    again: for a GPU, to which each pass is a kernel.
    """
    batch, height, width = (tf.shape(x)[i] if n is None else n for i, n in enumerate(x.shape[:3]))
    parts = tf.reshape(x, [groups, batch // groups, height * width, x.shape[-1]])
    y, mean, variance = _normalize_parts(parts, offset, epsilon)
    return tf.reshape(y, tf.shape(x)), mean, variance


def _normalize_parts(x: Tensor, offset: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """normalize_groups of [groups, N, pixels, channels]."""
    pixels = tf.TensorShape(x.shape[1:3]).num_elements()

    def average(y: Tensor) -> Tensor:
        if pixels and pixels > ONE_BLOCK:
            return tf.reduce_mean(y, [1, 2], keepdims=True)
        return tf.reduce_mean(tf.reduce_mean(y, 2, keepdims=True), 1, keepdims=True)

    @tf.custom_gradient
    def normalized(x: Tensor, offset: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Callable]:
        y = tf.cast(x, tf.float32)
        mean = average(y)
        variance = tf.maximum(average(tf.square(y)) - tf.square(mean), 0.0)
        scale = tf.math.rsqrt(variance + epsilon)

        def gradients(upstream: Tensor, *of_moments: Tensor) -> tuple[Tensor, Tensor]:
            up, y = tf.cast(upstream, tf.float32), (tf.cast(x, tf.float32) - mean) * scale
            up_mean, along = average(up), average(up * y)
            count = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)
            of_offset = count * tf.reduce_sum(up_mean, [0, 1, 2])
            return tf.cast(scale * (up - up_mean - along * y), x.dtype), of_offset

        return (tf.cast((y - mean) * scale + offset, x.dtype), mean, variance), gradients

    return normalized(x, offset)


@keras.saving.register_keras_serializable("srez")
class GeneratorNorm(keras.layers.Layer):
    """Batch norm with an offset and no scale, through TensorFlow's fused kernel.

    In training the batch's own statistics (2017 knew nothing else); otherwise moving averages with bias
    correction; mean 0 and variance 1 before the first update.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (input_shape[-1],)
        self.offset = self.add_weight(shape=shape, initializer="zeros", name="offset")
        moving = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(shape=shape, name="moving_mean", **moving)
        self.moving_variance = self.add_weight(shape=shape, name="moving_variance", **moving)
        self.moving_weight = self.add_weight(shape=(), name="moving_weight", **moving)

    def call(self, x: Tensor, training: bool = False, groups: int = 0, moving: bool = True) -> Tensor:
        """groups: 1 in training that XLA compiles, which makes few kernels of the formula then.

        moving: whether the averages move on, in training.
        """
        offset = tf.cast(self.offset, tf.float32)
        scale = tf.ones_like(offset)
        if training and groups:
            y, mean, variance = normalize_groups(x, groups, BATCH_NORM_EPSILON, offset)
        elif not training:
            mean, variance = self.averages()
            y, *_ = tf.compat.v1.nn.fused_batch_norm(
                x, scale, offset, mean, variance, BATCH_NORM_EPSILON, is_training=False
            )
        elif replica_count() > 1:  # the kernel knows its own replica only
            y, mean, variance = normalize(x, BATCH_AXES, BATCH_NORM_EPSILON, offset)
        else:
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, scale, offset, epsilon=BATCH_NORM_EPSILON)
            count = tf.cast(tf.size(x) // tf.shape(x)[-1], tf.float32)
            variance *= (count - 1) / count  # it returns the unbiased one
        if training and moving:
            self._update_averages(tf.squeeze(mean), tf.squeeze(variance))
        return y

    def get_config(self) -> dict[str, Any]:
        # Keras' own default refuses the dtype policy among the arguments
        return super().get_config()

    def averages(self) -> tuple[Tensor, Tensor]:
        """Mean and variance [channels], bias corrected; 0 and 1 before the first update."""
        weight = tf.convert_to_tensor(self.moving_weight)
        divisor = tf.where(weight > 0, weight, 1.0)
        variance = tf.where(weight > 0, self.moving_variance / divisor, 1.0)
        return self.moving_mean / divisor, variance

    def _update_averages(self, mean: Tensor, variance: Tensor) -> None:
        for average, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
            (self.moving_weight, tf.ones([])),
        ):
            assign(average, MOMENTUM * average + (1 - MOMENTUM) * tf.stop_gradient(value))


@keras.saving.register_keras_serializable("srez")
class CriticNorm(keras.layers.Layer):
    """Mean and variance over `axes`, an offset per channel, no scale, no moving averages.

    Written out, since the gradient penalty differentiates through the statistics twice.
    """

    def __init__(self, axes: Iterable[int], epsilon: float, **kwargs):
        super().__init__(**kwargs)
        self.axes, self.epsilon = list(axes), epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

    def call(self, x: Tensor, groups: int = 0) -> Tensor:
        """groups: how many equal parts of the batch are each normalized by themselves; 0: the whole is."""
        offset = tf.cast(self.offset, tf.float32)
        if not groups or 0 not in self.axes:
            y, *_ = normalize(x, self.axes, self.epsilon, offset)
            return y
        y, *_ = normalize_groups(x, groups, self.epsilon, offset)
        return y

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "epsilon": self.epsilon}
