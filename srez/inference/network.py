"""A trained generator, ready for use. From Python: `load("checkpoint").upscale(picture)`."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from srez.data.align import MIN_FACE, Face, find_faces, straighten, surroundings, turn_back
from srez.data.portraits import refuse_other_framing
from srez.errors import UserError
from srez.images import arrays, layout
from srez.networks.build import back_project, build_generator
from srez.networks.layers import Conv, Deconv, UpscaleConv
from srez.networks.weights import restore
from srez.options.config import Config
from srez.options.rules import AUTO, NEWEST
from srez.runs.trained import (
    checkpoint_folder,
    checkpoint_path,
    generator_part,
    load_config,
    or_pretrained,
    pretrained_names,
)
from srez.system import files

DEFAULT_ROUNDS, DEFAULT_TILE = 2, 128  # back projection and side of a tile where nobody asks for others
# A face gains whose square is at most so many times as wide as the network's input: bench/bench_faces.py
GAIN_LIMIT = 2
LEAST_MIN_FACE = 8  # pixels, as of --min_face


class DrawnFace(NamedTuple):
    """A face of a picture and what the network makes of it.

    box: x, y, width, height in the picture, pixels. landmarks: [5, 2], x and y of the left and the right eye
    as one sees them, the nose, the left and the right corner of the mouth. picture: uint8 [S, S, 3], the
    network's. crop: uint8 [s, s, 3], the same part of the given picture, upright, in its own resolution.
    """

    box: tuple[int, int, int, int]
    landmarks: np.ndarray
    picture: np.ndarray
    crop: np.ndarray


class EnlargedFace(NamedTuple):
    """A small face enlarged in its place, floats in [0, 1].

    upright, plain: [S, S, 3], by the network and by Lanczos alone. part: [factor * h, factor * w, 3], the
    enlarged part of the picture that begins at its pixel (x, y). share: [..., 1], how much of it is the face.
    """

    upright: np.ndarray
    plain: np.ndarray
    part: np.ndarray
    share: np.ndarray
    x: int
    y: int


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
        pictures: Any,
        rounds: int = DEFAULT_ROUNDS,
        tile: int = DEFAULT_TILE,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> Any:
        """A picture, or a batch of one size, `factor` times larger and of the same kind. Raises UserError.

        A Pillow picture, or an array [h, w], [h, w, 3 or 4] or [B, h, w, 3 or 4] of uint8, uint16 or floats
        in [0, 1]. `rounds` of back projection; `tile`: side of the part that goes through at once, input
        pixels; the result does not depend on it. `progress` is told input pixels done.
        """
        self._refuse_noise()
        rgb, back = arrays.to_rgb(pictures)
        return back(self._upscale(rgb, rounds, tile, progress))

    def _upscale(
        self, pictures: np.ndarray, rounds: int, tile: int, progress: Callable[[int], None]
    ) -> np.ndarray:
        """[B, h, w, 3] in tiles that overlap."""
        count, height, width, _ = pictures.shape
        factor, margin = self.factor, self.margin(rounds)
        whole = np.empty((count, height * factor, width * factor, 3), pictures.dtype)
        for rows, columns in itertools.product(spans(height, tile, margin), spans(width, tile, margin)):
            area = (rows.stop - rows.start) * (columns.stop - columns.start)
            together = max(1, tile * tile // area)
            y, x = (slice(span.start * factor, span.stop * factor) for span in (rows, columns))
            for i in range(0, count, together):
                part = pictures[i : i + together, rows.first : rows.last, columns.first : columns.last]
                output = self.infer(arrays.to_float(part), rounds).numpy()
                inner = output[:, rows.inner(factor), columns.inner(factor)]
                whole[i : i + together, y, x] = arrays.from_float(inner, pictures.dtype)
                progress(area * len(part))
        return whole

    @property
    def largest_gain(self) -> int:
        """Side of the largest square of a face that the network makes better than Lanczos does, pixels."""
        return min(GAIN_LIMIT * self.config.input_size, self.config.sample_size // 2)

    def redraw_face(self, picture: np.ndarray, face: Face, rounds: int = DEFAULT_ROUNDS) -> np.ndarray:
        """A face of a picture made anew of its average of `config.input_size` pixels: upright, [S, S, 3]."""
        return self.upscale(straighten(picture, face, self.config.input_size), rounds)

    def enlarge_face(self, picture: np.ndarray, face: Face, rounds: int = DEFAULT_ROUNDS) -> EnlargedFace:
        """A small face of a picture enlarged in its place.

        What the network makes of it is put into the picture enlarged by Lanczos; `rounds` of back projection
        make that agree with the picture's own pixels, which hold more than the network has seen.
        """
        near, x, y = surroundings(picture, face)
        large = arrays.lanczos(near, tuple(self.factor * n for n in near.shape[:2]))
        there = face.within(x, y, self.factor)
        drawn, share = turn_back(self.redraw_face(large, there, rounds), there, large.shape[:2])
        mixed = share * drawn + (1 - share) * large
        part = back_project(mixed[None], near[None], rounds, self.factor)
        part = tf.clip_by_value(part, 0.0, 1.0)[0].numpy()
        upright, plain = (straighten(one, there, self.config.sample_size) for one in (part, large))
        return EnlargedFace(upright, plain, part, share, x, y)

    def faces(self, picture: Any, min_face: float = MIN_FACE) -> list[DrawnFace]:
        """All faces of a picture whose square is `min_face` pixels wide or more, largest first.

        A Pillow picture, or an array [h, w] or [h, w, 3 or 4] of uint8, uint16 or floats in [0, 1]; alpha is
        passed over. Raises UserError; also where the network was trained on faces framed otherwise.
        """
        self._refuse_noise()
        refuse_other_framing(self.config)
        rgb, _ = arrays.to_rgb(picture)
        if min_face < LEAST_MIN_FACE:
            raise UserError(f"min_face={min_face}", f"must be at least {LEAST_MIN_FACE}")
        if len(rgb) > 1:
            raise UserError(f"a batch of {len(rgb)} pictures", "faces are looked for in one at a time")
        pixels = rgb[0]
        if pixels.dtype != np.uint8:
            pixels = arrays.from_float(arrays.to_float(pixels), np.dtype(np.uint8))
        found = []
        for face in find_faces(pixels, min_face):
            gains = face.side <= self.largest_gain
            made = self.enlarge_face(pixels, face).upright if gains else self.redraw_face(pixels, face)
            crop = straighten(pixels, face, round(face.side))
            found.append(DrawnFace(face.box, face.landmarks, layout.to_uint8(made), layout.to_uint8(crop)))
        return found

    def _refuse_noise(self) -> None:
        if self.config.noise_input:
            raise UserError(
                "this network makes faces of noise: it cannot upscale pictures",
                "take one trained with --input=scaled",
            )


def load(checkpoint_dir: str | None = None, checkpoint: str = NEWEST, precision: str = "float32") -> Network:
    """The network of a training, or of a folder that --run export wrote. Raises UserError.

    checkpoint_dir: that, or the folder of a run with a --name, as "runs/NAME", or the name of a generator
    that comes with srez, sharp or faithful, where there is no such folder; by default "checkpoint", or where
    that holds nothing sharp;
    checkpoint: newest, a batch number or a file of weights; or a name that comes with srez, whatever
    checkpoint_dir holds; precision: of the arithmetic, float32 for auto.
    """
    if precision == AUTO:
        precision = Config.precision
    if checkpoint == NEWEST and checkpoint_dir in pretrained_names() and not files.exists(checkpoint_dir):
        checkpoint_dir, checkpoint = None, checkpoint_dir
    folder = checkpoint_folder(Config.checkpoint_dir if checkpoint_dir is None else checkpoint_dir)
    if checkpoint_dir is None or checkpoint != NEWEST:  # of a folder that is named the newest is its own
        folder, checkpoint = or_pretrained(folder, checkpoint)
    config = dataclasses.replace(load_config(folder), precision=precision)
    return Network(config, checkpoint_path(folder, checkpoint))


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
