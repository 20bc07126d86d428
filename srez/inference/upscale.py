"""Upscale the user's own pictures, of any kind and size."""

import contextlib
import os
from collections import defaultdict
from functools import partial

import numpy as np
import tensorflow as tf

from srez.data.portraits import override_crop, read_face, to_batch
from srez.data.samples import grid
from srez.errors import EXIT_DONE, EXIT_USER
from srez.images import find, layout
from srez.images.picture import read
from srez.inference.network import FastestNetwork, Network, load
from srez.inference.tasks import Outcome, Task, plan, read_picture, write_picture
from srez.options.config import Config
from srez.options.rules import AUTO
from srez.system import files
from srez.system.screen import Screen

FACES_AT_ONCE = 64  # that go through the network together
MAX_TILES_WAITING = 16  # tiles' worth of small pictures that may wait for others of their size


def upscale(config: Config) -> int:
    """Upscale --images into --output; the exit code, 2 where any could not be done."""
    network = load(config.checkpoint_dir, config.checkpoint, config.precision)
    found, missing, passed_over = find.find_pictures(config.images)
    tasks = plan(found, config, network.factor)
    with contextlib.closing(Screen(len(tasks), "picture")) as screen:
        outcome = Outcome(screen)
        if config.precision == AUTO and tf.config.list_physical_devices("GPU"):
            network = FastestNetwork(network, screen.say)
        for line in passed_over:
            screen.say(line)
        for word, reason in missing:
            outcome.skip(word, reason)
        wanted = [task for task in tasks if config.overwrite or not files.exists(task.target)]
        outcome.kept = len(tasks) - len(wanted)
        for _ in range(outcome.kept):
            screen.step()
        (upscale_faces if config.face else upscale_pictures)(wanted, config, network, outcome)
    said = [f"{outcome.done} upscaled {network.factor} times with {network.name} into {config.output}"]
    said += [f"{outcome.kept} were there already (--overwrite replaces them)"] if outcome.kept else []
    said += [f"{len(outcome.problems)} skipped, named above"] if outcome.problems else []
    print("; ".join(said))
    return EXIT_USER if outcome.problems else EXIT_DONE


def upscale_pictures(tasks: list[Task], config: Config, network: Network, outcome: Outcome) -> None:
    """Upscale pictures as they are; small ones of one size go through together."""
    waiting: dict[tuple, list[Task]] = defaultdict(list)
    room = config.tile**2
    for task in tasks:
        if not read_picture(task, read, outcome):
            continue
        rgb = task.picture.rgb
        key = (rgb.shape, rgb.dtype)
        waiting[key].append(task)
        pixels = {k: len(group) * k[0][0] * k[0][1] for k, group in waiting.items()}
        if pixels[key] + rgb.shape[0] * rgb.shape[1] > room:
            _upscale(waiting.pop(key), config, network, outcome)
        elif sum(pixels.values()) > MAX_TILES_WAITING * room:
            while waiting:
                _upscale(waiting.popitem()[1], config, network, outcome)
    while waiting:
        _upscale(waiting.popitem()[1], config, network, outcome)


def _upscale(group: list[Task], config: Config, network: Network, outcome: Outcome) -> None:
    """Upscale and write pictures of one size; they are let go one by one, since outputs are large."""
    try:
        small = np.stack([task.picture.rgb for task in group])
        with outcome.screen.part(small[..., 0].size, "pixel") as count:
            large = network.upscale(small, config.back_projection, config.tile, count)
    except (MemoryError, tf.errors.ResourceExhaustedError):
        for task in group:
            outcome.skip(task.path, f"no memory for tiles of --tile={config.tile}, lower it")
        return
    for task, rgb in zip(group, large, strict=True):
        write_picture(task, rgb, config, outcome)


def upscale_faces(tasks: list[Task], config: Config, network: Network, outcome: Outcome) -> None:
    """Cut the faces out of portraits, average them down and upscale that; with --compare also strips."""
    run = override_crop(network.config, config)
    for i in range(0, len(tasks), FACES_AT_ONCE):
        cut_out = partial(read_face, config=run, min_side=run.input_size)
        group = [task for task in tasks[i : i + FACES_AT_ONCE] if read_picture(task, cut_out, outcome)]
        if not group:
            continue
        batch = to_batch([task.picture for task in group], run)
        output = network.upscale(batch.feature.numpy(), config.back_projection)
        for n, task in enumerate(group):
            if config.compare:
                strip = grid(output[n : n + 1], batch.label[n : n + 1], batch.feature[n : n + 1], run)
                path = f"{os.path.splitext(task.target)[0]}_compare.png"
                files.make_folder(os.path.dirname(path))
                layout.write_png(path, strip)
            write_picture(task, layout.to_uint8(output[n]), config, outcome)
