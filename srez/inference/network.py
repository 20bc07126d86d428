"""A trained generator, ready for use. From Python: `load("checkpoint").upscale(picture)`."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from srez.errors import UserError
from srez.networks.build import back_project, build_generator
from srez.networks.layers import Conv, Deconv, UpscaleConv
from srez.networks.weights import restore
from srez.options.config import Config
from srez.options.rules import AUTO, NEWEST
from srez.runs.trained import checkpoint_path, generator_part, load_config, or_pretrained

DEFAULT_ROUNDS, DEFAULT_TILE = 2, 128  # back projection and side of a tile where nobody asks for others
MAX_DIFFERENCE = 3  # levels of 255 by which bfloat16 may differ from float32 to be taken in its place


class Network:
    """The generator of a checkpoint or of a file of weights, without its critic and optimizers."""

    def __init__(self, config: Config, path: str):
        self.config = config
        self.generator = build_generator(config)
        self.reach = reach(self.generator)
        self.load_weights(path)

    def load_weights(self, path: str) -> None:
        """Take up the weights of another checkpoint of the same training. Raises UserError."""
        self.path = path
        restore(self.generator, path, generator_part(self.config))

    @property
    def factor(self) -> int:
        """Side of the output / side of the input."""
        return self.config.factor

    @property
    def name(self) -> str:
        """What the weights are called: the name of their file."""
        return self.path.rsplit("/", 1)[-1]

    def margin(self, rounds: int) -> int:
        """How far beyond a tile its input must go, pixels."""
        return self.reach + PROJECTION_REACH * rounds

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([], tf.int32)])
    def infer(self, feature: tf.Tensor, rounds: tf.Tensor) -> tf.Tensor:
        """[B, h, w, 3] in [0, 1] (noise: in [-1, 1]) -> [B, h*f, w*f, 3], not clipped."""
        pictures = self.generator(feature, training=False)
        for _ in tf.range(rounds):
            pictures = back_project(pictures, feature, 1, self.factor)
        return pictures

    def upscale(
        self,
        pictures: np.ndarray,
        rounds: int = DEFAULT_ROUNDS,
        tile: int = DEFAULT_TILE,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> np.ndarray:
        """A picture [h, w, 3], or a batch [B, h, w, 3] of one size, `factor` times larger; same dtype.

        uint8, uint16, or float in [0, 1]. `rounds` of back projection; `tile`: side of the part that goes
        through at once, input pixels; the result does not depend on it. `progress` is told input pixels done.
        """
        if pictures.ndim == 3:
            return self.upscale(pictures[None], rounds, tile, progress)[0]
        if self.config.noise_input:
            raise UserError(
                "this network makes faces of noise: it cannot upscale pictures",
                "take one trained with --input=scaled",
            )
        count, height, width, _ = pictures.shape
        factor, margin = self.factor, self.margin(rounds)
        whole = np.empty((count, height * factor, width * factor, 3), pictures.dtype)
        for rows, columns in itertools.product(spans(height, tile, margin), spans(width, tile, margin)):
            area = (rows.stop - rows.start) * (columns.stop - columns.start)
            together = max(1, tile * tile // area)
            y, x = (slice(span.start * factor, span.stop * factor) for span in (rows, columns))
            for i in range(0, count, together):
                part = pictures[i : i + together, rows.first : rows.last, columns.first : columns.last]
                output = self.infer(_to_float(part), rounds)[:, rows.inner(factor), columns.inner(factor)]
                whole[i : i + together, y, x] = _like(output.numpy(), pictures.dtype)
                progress(area * len(part))
        return whole


class FastestNetwork(Network):
    """A float32 network that goes on in bfloat16 where the two agree on the first tile that it upscales.

    say: is told once which is taken, and why.
    """

    def __init__(self, network: Network, say: Callable[[str], None]):
        super().__init__(network.config, network.path)
        self._say, self._half, self._compared = say, None, False

    def upscale(
        self,
        pictures: np.ndarray,
        rounds: int = DEFAULT_ROUNDS,
        tile: int = DEFAULT_TILE,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> np.ndarray:
        """As Network.upscale."""
        if not self._compared and pictures.ndim == 4:
            self._compare(_to_float(pictures[:1, :tile, :tile]), rounds, tile)
        upscale = super().upscale if self._half is None else self._half.upscale
        return upscale(pictures, rounds, tile, progress)

    def _compare(self, picture: np.ndarray, rounds: int, tile: int) -> None:
        self._compared = True
        half = Network(dataclasses.replace(self.config, precision="bfloat16"), self.path)
        outputs = [one.upscale(picture, rounds, tile) for one in (super(), half)]
        levels = 255 * float(np.abs(outputs[0] - outputs[1]).max())
        agree = levels <= MAX_DIFFERENCE  # not where a number is not finite
        self._half = half if agree else None
        self._say(
            f"precision: {'bfloat16' if agree else 'float32'}, since bfloat16 differs from float32 by "
            f"{levels:.1f} of 255 levels in the first tile (at most {MAX_DIFFERENCE} are let pass)"
        )


def load(checkpoint_dir: str | None = None, checkpoint: str = NEWEST, precision: str = "float32") -> Network:
    """The network of a training, or of a folder that --run export wrote. Raises UserError.

    checkpoint_dir: by default "checkpoint", or where that holds nothing the generator that comes with srez;
    checkpoint: newest, a batch number, or a file of weights; precision: of the arithmetic, float32 for auto.
    """
    if precision == AUTO:
        precision = Config.precision
    if checkpoint_dir is None:
        checkpoint_dir = or_pretrained(Config.checkpoint_dir, checkpoint)
    config = dataclasses.replace(load_config(checkpoint_dir), precision=precision)
    return Network(config, checkpoint_path(checkpoint_dir, checkpoint))


def _to_float(pictures: np.ndarray) -> np.ndarray:
    if pictures.dtype.kind == "f":
        return pictures.astype(np.float32)
    return pictures.astype(np.float32) / np.iinfo(pictures.dtype).max


def _like(pictures: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Pictures clipped to [0, 1], as floats or as whole numbers that fill the range of `dtype`."""
    pictures = np.clip(pictures, 0, 1)
    if dtype.kind == "f":
        return pictures.astype(dtype)
    return (pictures * np.iinfo(dtype).max + 0.5).astype(dtype)


PROJECTION_REACH = 2  # bicubic interpolation by 2, 4 or 8 looks at two pixels each way


@dataclasses.dataclass(frozen=True)
class Span:
    """One axis of a tile: pixels start..stop of the picture are wanted, first..last are needed for them."""

    start: int
    stop: int
    first: int
    last: int

    def inner(self, factor: int) -> slice:
        """The wanted part of the tile's output."""
        return slice((self.start - self.first) * factor, (self.stop - self.first) * factor)


def spans(length: int, tile: int, margin: int) -> list[Span]:
    """An axis of `length` pixels in equal parts of at most `tile`, with their margins inside the picture."""
    count = math.ceil(length / tile)
    edges = [length * i // count for i in range(count + 1)]
    return [
        Span(start, stop, max(0, start - margin), min(length, stop + margin))
        for start, stop in itertools.pairwise(edges)
    ]


def reach(network: keras.Model) -> int:
    """How many pixels of the input, each way, an output pixel depends on beyond the one that it lies in.

    From the last layer back to the first; a bypass needs less than what it goes around and changes nothing.
    """
    return functools.reduce(_needed, reversed(network.layers), 0)


def _needed(after: int, layer: keras.layers.Layer) -> int:
    """How many pixels beyond a block a layer's input is needed, where its output is needed `after` beyond it.

    A block is one pixel of the network's input, or what was made of it.
    """
    if isinstance(layer, Conv):
        return after + layer.size // 2
    if isinstance(layer, UpscaleConv | Deconv):
        # output o takes inputs (o + pad - j) / 2, j = 0 .. size - 1; the block begins at an even pixel
        size = layer.size + isinstance(layer, UpscaleConv)
        pad = (size - 2) // 2
        return max((after - pad + size - 1) // 2, (after + pad + 1) // 2)
    return after
