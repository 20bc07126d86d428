"""Generator and critic: Keras functional models, written as x = block(x)."""

import math
import zlib
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from srez_config import Config

GENERATOR_STAGES = {2: (256,), 4: (256, 128), 8: (256, 256, 128), 16: (256, 256, 128, 128)}
LAST_WIDTH = 96
CRITIC_WIDTHS = (64, 128, 256, 512)
BATCH_NORM_EPSILON, LAYER_NORM_EPSILON = 1e-3, 1e-12
MOMENTUM = 0.99

# variance of the initial weights, times sqrt(in * out) * kernel^2
GAIN_RESIDUAL, GAIN_LINEAR, GAIN_BEFORE_RELU = 1e-3, 1.0, 2.0


# ---- layers ----------------------------------------------------------------------------------------


class _Kernel(keras.layers.Layer):
    """A layer with a kernel [size, size, in, width] and an offset per channel."""

    def __init__(self, width: int, size: int = 3, gain: float = GAIN_BEFORE_RELU, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.size, self.gain, self.seed = width, size, gain, seed

    def build(self, input_shape):
        inputs = input_shape[-1]
        stddev = math.sqrt(self.gain / (math.sqrt(inputs * self.width) * self.size**2))
        self.kernel = self.add_weight(
            shape=(self.size, self.size, inputs, self.width),
            initializer=keras.initializers.TruncatedNormal(stddev=stddev, seed=self.seed),
            name="kernel",
        )
        self.offset = self.add_weight(shape=(self.width,), initializer="zeros", name="offset")

    def get_config(self):
        config = {"width": self.width, "size": self.size, "gain": self.gain, "seed": self.seed}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("srez")
class Conv(_Kernel):
    """Convolution, SAME padding: [B, h, w, in] -> [B, ceil(h/stride), ceil(w/stride), width]."""

    def __init__(self, width: int, size: int = 3, stride: int = 1, **kwargs):
        super().__init__(width, size, **kwargs)
        self.stride = stride

    def call(self, x):
        x = tf.nn.conv2d(x, self.kernel, self.stride, "SAME")
        return tf.nn.bias_add(x, self.offset)

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable("srez")
class Deconv(_Kernel):
    """Transposed convolution with stride 2, SAME padding: [B, h, w, in] -> [B, 2h, 2w, width]."""

    def call(self, x):
        return tf.nn.bias_add(enlarge(x, tf.transpose(self.kernel, [0, 1, 3, 2])), self.offset)


@keras.saving.register_keras_serializable("srez")
class UpscaleConv(_Kernel):
    """Nearest x2, then a 3x3 transposed convolution with stride 1: [B, h, w, in] -> [B, 2h, 2w, width].

    Done as one transposed convolution with stride 2, whose 4x4 kernel is the sum of the 3x3 one shifted by
    0 or 1 each way: the same numbers for 4/9 of the multiplications, borders included.
    """

    def call(self, x):
        return tf.nn.bias_add(enlarge(x, self.merged()), self.offset)

    def merged(self) -> tf.Tensor:
        """The kernel of the one transposed convolution, [4, 4, width, in]."""
        kernel = tf.transpose(self.kernel, [0, 1, 3, 2])
        return sum(tf.pad(kernel, [[i, 1 - i], [j, 1 - j], [0, 0], [0, 0]]) for i in (0, 1) for j in (0, 1))


def enlarge(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Transposed convolution with stride 2 and a kernel [k, k, out, in]."""
    batch, height, width = tf.unstack(tf.shape(x)[:3])
    y = tf.nn.conv2d_transpose(x, kernel, [batch, 2 * height, 2 * width, kernel.shape[2]], 2, "SAME")
    height, width = (None if n is None else 2 * n for n in x.shape[1:3])
    return tf.ensure_shape(y, [x.shape[0], height, width, kernel.shape[2]])


@keras.saving.register_keras_serializable("srez")
class GeneratorNorm(keras.layers.Layer):
    """Batch norm with an offset and no scale, through TensorFlow's fused kernel.

    In training the batch's own statistics (2017 knew nothing else); otherwise moving averages with bias
    correction; mean 0 and variance 1 before the first update.
    """

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.offset = self.add_weight(shape=shape, initializer="zeros", name="offset")
        moving = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(shape=shape, name="moving_mean", **moving)
        self.moving_variance = self.add_weight(shape=shape, name="moving_variance", **moving)
        self.moving_weight = self.add_weight(shape=(), name="moving_weight", **moving)
        self.keeps_averages = True

    def call(self, x, training=False):
        offset = tf.cast(self.offset, tf.float32)
        scale = tf.ones_like(offset)
        if not training:
            mean, variance = self.averages()
            y, *_ = tf.compat.v1.nn.fused_batch_norm(
                x, scale, offset, mean, variance, BATCH_NORM_EPSILON, is_training=False
            )
            return y
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, scale, offset, epsilon=BATCH_NORM_EPSILON)
        if self.keeps_averages:
            count = tf.cast(tf.size(x) // tf.shape(x)[-1], tf.float32)
            self._update(mean, variance * (count - 1) / count)  # the kernel returns the unbiased variance
        return y

    def get_config(self):
        # Keras' own default refuses the dtype policy among the arguments
        return super().get_config()

    def averages(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance [channels], bias corrected; 0 and 1 before the first update."""
        weight = tf.convert_to_tensor(self.moving_weight)
        divisor = tf.where(weight > 0, weight, 1.0)
        variance = tf.where(weight > 0, self.moving_variance / divisor, 1.0)
        return self.moving_mean / divisor, variance

    def _update(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        for average, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
            (self.moving_weight, tf.ones([])),
        ):
            average.assign(MOMENTUM * average + (1 - MOMENTUM) * tf.stop_gradient(value))


@keras.saving.register_keras_serializable("srez")
class CriticNorm(keras.layers.Layer):
    """Mean and variance over `axes`, an offset per channel, no scale, no moving averages.

    Written out, since the gradient penalty differentiates through the statistics twice.
    """

    def __init__(self, axes: Iterable[int], epsilon: float, **kwargs):
        super().__init__(**kwargs)
        self.axes, self.epsilon = list(axes), epsilon

    def build(self, input_shape):
        self.offset = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="offset")

    def call(self, x):
        y = tf.cast(x, tf.float32)
        y -= tf.reduce_mean(y, self.axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(y), self.axes, keepdims=True)
        y = y * tf.math.rsqrt(variance + self.epsilon) + tf.cast(self.offset, tf.float32)
        return tf.cast(y, x.dtype)

    def get_config(self):
        return {**super().get_config(), "axes": self.axes, "epsilon": self.epsilon}


# ---- tables ----------------------------------------------------------------------------------------

CRITIC_NORMS: dict[str, Callable] = {
    "batch": lambda **kwargs: CriticNorm((0, 1, 2), BATCH_NORM_EPSILON, **kwargs),
    "layer": lambda **kwargs: CriticNorm((1, 2, 3), LAYER_NORM_EPSILON, **kwargs),
    "none": lambda **kwargs: keras.layers.Identity(**kwargs),
}


class _Maker:
    """Makes layers of one network with its precision, its width and a seed of its own for each."""

    def __init__(self, config: Config, network: str):
        self.policy = keras.dtype_policies.DTypePolicy(
            config.precision if config.precision == "float32" else f"mixed_{config.precision}"
        )
        self.width, self.normed = config.width, config.gen_norm == 1
        self.name, self.layers = f"{config.random_seed} {network}", 0

    def channels(self, width: int) -> int:
        return max(1, round(width * self.width))

    def layer(self, kind: type[_Kernel], width: int, *args, **kwargs) -> _Kernel:
        self.layers += 1
        seed = zlib.crc32(f"{self.name} {self.layers}".encode()) >> 1
        return kind(width, *args, seed=seed, dtype=self.policy, **kwargs)

    def norm_relu(self, x):
        if self.normed:
            x = GeneratorNorm(dtype=self.policy)(x)
        return keras.layers.ReLU(dtype=self.policy)(x)


def _residual_block(x, width: int, make: _Maker):
    """[norm, ReLU, 3x3] twice plus a bypass; a 1x1 projection before where the width changes."""
    if x.shape[-1] != width:
        x = make.layer(Conv, width, 1, gain=GAIN_LINEAR)(x)
    bypass = x
    for _ in range(2):
        x = make.norm_relu(x)
        x = make.layer(Conv, width, gain=GAIN_RESIDUAL)(x)
    return keras.layers.Add(dtype=make.policy)([x, bypass])


def _resnet_stage(x, width: int, make: _Maker):
    x = _residual_block(x, width, make)
    x = _residual_block(x, width, make)
    # norm and ReLU commute with nearest x2, so they come before it
    x = make.norm_relu(x)
    return make.layer(UpscaleConv, width, gain=GAIN_LINEAR)(x)


def _deconv_stage(x, width: int, make: _Maker):
    x = make.norm_relu(x)
    return make.layer(Deconv, width, gain=GAIN_LINEAR)(x)


GENERATORS: dict[str, Callable] = {"resnet": _resnet_stage, "deconv": _deconv_stage}


# ---- networks --------------------------------------------------------------------------------------


def build_generator(config: Config, size: int | None = None) -> keras.Model:
    """[B, s, s, 3] in [0, 1] (noise: in [-1, 1]) -> [B, s*f, s*f, 3] in [0, 1], float32.

    Any height and width unless `size` fixes them. Back projection comes after it: see `generate`.
    """
    make = _Maker(config, "generator")
    stage = GENERATORS[config.gen_architect]
    x = inputs = keras.Input((size, size, 3), name="feature")
    for width in GENERATOR_STAGES[config.factor]:
        x = stage(x, make.channels(width), make)
    for kernel in (3, 1):
        x = make.layer(Conv, make.channels(LAST_WIDTH), kernel)(x)
        x = keras.layers.ReLU(dtype=make.policy)(x)
    x = make.layer(Conv, 3, 1, gain=GAIN_LINEAR)(x)
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return keras.Model(inputs, x, name="generator")


def build_critic(config: Config) -> keras.Model:
    """[B, S, S, 3] in [0, 1] -> [B, 1], float32, unbounded."""
    make = _Maker(config, "critic")
    norm = CRITIC_NORMS[config.critic_norm]
    x = inputs = keras.Input((config.sample_size, config.sample_size, 3), name="picture")
    x = keras.layers.Rescaling(2.0, -1.0, dtype=make.policy)(x)
    last = CRITIC_WIDTHS[-1]
    for width, size, stride in [*((w, 3, 2) for w in CRITIC_WIDTHS), (last, 3, 1), (last, 1, 1)]:
        x = make.layer(Conv, make.channels(width), size, stride)(x)
        x = norm(dtype=make.policy)(x)
        x = keras.layers.ReLU(dtype=make.policy)(x)
    x = make.layer(Conv, 1, 1)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(inputs, x, name="critic")


def generate(
    generator: keras.Model, noisy: tf.Tensor, clean: tf.Tensor, rounds: int, training: bool = False
) -> tf.Tensor:
    """The generator's picture of `noisy`, made consistent with `clean` in `rounds` of back projection.

    [B, s, s, 3] twice -> [B, S, S, 3]; in [0, 1] without rounds, not clipped with them.
    """
    return back_project(generator(noisy, training=training), clean, rounds)


def back_project(
    pictures: tf.Tensor, feature: tf.Tensor, rounds: int, factor: int | None = None
) -> tf.Tensor:
    """`rounds` of y + bicubic(x - average(y)) (Irani and Peleg 1991); y is not clipped.

    `factor`, output side / input side, is needed where the shapes are not known yet.
    """
    size = tf.shape(pictures)[1:3]
    for _ in range(rounds):
        rest = feature - shrink(pictures, factor or pictures.shape[1] // feature.shape[1])
        pictures += tf.image.resize(rest, size, method="bicubic")
    return pictures


def shrink(pictures: tf.Tensor, factor: int) -> tf.Tensor:
    """Means over factor x factor blocks: [B, h, w, c] -> [B, h/factor, w/factor, c]."""
    return tf.nn.avg_pool2d(pictures, factor, factor, "VALID")


def trainable(model: keras.Model) -> list[tf.Variable]:
    """A network's trainable variables in creation order."""
    return [variable.value for variable in model.trainable_variables]
