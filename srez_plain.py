"""A trained generator in Keras' own layers alone, moving averages folded: it needs no srez to be loaded."""

import keras
import numpy as np

from srez_model import BATCH_NORM_EPSILON, Conv, Deconv, GeneratorNorm, UpscaleConv


def plain_network(generator: keras.Model, factor: int, rounds: int) -> keras.Model:
    """[B, h, w, 3] in [0, 1] -> [B, h*f, w*f, 3], the same numbers as the generator in use.

    With `rounds` of back projection at the end, and then clipped to [0, 1].
    """
    plain = keras.models.clone_model(generator, clone_function=_plain_layer)
    for layer in generator.layers:
        if weights := _plain_weights(layer):
            plain.get_layer(layer.name).set_weights(weights)
    if not rounds:
        return plain
    feature, y = plain.input, plain.output
    enlarge = _bicubic(factor)
    # pixels that lie outside do not count: the rest of the weights is scaled up
    share = enlarge(keras.layers.Rescaling(0.0, 1.0)(feature))
    for _ in range(rounds):
        rest = keras.layers.Subtract()([feature, keras.layers.AveragePooling2D(factor)(y)])
        y = keras.layers.Add()([y, keras.ops.divide(enlarge(rest), share)])
    return keras.Model(feature, keras.layers.ReLU(max_value=1.0)(y), name="generator")


def _plain_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    name = {"name": layer.name}
    if isinstance(layer, Conv):
        return keras.layers.Conv2D(layer.width, layer.size, padding="same", **name)
    if isinstance(layer, UpscaleConv | Deconv):
        size = layer.size + isinstance(layer, UpscaleConv)
        return keras.layers.Conv2DTranspose(layer.width, size, strides=2, padding="same", **name)
    if isinstance(layer, GeneratorNorm):
        return keras.layers.BatchNormalization(scale=False, epsilon=BATCH_NORM_EPSILON, **name)
    return type(layer).from_config(layer.get_config())


def _plain_weights(layer: keras.layers.Layer) -> list[np.ndarray]:
    if isinstance(layer, Conv):
        return [layer.kernel.numpy(), layer.offset.numpy()]
    if isinstance(layer, UpscaleConv | Deconv):
        kernel = layer.merged() if isinstance(layer, UpscaleConv) else layer.kernel
        return [kernel.numpy().transpose(0, 1, 3, 2), layer.offset.numpy()]
    if isinstance(layer, GeneratorNorm):
        return [layer.offset.numpy(), *(average.numpy() for average in layer.averages())]
    return []


def _bicubic(factor: int) -> keras.layers.Layer:
    """Bicubic interpolation (a = -0.5, half-pixel centres) with zeros outside, as a transposed convolution.

    Each input pixel spreads over 4 * factor output pixels each way.
    """
    distance = np.abs((np.arange(4 * factor) + 0.5) / factor - 2)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance < 1, near, far)
    kernel = np.zeros((4 * factor, 4 * factor, 3, 3), np.float32)
    for channel in range(3):
        kernel[:, :, channel, channel] = np.outer(weights, weights)
    layer = keras.layers.Conv2DTranspose(
        3, 4 * factor, strides=factor, padding="same", use_bias=False, name="bicubic"
    )
    layer.build((None, None, None, 3))
    layer.set_weights([kernel])
    layer.trainable = False
    return layer
