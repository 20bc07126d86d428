"""Drawn faces in a folder: as JPEG files, whole or not at all, by several processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from fake_drive import contents
from helpers import ROOT
from PIL import Image

from srez.data.drawn import faces
from srez.download import drawn
from srez.download import unpack as unpacking


def test_drawn_faces_as_jpeg(call, tmp_path, drive):
    code, out, _ = call("--source", "synthetic", "--count", "3")
    assert (code, drive.seen) == (0, [])
    assert "drawn" in out
    assert "not photographs" in out
    assert sorted(contents(tmp_path / "dataset")) == ["000001.jpg", "000002.jpg", "000003.jpg"]
    for number in (1, 2, 3):
        with Image.open(tmp_path / "dataset" / f"{number:06d}.jpg") as picture:
            assert (picture.format, picture.size, picture.mode) == ("JPEG", (178, 218), "RGB")
            difference = np.asarray(picture).astype(int) - faces.draw(number)
        assert np.abs(difference).mean() < 4
        assert np.abs(np.asarray(faces.draw(number)).astype(int) - faces.draw(number + 1)).mean() > 8


def test_more_of_them_later(call, tmp_path):
    call("--source", "synthetic", "--count", "2")
    before = contents(tmp_path / "dataset")
    assert call("--source", "synthetic", "--count", "4")[0] == 0
    after = contents(tmp_path / "dataset")
    assert len(after) == 4
    assert before.items() < after.items()
    code, out, _ = call("--source", "synthetic", "--count", "2")
    assert code == 0
    assert "4 pictures, all there" in out


def test_whole_or_not_at_all(call, tmp_path, monkeypatch):
    def draw(number, seed=0):
        if number == 20:
            raise OSError(28, "No space left on device")
        return np.zeros((218, 178, 3), np.uint8)

    monkeypatch.setattr(faces, "draw", draw)
    assert "No space left" in call("--source", "synthetic", "--count", "40")[2]
    assert os.listdir(tmp_path) == []


def test_full_disk(call, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "free_bytes", lambda folder: 1000)
    assert "GB free" in call("--source", "synthetic", "--count", "40")[2]
    assert os.listdir(tmp_path) == []


def test_processes_draw_the_same_files(call, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    call("--source", "synthetic", "--count", "40", "--dest", "alone")
    monkeypatch.setattr(drawn, "FACES_PER_PROCESS", 20)
    assert call("--source", "synthetic", "--count", "40", "--dest", "together")[0] == 0
    assert len(contents(tmp_path / "together")) == 40
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


def test_a_process_that_is_killed(call, tmp_path, monkeypatch):
    """As by a system that is out of memory: one line, no traceback of the pool, nothing left over."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    def kill_one():
        while not list(tmp_path.glob("dataset/.srez_unfinished/*.jpg")):
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    code, _, message = call("--source", "synthetic", "--count", "50000")
    assert code == 2
    assert "a process that drew was ended" in message
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_processes_draw(tmp_path, spawn, number):
    """Ctrl-C goes to the whole group: exit 75, no traceback, nothing left over, no process either."""
    words = ["--source", "synthetic", "--count", "100000"]
    child = spawn(
        [sys.executable, str(ROOT / "download_data.py"), *words], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 40
    while not list(tmp_path.glob("dataset/.srez_unfinished/*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(child.pid, number)
    err = child.communicate(timeout=30)[1]  # returns when the last process has closed it
    assert child.returncode == 75, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == []
