"""Leases on folders: one winner whatever happens at the same time, and nobody left out by the dead."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT

from srez.study import lease as lease_module
from srez.study.lease import Lease, Leases, State, holder

FORK = multiprocessing.get_context("fork")


def make_foreign(folder: Path, number: int = 1) -> Path:
    """A lease of another machine."""
    folder.mkdir(exist_ok=True)
    path = folder / f"claim.{number}"
    path.write_text(json.dumps({"process": 1, "host": "elsewhere", "boot": "another"}))
    return path


@pytest.fixture
def clock(monkeypatch):
    """The clock of leases, to be moved by hand."""
    now = [1000.0]
    monkeypatch.setattr(lease_module.time, "monotonic", lambda: now[0])
    return now


# ---- races -----------------------------------------------------------------------------------------


def take_all(folders: list[Path], start, won, hold) -> None:
    leases = Leases()
    start.wait()
    mine = [(folder.name, leases.take(folder)) for folder in folders]
    won.put([name for name, lease in mine if lease])
    hold.wait()  # nobody frees a lease while others still try


@pytest.mark.parametrize("left", ["nothing", "a released lease", "a dead lease"])
def test_of_eight_processes_one_gets_each_folder(tmp_path, left):
    folders = [tmp_path / f"run{i}" for i in range(40)]
    if left == "a released lease":
        for folder in folders:
            Leases().take(folder).release()
    elif left == "a dead lease":
        for folder in folders:  # closed without a release, as the kernel does it for the killed
            os.close(Leases().take(folder).descriptor)
    start, won, hold = FORK.Barrier(8), FORK.Queue(), FORK.Event()
    racers = [FORK.Process(target=take_all, args=(folders, start, won, hold)) for _ in range(8)]
    for racer in racers:
        racer.start()
    names = [name for _ in racers for name in won.get(timeout=30)]
    hold.set()
    for racer in racers:
        racer.join()
    assert sorted(names) == sorted(folder.name for folder in folders)
    number = 1 if left == "nothing" else 2
    assert {p.name for p in tmp_path.glob("*/claim.*")} == {f"claim.{n}" for n in range(1, number + 1)}


# ---- this machine ----------------------------------------------------------------------------------

HOLD = """
import sys, time, subprocess
from pathlib import Path
from srez.study.lease import Leases
lease = Leases().take(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", sys.argv[2]], pass_fds=[lease.descriptor], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def holding(spawn):
    """Starts a process that holds a lease, and a child of it that shares the lease."""

    def start(folder: Path, child_lives: float) -> tuple[subprocess.Popen, int]:
        words = [sys.executable, "-c", HOLD, str(folder), str(child_lives)]
        process = spawn(words, env=os.environ | {"PYTHONPATH": str(ROOT)})
        return process, int(process.stdout.readline())

    return start


def take_soon(folder: Path) -> Lease:
    """The lease on a folder whose holder was killed: the kernel needs a moment to end a process."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if (lease := Leases().take(folder)) is not None:
            return lease
        time.sleep(0.01)
    raise AssertionError("the lease is still held")


def test_a_claim_is_held_while_its_holder_lives(tmp_path):
    leases = Leases()
    lease = leases.take(tmp_path / "run")
    assert leases.take(tmp_path / "run") is None
    assert leases.state(tmp_path / "run") is State.HELD
    assert Leases().take(tmp_path / "run") is None
    assert holder(tmp_path / "run").startswith(f"process {os.getpid()} on ")
    lease.release()
    assert leases.state(tmp_path / "run") is State.FREE
    again = leases.take(tmp_path / "run")
    assert again.path.name == "claim.2"
    again.release()


def test_a_killed_holder_leaves_its_claim_at_once(tmp_path, holding):
    process, child = holding(tmp_path / "run", 60)
    os.kill(child, signal.SIGKILL)
    assert Leases().take(tmp_path / "run") is None
    process.kill()
    process.wait()
    assert take_soon(tmp_path / "run").path.name == "claim.2"


def test_a_killed_holder_leaves_nothing_while_its_training_lives(tmp_path, holding):
    process, child = holding(tmp_path / "run", 60)
    process.kill()
    process.wait()
    assert Leases().take(tmp_path / "run") is None
    os.kill(child, signal.SIGKILL)
    assert take_soon(tmp_path / "run").path.name == "claim.2"


def test_a_process_number_that_was_given_again_holds_nothing(tmp_path):
    lease = Leases().take(tmp_path / "run")
    os.close(lease.descriptor)
    assert json.loads(lease.path.read_text())["process"] == os.getpid()  # which lives
    assert Leases().state(tmp_path / "run") is State.FREE


# ---- other machines --------------------------------------------------------------------------------


def test_another_machine_is_given_five_minutes_of_this_ones_time(tmp_path, clock):
    path, leases = make_foreign(tmp_path / "run"), Leases()
    os.utime(path, (1e9, 1e9))  # clocks need not agree
    assert leases.state(tmp_path / "run") is State.UNKNOWN
    clock[0] += 299
    assert leases.take(tmp_path / "run") is None
    clock[0] += 2
    assert leases.take(tmp_path / "run").path.name == "claim.2"


def test_another_machine_that_shows_life_keeps_its_claim(tmp_path, clock):
    path, leases = make_foreign(tmp_path / "run"), Leases()
    assert leases.state(tmp_path / "run") is State.UNKNOWN
    for second in range(30, 1200, 30):
        clock[0] += 30
        os.utime(path, (1e9 + second, 1e9 + second))
        assert leases.state(tmp_path / "run") is State.HELD
        assert leases.state(tmp_path / "run") is State.HELD
    clock[0] += 301
    assert leases.state(tmp_path / "run") is State.FREE


def test_another_machine_that_released_its_claim(tmp_path, clock):
    os.utime(make_foreign(tmp_path / "run"), (0, 0))
    assert Leases().take(tmp_path / "run").path.name == "claim.2"


def test_a_claim_without_an_owner_yet_is_given_time(tmp_path, clock):
    (tmp_path / "claim.1").write_text("")
    assert Leases().state(tmp_path) is State.UNKNOWN
    assert holder(tmp_path) == "another process"


def test_the_highest_number_counts(tmp_path, clock):
    os.utime(make_foreign(tmp_path, 9), (0, 0))
    make_foreign(tmp_path, 10)
    (tmp_path / "lease.old").write_text("")
    assert Leases().state(tmp_path) is State.UNKNOWN


def test_beats_come_every_thirty_seconds(tmp_path, monkeypatch):
    now = [time.time()]
    lease = Leases().take(tmp_path / "run")
    monkeypatch.setattr(lease_module.time, "time", lambda: now[0])
    os.utime(lease.path, (5, 5))
    now[0] += 29
    assert lease.renew()
    assert lease.path.stat().st_mtime == 5
    now[0] += 2
    assert lease.renew()
    assert lease.path.stat().st_mtime > 1e9
    lease.release()


def test_who_slept_and_was_taken_over_is_told(tmp_path, monkeypatch):
    now = [time.time()]
    lease = Leases().take(tmp_path / "run")
    monkeypatch.setattr(lease_module.time, "time", lambda: now[0])
    make_foreign(tmp_path / "run", 2)
    now[0] += 3600
    assert not lease.renew()
    lease.release()


def test_a_folder_that_was_deleted_is_lost(tmp_path, monkeypatch):
    now = [time.time()]
    lease = Leases().take(tmp_path / "run")
    lease.path.unlink()
    monkeypatch.setattr(lease_module.time, "time", lambda: now[0])
    now[0] += 31
    assert not lease.renew()
    lease.release()
