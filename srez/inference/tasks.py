"""Pictures to be read, enlarged and written: a task for each, and what became of them."""

import errno
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from srez.errors import one_line
from srez.images.picture import ENDINGS, Picture
from srez.options.config import Config
from srez.system import files
from srez.system.screen import Screen

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # after which no other file can be written either


@dataclass
class Task:
    """One picture: where it is read; where it goes: stem, and ending of what is written last."""

    path: str
    stem: str
    ending: str
    picture: Picture | None = None

    @property
    def target(self) -> str:
        """The file that is written last."""
        return self.stem + self.ending

    def is_done(self, compare: bool) -> bool:
        """Whether what is written for the picture is there; compare: with a strip for every face."""
        strip = f"{os.path.splitext(self.target)[0]}_compare.png"
        return files.exists(self.target) and (not compare or files.exists(strip))


@dataclass
class Outcome:
    """What became of the pictures; names what was skipped."""

    screen: Screen
    given: int = 0  # pictures, and words that name none
    done: int = 0  # upscaled as they are
    kept: int = 0
    left: int = 0  # pictures whose faces have nothing to gain
    faces: int = 0  # written
    pasted: int = 0  # pictures with their faces put back
    problems: list[str] = field(default_factory=list)

    def skip(self, path: str, reason: object) -> None:
        """Name a picture that cannot be used."""
        self.problems.append(path)
        print(f"srez: skipped {path}: {one_line(reason)}", file=sys.stderr, flush=True)
        self.screen.step()


def plan(found: dict[str, str], config: Config, factor: int) -> list[Task]:
    """A task for every picture, each with a target of its own; what this command writes is not read again."""
    taken: set[str] = set()
    tasks = []
    format_ending = ENDINGS[config.format]
    kind = "_redrawn1" if config.redraw else "_face1" if config.face else f"_x{factor}"
    ending = kind + format_ending
    output = files.real(config.output) + "/"
    for path, name in found.items():
        folder = files.real(path.removesuffix(name)) + "/"
        if folder != output and output.startswith(folder) and files.real(path).startswith(output):
            continue  # the output lies below a folder that was named
        named = stem = files.join(config.output, os.path.splitext(name)[0])
        number = 1
        while stem in taken:
            number += 1
            stem = f"{named}_{number}"
        taken.add(stem)
        tasks.append(Task(path, stem, ending))
    stems = {files.real(stem) for stem in taken}
    return [task for task in tasks if not _is_output(files.real(task.path), stems)]


def _is_output(path: str, stems: set[str]) -> bool:
    """Whether a file is named like what is written for a picture with one of the stems."""
    match = re.fullmatch(r"(.+?)((_faces)?_x\d+|_(face|redrawn)\d+(_compare)?)(\.\w+)", path)
    return bool(match) and match[1] in stems and match[6] in ENDINGS.values()


def read_picture(task: Task, reader: Callable[[bytes], Picture], outcome: Outcome) -> bool:
    """Read a task's picture; False where that cannot be done, which is said."""
    try:
        task.picture = reader(files.read_bytes(task.path))
        return True
    except (ValueError, OSError, tf.errors.OpError) as error:
        outcome.skip(task.path, error)
        return False


def write_picture(
    task: Task, path: str, picture: Picture, rgb: np.ndarray, format: str, outcome: Outcome, said: str = ""
) -> bool:
    """Write what was made of a task's picture, [H, W, 3], in the mode of `picture`; False if it cannot be.

    Tells what was written, with `said` and the notes of `picture`, or what is wrong.
    """
    try:
        data = picture.encode(rgb, format)
    except ValueError as error:
        outcome.skip(task.path, error)
        return False
    if not write_file(task, path, data, outcome):
        return False
    notes = "; ".join(filter(None, [said, *picture.notes]))
    size = f"{rgb.shape[1]}x{rgb.shape[0]}"
    outcome.screen.say(f"{task.path} -> {path} {size}{f' ({notes})' if notes else ''}")
    return True


def write_file(task: Task, path: str, data: bytes, outcome: Outcome) -> bool:
    """Write a file for a task; False where that cannot be done, which is said.

    Raises OSError where no other could be written either: a full or read-only disk.
    """
    try:
        files.make_folder(os.path.dirname(path))
        files.write_whole(path, data)
        return True
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise
        outcome.skip(task.path, f"{error.strerror}: cannot write {path}")
        return False


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
