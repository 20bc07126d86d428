"""What several test modules use: the checkout's path, drawn faces, processes that end with the tests."""

import contextlib
import ctypes
import io
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from srez.data.drawn.faces import draw

ROOT = Path(__file__).resolve().parent.parent
PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
PR_SET_PDEATHSIG = 1


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
