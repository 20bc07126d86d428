"""A folder of pictures packed into one file."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np

from srez.data.framing import Framing
from srez.data.pack import EXTENSION, write_pack
from srez.download.check import list_some
from srez.errors import UserError
from srez.images import find
from srez.images.picture import UnusablePicture
from srez.system.screen import progress


def pack(folder: str, path: Path, framing: Framing) -> None:
    """Write the windows of a folder's pictures into one file to train from. Raises UserError, OSError."""
    find.require_folder(folder, f"--pack={folder}:", "name one that is there")
    if path.suffix != EXTENSION:
        raise UserError(f"--pack_to={path}", f"must end in {EXTENSION}")
    if path.exists():
        raise UserError(f"--pack_to={path}: is there already", "move it away or choose another name")
    from srez.data.sources import folder_source  # late: it takes TensorFlow, seconds

    source = folder_source(folder, framing)
    damaged: dict[str, str] = {}

    def window(index: int) -> np.ndarray | str:
        try:
            return source.window(index)
        except UnusablePicture as reason:
            damaged[source.names[index]] = str(reason)
            return str(reason)

    windows = _in_blocks(window, range(len(source)))
    write_pack(str(path), framing.options(), source.fingerprint, source.names, windows)
    list_some("damaged, left out", [f"{name}: {reason}" for name, reason in sorted(damaged.items())])
    size = f"{len(source):,} pictures, {path.stat().st_size / 1e6:,.0f} MB"
    print(f"{path}: {size}; to train on: --dataset {path}")


def _in_blocks(work: Callable, items: Sequence, size: int = 256) -> Iterator:
    """Results of `work` in order, made in threads, never more than a block ahead of who takes them."""
    with ThreadPool() as pool:
        blocks = (pool.map(work, items[i : i + size]) for i in range(0, len(items), size))
        results = itertools.chain.from_iterable(blocks)
        yield from progress(results, total=len(items), desc="packing", unit=" files")
