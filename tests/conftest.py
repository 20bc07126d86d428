"""What all tests share: quiet TensorFlow, a folder of drawn faces, the command line as a user runs it."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pytest
from helpers import PR_SET_PDEATHSIG, PRCTL, ROOT, jpeg, running

# under nohup or in the background they are ignored, and so they would be in everything that the tests start
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
if PRCTL and "PYTEST_XDIST_WORKER" in os.environ:  # a worker whose pytest was ended goes on by itself
    PRCTL(PR_SET_PDEATHSIG, signal.SIGINT)


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> str:
    """A folder of 60 drawn faces, 178x218, 000001.jpg to 000060.jpg; not to be changed."""
    folder = tmp_path_factory.mktemp("faces")
    for number in range(1, 61):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg(number))
    return str(folder)


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen]]:
    """`running` until the test is over."""
    with contextlib.ExitStack() as started:
        yield lambda *words, **options: started.enter_context(running(*words, **options))


@pytest.fixture
def lock(monkeypatch) -> Callable[..., None]:
    """Makes folders such that they cannot be listed, as those without permission, which do not bind root."""

    def lock(*folders: Path) -> None:
        scandir = os.scandir

        def denied(path: str = ".") -> Iterator[os.DirEntry]:
            if Path(path) in folders:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", denied)

    return lock


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

    from srez.data.dataset import open_dataset
    from srez.options.config import Config
    from srez.runs.run import Run
    from srez.training.checkpoints import Checkpoints
    from srez_model import Gan

    root = tmp_path_factory.mktemp("trained")
    folders = {f"{name}_dir": str(root / name) for name in ("train", "checkpoint", "summary")}
    config = Config(run="train", dataset=faces, width=0.125, test_vectors=6, batch_size=4, **folders)
    dataset = open_dataset(config)
    run = Run(config).open()
    run.describe(dataset.source.fingerprint, len(dataset.source))
    gan = Gan(config)
    checkpoints = Checkpoints(config.checkpoint_dir, gan.parts)
    random = np.random.default_rng(0)
    for batch in (3, 7):
        for variable in gan.generator.variables:
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
