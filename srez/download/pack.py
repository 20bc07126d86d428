"""A folder of pictures packed into one file."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from srez.data.pack import EXTENSION
from srez.download.check import list_some
from srez.errors import UserError
from srez.images import find
from srez.system.screen import progress


def pack(folder: str, path: Path, options: Mapping[str, int]) -> None:
    """Write the windows of a folder's pictures into one file to train from. Raises UserError, OSError."""
    find.require_folder(folder, f"--pack={folder}:", "name one that is there")
    if path.suffix != EXTENSION:
        raise UserError(f"--pack_to={path}", f"must end in {EXTENSION}")
    if path.exists():
        raise UserError(f"--pack_to={path}: is there already", "move it away or choose another name")
    from srez.data import sources  # late: it takes TensorFlow, seconds

    framing = sources.Framing(**{name.removeprefix("crop_"): n for name, n in options.items()})
    count, damaged = sources.pack_folder(folder, str(path), framing, _in_blocks)
    list_some("damaged, left out", [f"{name}: {reason}" for name, reason in sorted(damaged.items())])
    print(f"{path}: {count:,} pictures, {path.stat().st_size / 1e6:,.0f} MB; to train on: --dataset {path}")


def _in_blocks(work: Callable, items: Sequence, size: int = 256) -> Iterator:
    """Results of `work` in order, made in threads, never more than a block ahead of who takes them."""
    with ThreadPool() as pool:
        blocks = (pool.map(work, items[i : i + size]) for i in range(0, len(items), size))
        results = itertools.chain.from_iterable(blocks)
        yield from progress(results, total=len(items), desc="packing", unit=" files")
