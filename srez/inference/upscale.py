"""Upscale the user's own pictures, of any kind and size."""

import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from srez.errors import EXIT_DONE, EXIT_USER
from srez.images import arrays, find
from srez.images.picture import read
from srez.inference.faces import enlarge_aligned, enlarge_faces
from srez.inference.network import Network, load
from srez.inference.tasks import Outcome, Task, plan, plural, read_picture, write_picture
from srez.options.config import Config
from srez.options.rules import AUTO
from srez.system import machine
from srez.system.screen import Screen

MAX_TILES_WAITING = 16  # tiles' worth of small pictures that may wait for others of their size
LARGE_SIDE = 64  # of a picture that is more than the face that a network knows, pixels
LARGE = 256 * 256  # pixels of a picture beyond which precision matters for the time
MAX_DIFFERENCE = 3  # levels of 255 by which bfloat16 may differ from float32 to be taken in its place
LONG = 60  # seconds of work that are told beforehand


def upscale(config: Config) -> int:
    """Upscale --images into --output; the exit code, 2 where any could not be done."""
    network = load(config.checkpoint_dir, config.checkpoint, config.precision)
    found, missing, passed_over = find.find_pictures(config.images)
    tasks = plan(found, config, network.factor)
    with contextlib.closing(Screen(len(tasks), "picture")) as screen:
        outcome = Outcome(screen, given=len(tasks) + len(missing))
        for line in passed_over:
            screen.say(line)
        for word, reason in missing:
            outcome.skip(word, reason)
        wanted = [task for task in tasks if config.overwrite or not task.is_done(config.compare)]
        outcome.kept = len(tasks) - len(wanted)
        screen.step(outcome.kept)
        if not config.face:
            upscale_pictures(wanted, config, network, outcome)
        elif config.aligned:
            enlarge_aligned(wanted, config, network, outcome)
        else:
            enlarge_faces(wanted, config, network, outcome)
    print(summary(outcome, config, network))
    return EXIT_USER if outcome.problems else EXIT_DONE


def summary(outcome: Outcome, config: Config, network: Network) -> str:
    """What was done, on one line."""
    if config.face:
        side, small = network.config.sample_size, network.config.input_size
        what = f"drawn from {small}x{small}" if config.redraw or config.aligned else "enlarged"
        said = [
            f"{plural(outcome.faces, 'face')} of {plural(outcome.given, 'picture')} {what} to {side}x{side} "
            f"with {network.name} into {config.output}"
        ]
        said += [f"{outcome.pasted} put back together"] if outcome.pasted else []
        said += [f"{outcome.left} with nothing to gain, named above"] if outcome.left else []
    else:
        said = [f"{outcome.done} upscaled {network.factor} times with {network.name} into {config.output}"]
    said += [f"{outcome.kept} were there already (--overwrite replaces them)"] if outcome.kept else []
    said += [f"{len(set(outcome.problems))} skipped, named above"] if outcome.problems else []
    return "; ".join(said)


def upscale_pictures(tasks: list[Task], config: Config, network: Network, outcome: Outcome) -> None:
    """Upscale pictures as they are; small ones of one size go through together."""
    waiting: dict[tuple, list[Task]] = defaultdict(list)
    room = config.tile**2
    work = Upscaling(config, network, outcome)
    for task in tasks:
        if not read_picture(task, read, outcome):
            continue
        rgb = task.picture.rgb
        if rgb.shape[0] * rgb.shape[1] > LARGE:  # each has a precision of its own
            work.upscale([task])
            continue
        key = (rgb.shape, rgb.dtype)
        waiting[key].append(task)
        pixels = {k: len(group) * k[0][0] * k[0][1] for k, group in waiting.items()}
        if pixels[key] + rgb.shape[0] * rgb.shape[1] > room:
            work.upscale(waiting.pop(key))
        elif sum(pixels.values()) > MAX_TILES_WAITING * room:
            while waiting:
                work.upscale(waiting.popitem()[1])
    while waiting:
        work.upscale(waiting.popitem()[1])


@dataclass
class Upscaling:
    """Upscales and writes groups of pictures of one size; says what large ones can expect."""

    config: Config
    network: Network
    outcome: Outcome
    hinted: bool = False

    def upscale(self, group: list[Task]) -> None:
        """Pictures are let go one by one, since outputs are large."""
        self.hint(max(group[0].picture.rgb.shape[:2]))
        try:
            small = np.stack([task.picture.rgb for task in group])
            network = self.choose(small[0], group[0].picture.notes)
            with self.outcome.screen.part(small[..., 0].size, "pixel") as count:
                progress = Expectation(small[..., 0].size, group[0].path, self.outcome.screen, count)
                large = network.upscale(small, self.config.back_projection, self.config.tile, progress.step)
        except (MemoryError, tf.errors.ResourceExhaustedError):
            for task in group:
                self.outcome.skip(task.path, f"no memory for tiles of --tile={self.config.tile}, lower it")
            return
        for task, rgb in zip(group, large, strict=True):
            picture, task.picture = task.picture, None
            if write_picture(task, task.target, picture, rgb, self.config.format, self.outcome):
                self.outcome.done += 1
                self.outcome.screen.step()

    def hint(self, side: int) -> None:
        """Say once, before a larger picture, what a network that knows small faces makes of it."""
        if side > LARGE_SIDE and not self.hinted:
            self.hinted = True
            size = self.network.config.input_size
            self.outcome.screen.say(
                f"the network knows faces about {size} pixels wide: of larger ones it sharpens the edges and "
                "spoils the eyes; --face enlarges a photograph's small faces, --face --redraw shows what it "
                f"makes of {size} pixels"
            )

    def choose(self, picture: np.ndarray, notes: list[str]) -> Network:
        """The network, or for a large picture its like in bfloat16 where that is faster and does not show."""
        config, height, width = self.config, *picture.shape[:2]
        if config.precision != AUTO or height * width <= LARGE or not fast_bfloat16():
            return self.network
        side = min(config.tile, height, width)
        top, left = (height - side) // 2, (width - side) // 2
        middle = arrays.to_float(picture[None, top : top + side, left : left + side])
        outputs = [one.upscale(middle, config.back_projection, side) for one in (self.network, self.half)]
        levels = 255 * float(np.abs(outputs[0] - outputs[1]).max())
        agree = levels <= MAX_DIFFERENCE  # not where a number is not finite
        taken, other = ("bfloat16", "float32") if agree else ("float32", "bfloat16")
        notes.append(f"in {taken}, {levels:.1f} of 255 levels from {other}")
        return self.half if agree else self.network

    @functools.cached_property
    def half(self) -> Network:
        """The network in bfloat16."""
        return load(self.config.checkpoint_dir, self.config.checkpoint, "bfloat16")


def fast_bfloat16() -> bool:
    """Whether bfloat16 is faster here than float32: on GPUs, and on processors that have it."""
    return bool(tf.config.list_physical_devices("GPU")) or machine.has_bfloat16()


@dataclass
class Expectation:
    """Says after the first tile of a picture how long it will take, where that is long."""

    total: int  # pixels
    path: str
    screen: Screen
    count: Callable[[float], object]
    done: int = 0
    since: float = field(default_factory=lambda: time.monotonic())

    def step(self, pixels: int) -> None:
        """So many more pixels are done."""
        seconds = (time.monotonic() - self.since) / pixels * (self.total - pixels)
        if not self.done and seconds > LONG:
            self.screen.say(f"{self.path}: about {plural(round(seconds / 60), 'minute')} more")
        self.done += pixels
        self.count(pixels)
