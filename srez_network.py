"""A trained generator, ready for use. From Python: `srez_network.load("checkpoint").upscale(picture)`."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

import srez_files
from srez_config import NEWEST, Config, UserError
from srez_model import back_project, build_generator
from srez_quiet import one_line
from srez_tiles import PROJECTION_REACH, reach, tiles
from srez_trained import load_config, no_start, part_in_use, pick, start_weights

ROUNDS, TILE = 2, 128  # back projection and side of a tile where nobody asks for others


class Network:
    """The generator of a checkpoint or of a file of weights, without its critic and optimizers."""

    def __init__(self, config: Config, path: str):
        self.config = config
        self.generator = build_generator(config)
        self.reach = reach(self.generator)
        self.take(path)

    def take(self, path: str) -> None:
        """Take up the weights of another checkpoint of the same training. Raises UserError."""
        self.path = path
        restore(self.generator, path, part_in_use(self.config))

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

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([], tf.int32)],
    )
    def infer(self, feature: tf.Tensor, rounds: tf.Tensor) -> tf.Tensor:
        """[B, h, w, 3] in [0, 1] (noise: in [-1, 1]) -> [B, h*f, w*f, 3], not clipped."""
        pictures = self.generator(feature, training=False)
        for _ in tf.range(rounds):
            pictures = back_project(pictures, feature, 1, self.factor)
        return pictures

    def upscale(
        self,
        pictures: np.ndarray,
        rounds: int = ROUNDS,
        tile: int = TILE,
        progress: Callable[[int], None] = lambda pixels: None,
    ) -> np.ndarray:
        """A picture [h, w, 3], or a batch [B, h, w, 3] of one size, `factor` times larger; same dtype.

        uint8, uint16, or float in [0, 1]. `rounds` of back projection; `tile`: side of the part that goes
        through at once, input pixels; the result does not depend on it. `progress` is told input pixels done.
        """
        if pictures.ndim == 3:
            return self.upscale(pictures[None], rounds, tile, progress)[0]
        if self.config.noise_input:
            raise UserError("this network makes faces of noise: it cannot upscale pictures")
        count, height, width, _ = pictures.shape
        factor = self.factor
        whole = np.empty((count, height * factor, width * factor, 3), pictures.dtype)
        for rows, columns in tiles(height, width, tile, self.margin(rounds)):
            area = (rows.stop - rows.start) * (columns.stop - columns.start)
            together = max(1, tile * tile // area)
            for i in range(0, count, together):
                part = pictures[i : i + together, rows.first : rows.last, columns.first : columns.last]
                output = self.infer(_to_float(part), rounds)[:, rows.inner(factor), columns.inner(factor)]
                whole[
                    i : i + together,
                    rows.start * factor : rows.stop * factor,
                    columns.start * factor : columns.stop * factor,
                ] = _like(output.numpy(), pictures.dtype)
                progress(area * len(part))
        return whole


def load(checkpoint_dir: str = "checkpoint", checkpoint: str = NEWEST, precision: str = "float32") -> Network:
    """The network of a training, or of a folder that --run export wrote. Raises UserError.

    checkpoint: newest, a batch number, or a file of weights; precision: of the arithmetic.
    """
    config = dataclasses.replace(load_config(checkpoint_dir), precision=precision)
    return Network(config, pick(checkpoint_dir, checkpoint))


def begin(generators: Iterable[tf.Module], config: Config) -> str:
    """Give generators the weights that start_from means; the path of these, or "". Raises UserError."""
    if not (weights := start_weights(config)):
        return ""
    try:
        for generator in generators:
            restore(generator, *weights)
    except UserError as error:
        raise no_start(config, str(error).rpartition(": ")[0]) from None
    return weights[0]


def restore(generator: tf.Module, path: str, part: str = "generator") -> None:
    """Put a checkpoint's weights, or those of a .weights.h5 file, into a generator. Raises UserError.

    part: "generator", or "average" for a training's exponential average (gene_ema).
    """
    try:
        if path.endswith(".h5"):
            _load_weights(generator, path)
        else:
            status = tf.train.Checkpoint(**{part: generator}).restore(path)
            status.assert_existing_objects_matched().expect_partial()
    except (OSError, KeyError, IndexError, ValueError, AssertionError, tf.errors.OpError) as error:
        raise UserError(
            f"'{path}' does not hold the weights of this network ({one_line(error)}): "
            "name the folder of the same training, --checkpoint=N takes another of its checkpoints"
        ) from None


def _load_weights(generator: tf.Module, path: str) -> None:
    with srez_files.local_copy(path) as local:
        generator.load_weights(local)


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
