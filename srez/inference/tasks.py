"""Pictures to be read, enlarged and written: a task for each, and what became of them."""

import os
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


@dataclass
class Task:
    """One picture: where it is read and where it goes."""

    path: str
    target: str
    picture: Picture | None = None


@dataclass
class Outcome:
    """What became of the pictures; names what was skipped."""

    screen: Screen
    done: int = 0
    kept: int = 0
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
    ending = f"_x{factor}{ENDINGS[config.format]}"
    output = files.real(config.output) + "/"
    for path, name in found.items():
        folder = files.real(path.removesuffix(name)) + "/"
        if folder != output and output.startswith(folder) and files.real(path).startswith(output):
            continue  # the output lies below a folder that was named
        stem = files.join(config.output, os.path.splitext(name)[0])
        target, number = stem + ending, 1
        while target in taken:
            number += 1
            target = f"{stem}_{number}{ending}"
        taken.add(target)
        tasks.append(Task(path, target))
    written = {files.real(task.target) for task in tasks}
    return [task for task in tasks if files.real(task.path) not in written]


def read_picture(task: Task, reader: Callable[[bytes], Picture], outcome: Outcome) -> bool:
    """Read a task's picture; False where that cannot be done, which is said."""
    try:
        task.picture = reader(files.read_bytes(task.path))
        return True
    except (ValueError, OSError, tf.errors.OpError) as error:
        outcome.skip(task.path, error)
        return False


def write_picture(task: Task, rgb: np.ndarray, config: Config, outcome: Outcome) -> None:
    """Write what was made of a task's picture, [H, W, 3], and let the picture go."""
    picture = task.picture
    task.picture = None
    try:
        data = picture.encode(rgb, config.format)
    except ValueError as error:
        outcome.skip(task.path, error)
        return
    files.make_folder(os.path.dirname(task.target))
    files.write_whole(task.target, data)
    notes = f" ({'; '.join(picture.notes)})" if picture.notes else ""
    outcome.screen.say(f"{task.path} -> {task.target} {rgb.shape[1]}x{rgb.shape[0]}{notes}")
    outcome.done += 1
    outcome.screen.step()
