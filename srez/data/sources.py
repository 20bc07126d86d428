"""Sources: numbered pictures, from a folder, a pack or drawn."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from absl import logging

from srez.data.drawn import faces
from srez.data.framing import CELEBA_SIZE, Framing
from srez.data.jpegs import windows_of_jpegs
from srez.data.pack import Pack, is_pack
from srez.data.windows import Windows
from srez.errors import UserError, one_line
from srez.images import find
from srez.images.picture import UnusablePicture, decode
from srez.options.config import SYNTHETIC, Config
from srez.system import files
from srez.system.machine import processors

SYNTHETIC_FACES = 5000
FEW_PROCESSORS = 2  # on which one picture at a time costs less; on more, threads would wait for Python's lock
LARGEST_TOGETHER = 2**18  # bytes of a file that is read together with others


@dataclass(frozen=True)
class Source:
    """Numbered pictures; `where`: the folder or pack they are in, as --dataset names it.

    `window(i)` is the window of picture i, uint8 [h, w, 3]; it may raise UnusablePicture.
    `together(indices)` makes some of these windows at once: which, int [k], and uint8 [k, h, w, 3].
    `located(indices)` says where windows lie that need not be made. All are thread-safe.
    drawn: a window takes long to make, and is always kept.
    """

    names: list[str]
    fingerprint: str
    window: Callable[[int], np.ndarray]
    where: str
    together: Callable[[Sequence[int]], Iterable[tuple[np.ndarray, np.ndarray]]] | None = None
    located: Callable[[np.ndarray], Windows] | None = None
    drawn: bool = False

    def __len__(self) -> int:
        return len(self.names)


def folder_source(folder: str, framing: Framing) -> Source:
    """The pictures below a folder, local or remote. Raises UserError where they cannot be listed."""
    find.require_dataset(folder)
    try:
        found, others = find.list_pictures(folder)
    except (OSError, tf.errors.OpError) as error:
        raise find.cannot_be_listed(folder, error) from None
    if not found:
        raise find.no_pictures(folder, others)
    if others:
        logging.warning("%s: %s", folder, find.passed_over(others))
    listing = "\n".join(f"{name} {size}" for name, size in found.items())
    fingerprint = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    names, sizes = list(found), list(found.values())
    paths = [files.join(folder, name) for name in names]

    def window(index: int) -> np.ndarray:
        try:
            data = files.read_bytes(paths[index])
        except (OSError, tf.errors.OpError) as error:
            if find.lacks_pictures(folder):
                raise UserError(
                    f"dataset '{folder}' has vanished", "put it back, then the same command goes on"
                ) from None
            text = getattr(error, "strerror", None)  # without the path: equal reasons are counted together
            raise UnusablePicture(text or one_line(error)) from None
        return decode(data, lambda picture: framing.window(picture).copy())  # a view would hold the whole

    def together(indices: Sequence[int]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        small = np.array([k for k, i in enumerate(indices) if sizes[i] <= LARGEST_TOGETHER], int)
        for which, windows in windows_of_jpegs([paths[indices[k]] for k in small], framing.place):
            yield small[which], windows

    return Source(names, fingerprint, window, folder, together if processors() > FEW_PROCESSORS else None)


def pack_source(path: str, framing: Framing) -> Source:
    """A pack's windows, with the names and fingerprint of the folder it was made of. Raises UserError."""
    pack = Pack(path, framing.options())
    return Source(pack.names, pack.fingerprint, pack.window, path, located=pack.windows)


def synthetic_source(framing: Framing) -> Source:
    """The built-in drawn faces. Raises UserError."""
    try:
        framing.place(*CELEBA_SIZE)
    except UnusablePicture as reason:
        raise UserError(f"dataset '{SYNTHETIC}': {reason}", "lower --crop_size, or set no --crop_x") from None

    def window(index: int) -> np.ndarray:
        return framing.window(faces.draw(index))

    names = [f"drawn {i:06d}" for i in range(SYNTHETIC_FACES)]
    return Source(names, f"drawn faces {faces.VERSION}, {SYNTHETIC_FACES}", window, SYNTHETIC, drawn=True)


def open_source(config: Config) -> Source:
    """The pictures that --dataset names. Raises UserError."""
    framing = Framing.of(config)
    if config.dataset == SYNTHETIC:
        return synthetic_source(framing)
    if is_pack(config.dataset):
        return pack_source(config.dataset, framing)
    return folder_source(config.dataset, framing)
