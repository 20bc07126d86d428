"""Sources: numbered pictures, from a folder, a pack or drawn, and which square of each becomes a sample."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from absl import logging

import srez_faces
import srez_files
import srez_images
import srez_pack
from srez_config import SYNTHETIC, Config, UserError, one_line

SYNTHETIC_FACES = 5000
CELEBA_SIZE, CELEBA_CORNER, CELEBA_CROP = (178, 218), (25, 60), 128


class Damaged(Exception):
    """A picture that cannot be used; its text is the reason."""


# ---- where the crop lies ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Framing:
    """Which square of a picture becomes a sample. x, y: upper left corner; -1 chooses it by size."""

    size: int = 128
    wiggle: int = 8
    x: int = -1
    y: int = -1

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the part in which the crop may move, cut off at the picture's edge.

        Raises Damaged where the crop does not fit into the picture.
        """
        x, y = (self.x, self.y) if self.x >= 0 else self._automatic(width, height)
        if x < 0 or y < 0 or x + self.size > width or y + self.size > height:
            raise Damaged(
                f"{width}x{height} is too small for a crop of {self.size}x{self.size} at ({x}, {y})"
            )
        left, top = max(0, x - self.wiggle), max(0, y - self.wiggle)
        right, bottom = x + self.size + self.wiggle, y + self.size + self.wiggle
        return left, top, min(width, right) - left, min(height, bottom) - top

    def options(self) -> dict[str, int]:
        """The options that ask for this framing."""
        return {f"crop_{field.name}": getattr(self, field.name) for field in dataclasses.fields(self)}

    def _automatic(self, width: int, height: int) -> tuple[int, int]:
        x, y = (width - self.size) // 2, (height - self.size) // 2
        if (width, height) == CELEBA_SIZE:  # the face lies below the middle there
            y = min(CELEBA_CORNER[1] + (CELEBA_CROP - self.size) // 2, height - self.size)
        return x, y


# ---- sources: index -> window ----------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Numbered pictures. `window(i)` gives uint8 [h, w, 3] or raises Damaged; it must be thread-safe.

    `crops(indices, corners, side)`, where there is one, gives the same crops as the windows do, uint8
    [n, side, side, 3], faster, or raises Damaged for all of them. corners: see `corner_in`.
    """

    names: list[str]
    fingerprint: str
    window: Callable[[int], np.ndarray]
    where: str
    crops: Callable[[Sequence[int], np.ndarray, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.names)


def corner_in(height: int, width: int, side: int, corner: np.ndarray) -> tuple[int, int]:
    """(y, x) of a crop in a window; corner [2] in [0, 1) tells how far down and across it lies."""
    return int(corner[0] * (height - side + 1)), int(corner[1] * (width - side + 1))


def folder_source(folder: str, framing: Framing) -> Source:
    """The pictures below a folder, local or remote. Raises UserError where there are none."""
    try:
        names, sizes, others = srez_images.list_pictures(folder)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"dataset '{folder}' cannot be listed: {one_line(error)}") from None
    if not names:
        raise UserError(srez_images.no_pictures(folder, others))
    if others:
        logging.warning("%s: %d other files ignored", folder, others)
    listing = "\n".join(f"{name} {size}" for name, size in zip(names, sizes, strict=True))
    fingerprint = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    files = Files(folder, names, framing)
    return Source(names, fingerprint, files.window, folder, files.crops)


class Files:
    """Windows and crops of picture files. Raises Damaged, or UserError where the folder has vanished."""

    def __init__(self, folder: str, names: Sequence[str], framing: Framing):
        self.folder, self.framing = folder, framing
        self.paths = [srez_files.join(folder, name) for name in names]
        # index -> window of a plain JPEG, None for other files
        self._boxes: dict[int, tuple[int, int, int, int] | None] = {}

    def window(self, index: int) -> np.ndarray:
        """uint8 [h, w, 3]."""
        return decode_window(self._read(index), self.framing)

    def crops(self, indices: Sequence[int], corners: np.ndarray, side: int) -> np.ndarray:
        """uint8 [n, side, side, 3] of plain JPEGs alone, decoded side by side by TensorFlow."""
        places = []
        for index, corner in zip(indices, corners, strict=True):
            box = self._box(index)
            if box is None:
                raise Damaged("not all are plain JPEGs")
            left, top, width, height = box
            y, x = corner_in(height, width, side, corner)
            places.append((top + y, left + x))
        try:
            paths = tf.constant([os.fsencode(self.paths[i]) for i in indices])
            with tf.device("CPU"):
                return decode_crops(paths, tf.constant(places), side).numpy()
        except tf.errors.OpError as error:
            raise Damaged(one_line(error)) from None

    def _box(self, index: int) -> tuple[int, int, int, int] | None:
        if index not in self._boxes:
            size = srez_images.plain_jpeg_size(self._read(index, srez_images.HEADER_BYTES))
            self._boxes[index] = size and self.framing.window(*size)
        return self._boxes[index]

    def _read(self, index: int, most: int = -1) -> bytes:
        try:
            return srez_files.read_bytes(self.paths[index], most)
        except (OSError, tf.errors.OpError) as error:
            if not srez_files.is_remote(self.folder) and not srez_images.has_pictures(self.folder):
                raise UserError(
                    f"dataset '{self.folder}' has vanished: put it back, then the same command goes on"
                ) from None
            raise Damaged(one_line(error)) from None


def decode_window(data: bytes, framing: Framing) -> np.ndarray:
    """The window of a picture file's content, uint8 [h, w, 3]. Raises Damaged."""
    try:
        picture = srez_images.decode(data)
    except ValueError as error:
        raise Damaged(one_line(error)) from None
    x, y, width, height = framing.window(picture.shape[1], picture.shape[0])
    return picture[y : y + height, x : x + width]


@tf.function(reduce_retracing=True)
def decode_crops(paths: tf.Tensor, places: tf.Tensor, side: int) -> tf.Tensor:
    """Crops, uint8 [n, side, side, 3], of JPEG files whose upper left corners are `places` [n, 2] (y, x)."""

    def crop(path: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
        return tf.slice(picture, [place[0], place[1], 0], [side, side, 3])

    kind = tf.TensorSpec([side, side, 3], tf.uint8)
    return tf.map_fn(lambda x: crop(*x), (paths, places), fn_output_signature=kind, parallel_iterations=16)


def pack_source(path: str, framing: Framing) -> Source:
    """What `pack_folder` wrote: the folder's own windows and fingerprint. Raises UserError."""
    pack = srez_pack.Pack(path, framing.options())

    def window(index: int) -> np.ndarray:
        found = pack.window(index)
        if isinstance(found, str):
            raise Damaged(found)
        return found

    return Source(pack.names, pack.fingerprint, window, path)


def pack_folder(
    folder: str, path: str, framing: Framing, mapper: Callable[..., Iterable] = map
) -> tuple[int, dict[str, str]]:
    """Write the windows of a folder's pictures as a pack; how many there are, and what is wrong with which.

    `mapper` is map, or one that does it in threads. Raises UserError, OSError.
    """
    source = folder_source(folder, framing)
    damaged: dict[str, str] = {}

    def window(index: int) -> np.ndarray | str:
        try:
            return source.window(index)
        except Damaged as reason:
            damaged[source.names[index]] = str(reason)
            return str(reason)

    windows = mapper(window, range(len(source)))
    srez_pack.write(path, framing.options(), source.fingerprint, source.names, windows)
    return len(source), damaged


def synthetic_source(framing: Framing, count: int = SYNTHETIC_FACES) -> Source:
    """The built-in drawn faces. Each is drawn once and kept: a window takes 62 kB. Raises UserError."""
    try:
        framing.window(*CELEBA_SIZE)
    except Damaged as reason:
        raise UserError(f"dataset '{SYNTHETIC}': {reason}, lower --crop_size, or set no --crop_x") from None
    kept: dict[int, np.ndarray] = {}

    def window(index: int) -> np.ndarray:
        if index not in kept:
            face = srez_faces.draw(index)
            x, y, width, height = framing.window(face.shape[1], face.shape[0])
            kept[index] = face[y : y + height, x : x + width].copy()
        return kept[index]

    names = [f"drawn {i:06d}" for i in range(count)]
    return Source(names, f"drawn faces {srez_faces.VERSION}, {count}", window, SYNTHETIC)


def open_source(config: Config) -> Source:
    """The pictures that --dataset names. Raises UserError."""
    framing = Framing(config.crop_size, config.crop_wiggle, config.crop_x, config.crop_y)
    if config.dataset == SYNTHETIC:
        return synthetic_source(framing)
    if srez_pack.is_pack(config.dataset):
        return pack_source(config.dataset, framing)
    return folder_source(config.dataset, framing)
