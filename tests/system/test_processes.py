"""Child processes: they end with their parent, and no signal to the whole group ends one that only begins."""

import os
import signal
import sys
import time

import pytest
from helpers import ROOT

from srez.system.processes import command_ending_with_parent

POOL = """
import multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
from srez.system.processes import end_with_parent, signals_held
if __name__ != "__main__":
    time.sleep(1)  # imports that take their time
if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: print("told", flush=True))
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent)
    with signals_held():
        results = pool.map(abs, [-3])
        {inside}
    print("started", flush=True)
    print(*results, flush=True)
"""


@pytest.fixture
def pool(tmp_path, spawn):
    """A program in a group of its own that has a process call abs(-3)."""

    def start(inside: str = "pass"):
        path = tmp_path / "program.py"
        path.write_text(POOL.replace("{inside}", inside))
        return spawn([sys.executable, str(path)], env=os.environ | {"PYTHONPATH": str(ROOT)})

    return start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_leaves_a_child_that_begins(pool, number):
    process = pool()
    assert process.stdout.readline() == "started\n"
    time.sleep(0.3)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "told\n3\n", "")


def test_a_held_signal_comes_when_the_block_ends(pool):
    process = pool(inside="os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.2); print('end')")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "end\ntold\nstarted\n3\n", "")


def test_a_child_ends_with_a_parent_that_is_killed(pool):
    process = pool(inside="results = pool.map(time.sleep, [60])")
    assert process.stdout.readline() == "started\n"
    time.sleep(2)  # the child has begun, and sleeps for a minute
    process.kill()
    process.communicate(timeout=20)  # returns when the last process has closed them
    assert process.returncode == -signal.SIGKILL


def test_sigterm_ends_a_child_after_two_seconds(pool):
    program = "import os, signal, time; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    process = pool(inside=f"results = pool.map(exec, ['{program}'])")
    begun = time.monotonic()
    err = process.communicate(timeout=30)[1]
    assert "BrokenProcessPool" in err
    assert 2 < time.monotonic() - begun < 25


def test_a_command_ends_with_a_parent_that_is_killed(spawn):
    words = command_ending_with_parent(["/bin/sh", "-c", "echo begun; exec sleep 60"])
    program = f"import subprocess, time; subprocess.Popen({words!r}); time.sleep(60)"
    process = spawn([sys.executable, "-c", program])
    assert process.stdout.readline() == "begun\n"
    process.kill()
    process.communicate(timeout=20)  # returns when the last process has closed them
