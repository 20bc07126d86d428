"""What all tests share: quiet TensorFlow, a folder of drawn faces, the command line as a user runs it."""

import contextlib
import ctypes
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pytest
from PIL import Image

import srez_faces

ROOT = Path(__file__).resolve().parent.parent
PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
PR_SET_PDEATHSIG = 1

# under nohup or in the background they are ignored, and so they would be in everything that the tests start
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
if PRCTL and "PYTEST_XDIST_WORKER" in os.environ:  # a worker whose pytest was ended goes on by itself
    PRCTL(PR_SET_PDEATHSIG, signal.SIGINT)


def jpeg(number: int, quality: int = 95) -> bytes:
    """A drawn face as a JPEG file's content."""
    buffer = io.BytesIO()
    Image.fromarray(srez_faces.draw(number)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> str:
    """A folder of 60 drawn faces, 178x218, 000001.jpg to 000060.jpg; not to be changed."""
    folder = tmp_path_factory.mktemp("faces")
    for number in range(1, 61):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg(number))
    return str(folder)


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


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen]]:
    """`running` until the test is over."""
    with contextlib.ExitStack() as started:
        yield lambda *words, **options: started.enter_context(running(*words, **options))


@pytest.fixture(scope="session")
def srez():
    """Runs `python3 srez_main.py` with options given as keywords; the finished process."""

    def run(
        *words: str, cwd: str | Path = ROOT, timeout: float = 300, **options
    ) -> subprocess.CompletedProcess:
        command = [sys.executable, str(ROOT / "srez_main.py"), *words]
        command += [f"--{name}={value}" for name, value in options.items()]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture(scope="session")
def trained(faces, tmp_path_factory) -> str:
    """The checkpoint_dir of a run as if trained, batches 3 and 7, with strong weights; not to be changed."""
    import numpy as np

    from srez_checkpoint import Checkpoints
    from srez_config import Config
    from srez_input import open_dataset
    from srez_run import Run
    from srez_step import Trainer

    root = tmp_path_factory.mktemp("trained")
    folders = {f"{name}_dir": str(root / name) for name in ("train", "checkpoint", "summary")}
    config = Config(run="train", dataset=faces, width=0.125, test_vectors=6, batch_size=4, **folders)
    dataset = open_dataset(config)
    run = Run(config).open()
    run.describe(dataset.source.fingerprint, len(dataset.source))
    trainer = Trainer(config)
    checkpoints = Checkpoints(config.checkpoint_dir, trainer.parts)
    random = np.random.default_rng(0)
    for batch in (3, 7):
        for variable in trainer.generator.variables:
            value = random.normal(size=variable.shape)
            if variable.name == "kernel":  # all layers count, so that a tile's margin does
                value *= np.sqrt(1 / np.prod(variable.shape[:3]))
            elif variable.name.startswith("moving"):
                value = np.abs(value) / 4 + 0.5
            else:
                value /= 4
            variable.assign(value)
        checkpoints.save(batch, 0.0)
    return config.checkpoint_dir
