"""What all tests share: quiet TensorFlow, a folder of drawn faces, the command line as a user runs it."""

import io
import os
import subprocess
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import pytest
from PIL import Image

import srez_faces

ROOT = Path(__file__).resolve().parent.parent


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
