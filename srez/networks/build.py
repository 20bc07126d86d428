"""Generator and critic: Keras functional models, written as x = block(x)."""

import functools
import zlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from srez.networks.layers import (
    BATCH_NORM_EPSILON,
    GAIN_LINEAR,
    GAIN_RESIDUAL,
    LAYER_NORM_EPSILON,
    Conv,
    CriticNorm,
    Deconv,
    GeneratorNorm,
    Kernel,
    SpectralConv,
    UpscaleConv,
)
from srez.options.config import Config

GENERATOR_STAGES = {2: (256,), 4: (256, 128), 8: (256, 256, 128), 16: (256, 256, 128, 128)}
LAST_WIDTH = 96
CRITIC_WIDTHS = (64, 128, 256, 512)

# how the critic is normalized: its convolutions, and what follows each but the last
CRITIC_NORMS: dict[str, tuple[type[Conv], Callable]] = {
    "batch": (Conv, lambda **kwargs: CriticNorm((0, 1, 2), BATCH_NORM_EPSILON, **kwargs)),
    "layer": (Conv, lambda **kwargs: CriticNorm((1, 2, 3), LAYER_NORM_EPSILON, **kwargs)),
    "spectral": (SpectralConv, keras.layers.Identity),
    "none": (Conv, keras.layers.Identity),
}


class _LayerFactory:
    """Makes layers of one network with its precision, its width and a seed of its own for each."""

    def __init__(self, config: Config, network: str):
        self.policy = keras.dtype_policies.DTypePolicy(
            config.precision if config.precision == "float32" else f"mixed_{config.precision}"
        )
        self.width, self.normed = config.width, config.gen_norm == 1
        self.name, self.layers = f"{config.random_seed} {network}", 0

    def channels(self, width: int) -> int:
        return max(1, round(width * self.width))

    def layer(self, kind: type[Kernel], width: int, *args, **kwargs) -> Kernel:
        self.layers += 1
        seed = zlib.crc32(f"{self.name} {self.layers}".encode()) >> 1
        return kind(width, *args, seed=seed, dtype=self.policy, **kwargs)

    def norm_relu(self, x: keras.KerasTensor) -> keras.KerasTensor:
        if self.normed:
            x = GeneratorNorm(dtype=self.policy)(x)
        return keras.layers.ReLU(dtype=self.policy)(x)


def _residual_block(x: keras.KerasTensor, width: int, make: _LayerFactory) -> keras.KerasTensor:
    """[norm, ReLU, 3x3] twice plus a bypass; a 1x1 projection before where the width changes."""
    if x.shape[-1] != width:
        x = make.layer(Conv, width, 1, gain=GAIN_LINEAR)(x)
    bypass = x
    for _ in range(2):
        x = make.norm_relu(x)
        x = make.layer(Conv, width, gain=GAIN_RESIDUAL)(x)
    return keras.layers.Add(dtype=make.policy)([x, bypass])


def _resnet_stage(x: keras.KerasTensor, width: int, make: _LayerFactory) -> keras.KerasTensor:
    x = _residual_block(x, width, make)
    x = _residual_block(x, width, make)
    # norm and ReLU commute with nearest x2, so they come before it
    x = make.norm_relu(x)
    return make.layer(UpscaleConv, width, gain=GAIN_LINEAR)(x)


def _deconv_stage(x: keras.KerasTensor, width: int, make: _LayerFactory) -> keras.KerasTensor:
    x = make.norm_relu(x)
    return make.layer(Deconv, width, gain=GAIN_LINEAR)(x)


def _projected_deconv_stage(x: keras.KerasTensor, width: int, make: _LayerFactory) -> keras.KerasTensor:
    """A deconv stage; the picture's three channels, half of which its ReLU would cut off, are projected."""
    if x.shape[-1] == 3:
        x = make.layer(Conv, width, 1, gain=GAIN_LINEAR)(x)
    return _deconv_stage(x, width, make)


GENERATORS: dict[str, Callable] = {
    "resnet": _resnet_stage,
    "deconv": _deconv_stage,
    "deconv_projected": _projected_deconv_stage,
}


def build_generator(config: Config, size: int | None = None) -> keras.Model:
    """[B, s, s, 3] in [0, 1] (noise: in [-1, 1]) -> [B, s*f, s*f, 3] in [0, 1], float32.

    Any height and width unless `size` fixes them. Back projection comes after it: see `generate`.
    """
    make = _LayerFactory(config, "generator")
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
    make = _LayerFactory(config, "critic")
    conv, norm = CRITIC_NORMS[config.critic_norm]
    x = inputs = keras.Input((config.sample_size, config.sample_size, 3), name="picture")
    x = keras.layers.Rescaling(2.0, -1.0, dtype=make.policy)(x)
    last = CRITIC_WIDTHS[-1]
    for width, size, stride in [*((w, 3, 2) for w in CRITIC_WIDTHS), (last, 3, 1), (last, 1, 1)]:
        x = make.layer(conv, make.channels(width), size, stride)(x)
        x = norm(dtype=make.policy)(x)
        x = keras.layers.ReLU(dtype=make.policy)(x)
    x = make.layer(conv, 1, 1)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(inputs, x, name="critic")


def in_groups(network: keras.Model, groups: int, moving: bool = True) -> keras.Model:
    """The same layers, for compiled training on batches of so many parts, each normalized by itself.

    groups 0: the whole batch is normalized, as in training that is not compiled. moving: whether the
    generator's moving averages move on in training.
    """

    def call(layer: keras.layers.Layer, *args: Any, **options: Any) -> keras.KerasTensor:
        if isinstance(layer, SpectralConv | CriticNorm | GeneratorNorm):
            options["groups"] = groups
        if isinstance(layer, GeneratorNorm):
            options["moving"] = moving
        return layer(*args, **options)

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def generate(
    generator: keras.Model, noisy: Tensor, clean: Tensor, rounds: int, training: bool = False
) -> Tensor:
    """The generator's picture of `noisy`, made consistent with `clean` in `rounds` of back projection.

    [B, s, s, 3] twice -> [B, S, S, 3]; in [0, 1] without rounds, not clipped with them.
    """
    return back_project(generator(noisy, training=training), clean, rounds)


def back_project(pictures: Tensor, feature: Tensor, rounds: int, factor: int | None = None) -> Tensor:
    """`rounds` of y + bicubic(x - average(y)) (Irani and Peleg 1991); y is not clipped.

    `factor`, output side / input side, is needed where the shapes are not known yet.
    """
    factor = factor or pictures.shape[1] // feature.shape[1]
    for _ in range(rounds):
        pictures += enlarge(feature - shrink(pictures, factor), factor)
    return pictures


def enlarge(pictures: Tensor, factor: int) -> Tensor:
    """Bicubic interpolation as `tf.image.resize` does it: [B, h, w, c] -> [B, h*factor, w*factor, c]."""
    height, width = pictures.shape[1:3]
    if height is None or width is None:
        return tf.image.resize(pictures, tf.shape(pictures)[1:3] * factor, method="bicubic")
    # for which XLA has no kernel
    rows, columns = bicubic_matrix(height, factor), bicubic_matrix(width, factor)
    return tf.einsum("yi,bijc,xj->byxc", rows, pictures, columns)


@functools.cache
def bicubic_matrix(side: int, factor: int) -> np.ndarray:
    """What a line of `side` pixels is multiplied with to be enlarged: [side*factor, side], float32."""
    with tf.init_scope(), tf.device("CPU"):
        units = np.eye(side, dtype=np.float32)[..., None]
        return tf.image.resize(units, [side * factor, side], method="bicubic")[..., 0].numpy()


def shrink(pictures: Tensor, factor: int) -> Tensor:
    """Means over factor x factor blocks: [B, h, w, c] -> [B, h/factor, w/factor, c]."""
    return tf.nn.avg_pool2d(pictures, factor, factor, "VALID")


def trainable(model: keras.Model) -> list[tf.Variable]:
    """A network's trainable variables in creation order."""
    return [variable.value for variable in model.trainable_variables]
