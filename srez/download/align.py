"""A folder of photographs: their faces brought upright into CelebA's frame, as files to train on."""

import contextlib
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from types import ModuleType
from typing import NamedTuple

import numpy as np

from srez.download.aligned import LIST, NO_FACE, ONLY_SMALLER, UNREADABLE, AlignedFaces, Row
from srez.download.check import list_some
from srez.errors import MOST_NAMED, UserError, one_line
from srez.images import find
from srez.images.layout import jpeg, to_uint8
from srez.images.picture import LARGE, read
from srez.system import files
from srez.system.machine import free_memory, processors
from srez.system.processes import end_with_parent, map_in_processes
from srez.system.screen import import_tensorflow, progress

MIN_FACE = 64  # pixels: as large as a sample
LEAST_FACE = 16  # of --min_face, pixels: smaller ones are not found
PICTURES_PER_PROCESS = 16  # fewer are searched sooner than a process has started
MEMORY_PER_PROCESS = 1.5e9  # bytes


class Found(NamedTuple):
    """The faces of a picture as JPEG files' contents, and why there are none."""

    faces: list[bytes]
    reason: str = ""


def align(folder: str, out: str, min_face: int = MIN_FACE) -> None:
    """Write the faces of all pictures below a folder, 178x218 in CelebA's frame, into another.

    min_face: side of the square that CelebA's crop makes of a face, at least, pixels. Goes on where an
    earlier call was interrupted. Raises UserError, also where a picture cannot be read or none has a face.
    """
    sizes = _photographs(folder, out)
    aligned = AlignedFaces(out, os.path.realpath(folder), min_face)
    aligned.reserve(sizes)
    wanted = [name for name, size in sizes.items() if not aligned.is_done(name, size)]
    paths = [os.path.join(folder, name) for name in wanted]
    try:
        with contextlib.closing(_found(paths, min_face)) as found:
            done = len(sizes) - len(wanted)
            watched = progress(found, total=len(sizes), initial=done, desc="aligning", unit=" pictures")
            for name, (faces, reason) in zip(wanted, watched, strict=True):
                aligned.put(name, sizes[name], reason, faces)
    except BrokenProcessPool:
        problem = "a process that searched faces was ended, by a lack of memory perhaps"
        raise UserError(problem, "the same command goes on") from None
    _tell(folder, out, min_face, {name: aligned.rows[name] for name in sizes})


def _photographs(folder: str, out: str) -> dict[str, int]:
    """Pictures below a folder, but not below `out`, and their sizes in bytes. Raises UserError, OSError."""
    for option, path in (("align", folder), ("align_to", out)):
        files.require_local(option, path, "must be a local folder, copy it from there")
    find.require_folder(folder, f"--align={folder}:", "name one that is there")
    real, real_out = os.path.realpath(folder), os.path.realpath(out)
    if os.path.commonpath([real, real_out]) == real_out:
        raise UserError(f"--align_to={out}: the photographs are in it", "choose another folder")
    sizes, _ = find.list_pictures(folder)
    found = {
        name: size
        for name, size in sizes.items()
        if not os.path.realpath(os.path.join(folder, name)).startswith(real_out + os.sep)
    }
    if not found:
        kinds = f"they are {', '.join(find.EXTENSIONS)} files"
        raise UserError(f"--align={folder}: no pictures in it or below", kinds)
    return found


def _found(paths: Sequence[str], min_face: int) -> Iterator[Found]:
    """The faces of pictures, in order; many are searched by a process on each processor."""
    free = free_memory()  # 0: not known
    memory = max(1, int(free // MEMORY_PER_PROCESS)) if free else processors()
    workers = min(processors(), memory, len(paths) // PICTURES_PER_PROCESS)
    search = partial(_search, min_face=min_face)
    if workers > 1:
        yield from map_in_processes(search, paths, workers, _begin)
    elif paths:
        use_no_gpu()
        yield from map(search, paths)


def _begin() -> None:
    """Begin a process that shares the processors with others: one thread."""
    end_with_parent()
    tf = use_no_gpu()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def use_no_gpu() -> ModuleType:
    """TensorFlow, without the GPUs, of which it would take all memory."""
    tf = import_tensorflow()
    with contextlib.suppress(RuntimeError):  # in use already
        tf.config.set_visible_devices([], "GPU")
    return tf


def _search(path: str, min_face: int) -> Found:
    """The faces of a picture that are large enough."""
    import tensorflow as tf  # late: it takes seconds

    try:
        return _faces_of(read(files.read_bytes(path), LARGE).flatten(), min_face)
    except (OSError, ValueError) as error:
        return Found([], UNREADABLE + one_line(error))
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return Found([], UNREADABLE + "out of memory")


def _faces_of(picture: np.ndarray, min_face: int) -> Found:
    from srez.data.align import WHOLE, find_faces, straighten

    found = find_faces(picture, min_face) or find_faces(picture, min_face / 2)  # more finely
    faces = [face for face in found if face.side >= min_face]
    if not faces:
        return Found([], ONLY_SMALLER if found else NO_FACE)
    upright = (to_uint8(straighten(picture, face, int(WHOLE.width), WHOLE)) for face in faces)
    return Found(list(map(jpeg, upright)))  # a third of PNG's size, and training decodes many at once


def _tell(folder: str, out: str, min_face: int, rows: Mapping[str, Row]) -> None:
    """Print what became of the pictures. Raises UserError where one cannot be read, or none has a face."""
    counts = [len(row.faces) for row in rows.values()]
    reasons = Counter(row.reason for row in rows.values())
    faces, unreadable = sum(counts), {name: row.unreadable for name, row in rows.items() if row.unreadable}
    print(f"{folder}: {len(rows):,} pictures")
    print(
        f"faces: {faces:,} of {sum(map(bool, counts)):,} pictures, several in {sum(n > 1 for n in counts):,}"
    )
    print(f"no face: {reasons[NO_FACE]:,}")
    print(f"only faces of less than {min_face} pixels (--min_face): {reasons[ONLY_SMALLER]:,}")
    list_some("unreadable", [f"{name}: {reason}" for name, reason in unreadable.items()], MOST_NAMED)
    print(f"which: {os.path.join(out, LIST)}")
    if not faces:
        problem = f"{folder}: no face of at least {min_face} pixels in {len(rows):,} pictures"
        raise UserError(problem, "lower --min_face or name another folder")
    print(f"to train on: --dataset {shlex.quote(out)}")
    if unreadable:
        problem = f"{folder}: {len(unreadable):,} of {len(rows):,} pictures cannot be read"
        raise UserError(problem, "mend them or move them away; the others are done")
