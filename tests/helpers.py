"""What several test modules use: paths, drawn faces, processes that end with the tests, trainings."""

import contextlib
import ctypes
import dataclasses
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srez.data.drawn.faces import draw
from srez.options.config import Config
from srez.system.signals import Stop

ROOT = Path(__file__).resolve().parent.parent
PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
PR_SET_PDEATHSIG = 1
SMALL = {"width": 0.125, "summary_period": 10}  # a network that shows everything and takes seconds


def jpeg(number: int, quality: int = 95) -> bytes:
    """A drawn face as a JPEG file's content."""
    buffer = io.BytesIO()
    Image.fromarray(draw(number)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def at_its_start() -> None:
    """What a process does before the program that the tests start in it."""
    if PRCTL:  # tests that are killed end no context
        PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def running(
    command: list[str], then: Callable[[], object] = lambda: None, **options
) -> Iterator[subprocess.Popen]:
    """A process, its output read as text unless told otherwise, that leads a session and a group.

    It and what is left of its group are killed at the end. `then`: done in it before its program.
    """
    process = subprocess.Popen(
        command,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        start_new_session=True,
        preexec_fn=lambda: (at_its_start(), then()),
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


def nvidia_smi(folder: Path, text: str) -> None:
    """An nvidia-smi in a folder that prints a text."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\ncat <<'end'\n{text}\nend\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


# ---- trainings ---------------------------------------------------------------------------------------


def folders(root: Path) -> dict[str, str]:
    """The options that name a run's folders, all below one."""
    return {f"{name}_dir": str(root / name) for name in ("train", "checkpoint", "summary")}


def quick(faces: str, root: Path, **options) -> Config:
    """A training of some batches that traces quickly."""
    usual = {
        "gen_architect": "deconv",
        "width": 0.03125,
        "batch_size": 2,
        "max_batches": 2,
        "test_vectors": 2,
    }
    return Config(run="train", dataset=faces, **folders(root), **(usual | options))


def train(config: Config) -> int:
    """A training in this process; the exit code."""
    import srez_train

    return srez_train.train(config, Stop())


def start(spawn: Callable, faces: str, root: Path, **options) -> subprocess.Popen:
    """A training in a process of its own."""
    words = [f"--{k}={v}" for k, v in {"dataset": faces, **SMALL, **folders(root), **options}.items()]
    return spawn([sys.executable, str(ROOT / "srez_main.py"), "--run=train", "--deterministic", *words])


def copy_of(config: Config, root: Path) -> Config:
    """A run copied to another folder."""
    shutil.copytree(Path(config.train_dir).parent, root, dirs_exist_ok=True)
    return dataclasses.replace(config, **folders(root))


def newest(folder: Path | str) -> dict[str, np.ndarray]:
    """Every variable of the newest checkpoint, but for the wall clock."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(folder))
    names = [
        n for n in reader.get_variable_to_shape_map() if not n.startswith(("minutes", "_CHECKPOINTABLE"))
    ]
    return {name: reader.get_tensor(name) for name in names}


def assert_equal_checkpoints(one: Path, other: Path) -> None:
    """The newest checkpoints of two folders are the same bit for bit, but for the wall clock."""
    one, other = newest(one), newest(other)
    assert one.keys() == other.keys()
    assert len(one) > 20
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def read_until(process: subprocess.Popen, text: str) -> None:
    """Read what a process says up to a line with a text."""
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"ended without saying {text}: {process.stderr.read()}")


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until a condition holds; fails after some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# ---- photographs -------------------------------------------------------------------------------------


def astronaut(side: int = 512, turn: float = 0) -> Image.Image:
    """NASA's portrait of Eileen Collins (public domain), square, turned clockwise by so many degrees.

    At 512 pixels her eyes are at (203, 101) and (245, 102), her face is about 134 pixels wide.
    """
    from skimage import data

    picture = Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.LANCZOS)
    return picture.rotate(-turn, Image.Resampling.BICUBIC)
