"""Drawn faces in a folder, as JPEG files."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from srez.download.unpack import has_all, make_dataset, require_room, survey
from srez.errors import UserError
from srez.images.layout import jpeg
from srez.options.config import SYNTHETIC
from srez.system.processes import map_in_processes
from srez.system.screen import progress

FACES_PER_PROCESS = 150  # drawn faces; fewer are drawn sooner than a process has started
FACES_WAITING = 16  # for every process


def synthetic(dest: Path, count: int) -> None:
    """Write drawn faces 1 to `count` as JPEG files into `dest`. Raises UserError, OSError."""
    marker = survey(dest, SYNTHETIC)
    if has_all(dest, marker, count):
        return
    new = {n: f"{n:06d}.jpg" for n in range(1, count + 1) if f"{n:06d}.jpg" not in marker.files}
    require_room(dest, 16384 * len(new))  # one of them has about 12 kB
    make_dataset(dest, marker, list(new.values()), lambda stage: _draw_all(new, stage))
    has_all(dest, survey(dest, SYNTHETIC), count)
    print("These faces are drawn by the program, they are not photographs.")


def _draw_all(names: dict[int, str], stage: Path) -> None:
    """Draw faces by number into files of a folder. Raises UserError where a process that draws is ended."""
    try:
        with contextlib.closing(_drawn(list(names))) as drawn:
            watched = progress(drawn, total=len(names), desc="drawing", unit=" files")
            for name, data in zip(names.values(), watched, strict=True):
                (stage / name).write_bytes(data)
    except BrokenProcessPool:
        problem = "a process that drew was ended, by a lack of memory perhaps"
        raise UserError(problem, "give the same command again") from None


def _drawn(numbers: Sequence[int]) -> Iterator[bytes]:
    """Drawn faces as JPEG files, in order. In processes: drawing holds a lock that threads would wait for."""
    workers = min(os.cpu_count() or 1, len(numbers) // FACES_PER_PROCESS)
    if workers < 2:
        yield from map(_jpeg, numbers)
        return
    yield from map_in_processes(_jpeg, numbers, workers, ahead=FACES_WAITING)


def _jpeg(number: int) -> bytes:
    from srez.data.drawn import faces  # late: the other modes do without

    return jpeg(faces.draw(number), subsampling="4:2:0")
