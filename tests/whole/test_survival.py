"""What a run survives: kill -9, signals, damage, a second training beside it, folders and disks that go."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import pty
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    ROOT,
    assert_equal_checkpoints,
    copy_of,
    folders,
    jpeg,
    newest,
    quick,
    read_until,
    running,
    start,
    train,
)
from PIL import Image

import srez_train
from srez.errors import UserError, as_user_error
from srez.options.config import Config
from srez.runs.run import Run
from srez.system import files
from srez.training.budget import Budget
from srez.training.checkpoints import Checkpoints
from srez.training.update import Updates
from srez_model import Gan

TINY = {"gen_architect": "deconv", "width": 0.03125, "batch_size": 4, "test_vectors": 2}
PERIODS = {"summary_period": 2, "checkpoint_period": 2, "log_period": 1, "checkpoint_keep": 3}


@pytest.fixture(scope="module")
def four(faces, tmp_path_factory) -> Config:
    """Four batches with a checkpoint of each; not to be changed."""
    config = quick(faces, tmp_path_factory.mktemp("four"), max_batches=4, checkpoint_period=1)
    assert train(config) == 0
    return config


@pytest.fixture
def copy(four, tmp_path) -> Config:
    """The same in a folder of its own."""
    return dataclasses.replace(copy_of(four, tmp_path), max_batches=5)


# ---- kill -9 ---------------------------------------------------------------------------------------


def command(faces: str, root: Path, batches: int) -> list[str]:
    options = {"dataset": faces, "max_batches": batches, **TINY, **PERIODS, **folders(root)}
    words = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, str(ROOT / "srez_main.py"), "--run=train", "--deterministic", *words]


def kill_at_random_moments(faces: str, root: Path, times: int, batches: int, seed: int) -> None:
    """Start, kill some time after the first batch, and so on; then let it finish."""
    moments = random.Random(seed)
    for _ in range(times):
        with running(command(faces, root, batches)) as process:
            read_until(process, "Batch [")
            time.sleep(moments.uniform(0, 0.4))
            process.kill()
            process.communicate()
        assert_nothing_is_half(root)
    done = subprocess.run(command(faces, root, batches), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def assert_nothing_is_half(root: Path) -> None:
    for path in (root / "train").glob("*.png"):
        if not path.name.startswith("."):
            Image.open(path).load()
    folder = root / "checkpoint"
    for path in folder.glob("srez-*.index"):
        assert newest(path.with_suffix(""))["batch/.ATTRIBUTES/VARIABLE_VALUE"] == int(path.stem[5:])
    if (folder / "config.json").exists():
        json.loads((folder / "config.json").read_text())
    if (folder / "metrics.jsonl").exists():
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["batch"] for line in lines] == list(range(len(lines)))


def compare_with_uninterrupted(faces: str, tmp_path: Path, times: int, batches: int, seed: int) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(faces, whole, batches), capture_output=True, check=True)
    kill_at_random_moments(faces, killed, times, batches, seed)
    assert_equal_checkpoints(whole / "checkpoint", killed / "checkpoint")
    lines = [json.loads(t) for t in (killed / "checkpoint" / "metrics.jsonl").read_text().splitlines()]
    assert [line["batch"] for line in lines] == list(range(batches + 1))
    for batch in range(0, batches + 1, 2):
        name = f"train/batch{batch:06d}_out_l.png"
        assert (whole / name).read_bytes() == (killed / name).read_bytes()


def test_a_kill_changes_nothing(faces, tmp_path):
    compare_with_uninterrupted(faces, tmp_path, times=1, batches=16, seed=0)


@pytest.mark.slow
def test_twenty_five_kills_change_nothing(faces, tmp_path):
    compare_with_uninterrupted(faces, tmp_path, times=25, batches=300, seed=1)


def test_what_a_kill_left_half_written_is_cleared_away(copy):
    folder = Path(copy.checkpoint_dir)
    (folder / "srez-7_temp").mkdir()
    (folder / "srez-7_temp" / "part-00000-of-00001.data-00000-of-00001.tempstate1").write_text("half")
    ours = [
        ".checkpoint.some-host.123.tmp",
        ".config.json.some-host.123.tmp",
        ".metrics.jsonl.other.host.4.tmp",
    ]
    others = ["notes.tmp", ".notes.5.tmp", "srez-7_temporary", "config.json.6.tmp"]
    for name in (*ours, *others):
        (folder / name).write_text("x")
    before = {p.name for p in folder.iterdir()}
    run = Run(copy).open()
    run.lock()
    run.unlock()
    assert {p.name for p in folder.iterdir()} == before - {"srez-7_temp", *ours}


# ---- signals ---------------------------------------------------------------------------------------

LONG_CALL = """
import hashlib, signal
from srez.system.signals import SIGNALS, Stop
for number in SIGNALS:
    signal.signal(number, signal.SIG_IGN if number in {ignored} else signal.SIG_DFL)
stop = Stop().install()
stop.defer = {defer}
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", {rounds})  # one operation: no handler of Python's own runs in it
print(stop.requested or "nothing", flush=True)
"""


@pytest.fixture
def long_call(spawn, monkeypatch):
    """A process that has taken the signals over and computes without end, unless `rounds` are fewer."""

    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def call(defer: bool, rounds: int = 2**31 - 1, ignored: tuple[int, ...] = ()) -> subprocess.Popen:
        program = LONG_CALL.format(defer=defer, rounds=rounds, ignored=list(ignored))
        process = spawn([sys.executable, "-c", program])
        assert process.stdout.readline() == "ready\n"
        return process

    return call


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
)
def test_a_signal_leaves_at_once_whatever_is_computed(long_call, number):
    process = long_call(defer=False)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert err == f"\nsrez: {number.name}, left at once\n"


def test_a_first_signal_waits_and_a_second_one_leaves_at_once(long_call, monkeypatch):
    """Those that come together count as one: a terminal signals a whole group, a script passes them on."""
    monkeypatch.setenv("SREZ_GRACE", "1")
    process = long_call(defer=True)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert err == "\nsrez: SIGINT, left at once\n"


def test_a_first_signal_is_kept_until_somebody_asks(long_call):
    process = long_call(defer=True, rounds=3_000_000)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "SIGHUP\n", "")


def test_what_nohup_ignores_stays_ignored(long_call):
    process = long_call(defer=False, rounds=3_000_000, ignored=(signal.SIGHUP.value,))
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "nothing\n", "")


DEFAULT_SIZE = {"width": 1, "summary_period": 200, "log_period": 1, "max_batches": 1000}


@pytest.mark.slow
def test_signals_at_default_size(spawn, faces, tmp_path, monkeypatch):
    """Each ends the same run within ten seconds (three batches, on a machine that takes more than three
    seconds for one), in its start-up too, and the same command goes on."""

    def stop(process: subprocess.Popen, number: int, limit: float) -> str:
        sent = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 75, err
        assert time.monotonic() - sent < limit
        assert "Traceback" not in err
        return out + err

    for moment in (0.7, 2, 5, 8):  # folders, TensorFlow's import, networks, tracing
        process = start(spawn, faces, tmp_path, **DEFAULT_SIZE)
        time.sleep(moment)
        said = stop(process, signal.SIGTERM, limit=10)
        assert "left at once" in said or "saved; the same command goes on" in said
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        done = max((int(p.stem[5:]) for p in (tmp_path / "checkpoint").glob("*.index")), default=0)
        process = start(spawn, faces, tmp_path, **DEFAULT_SIZE)
        read_until(process, f"Batch [{done + 1:4d}]")
        begin = time.monotonic()
        read_until(process, f"Batch [{done + 2:4d}]")
        said = stop(process, number, limit=max(10, 3 * (time.monotonic() - begin)))
        last = int(re.search(rf"{number.name}: stopped after batch (\d+), saved", said)[1])
        assert last in (done + 3, done + 2)
        assert newest(tmp_path / "checkpoint")["batch/.ATTRIBUTES/VARIABLE_VALUE"] == last
    monkeypatch.setenv("SREZ_GRACE", "0")
    process = start(spawn, faces, tmp_path, **DEFAULT_SIZE)
    read_until(process, f"continuing after batch {last}")
    read_until(process, f"Batch [{last + 1:4d}]")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "left at once" in err
    assert newest(tmp_path / "checkpoint")["batch/.ATTRIBUTES/VARIABLE_VALUE"] == last


# ---- a screen that goes away -----------------------------------------------------------------------

TALK = """
import os, sys
from srez.system.screen import outlive_screen
outlive_screen()
print("first", flush=True)
os.read(0, 1)
for i in range(3):
    print("a name that is no text: \\udce9", i)
    print("and more", file=sys.stderr)
open({path!r}, "w").write("whole")
"""


@pytest.fixture
def talk(tmp_path, monkeypatch) -> tuple[list[str], Path]:
    """A command that prints, waits for its standard input, prints more and writes a file; that file."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = tmp_path / "result"
    return [sys.executable, "-c", TALK.format(path=str(path))], path


def test_a_closed_pipe_stops_nothing(talk, spawn):
    command, path = talk
    process = spawn(command, stdin=subprocess.PIPE, stderr=subprocess.STDOUT, text=False)
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    process.stdin.write(b"x")
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert path.read_text() == "whole"


def test_a_terminal_that_hangs_up_stops_nothing(talk, spawn):
    command, path = talk
    master, slave = pty.openpty()
    process = spawn(command, stdin=subprocess.PIPE, stdout=slave, stderr=slave, text=False)
    os.close(slave)
    assert os.read(master, 100) == b"first\r\n"
    os.close(master)
    process.stdin.write(b"x")
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert path.read_text() == "whole"


def test_streams_that_are_closed_from_the_start(talk):
    command, path = talk
    quoted = " ".join(map(repr_for_shell, command))
    done = subprocess.run(["sh", "-c", f"{quoted} >&- 2>&- </dev/null"], check=False, timeout=60)
    assert done.returncode == 0
    assert path.read_text() == "whole"


def repr_for_shell(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def test_names_that_are_no_text_are_shown_with_escapes(talk):
    command, _ = talk
    done = subprocess.run(command, input=b"x", capture_output=True, check=False, timeout=60)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == [f"a name that is no text: \\udce9 {i}".encode() for i in range(3)]


@pytest.mark.slow
def test_a_training_whose_terminal_hangs_up_saves_and_ends(faces, tmp_path, spawn):
    """The terminal's end sends SIGHUP, and the batch that is finished then can be told to nobody."""
    master, slave = pty.openpty()
    terminal = {"stdin": slave, "stdout": slave, "stderr": slave}
    own = lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0)  # noqa: E731
    process = spawn(command(faces, tmp_path, 100_000), own, **terminal)
    os.close(slave)
    metrics = tmp_path / "checkpoint" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < 6:
        os.read(master, 1000)  # its bar is drawn ten times a second
    os.close(master)
    assert process.wait(timeout=60) == 75
    last = newest(tmp_path / "checkpoint")["batch/.ATTRIBUTES/VARIABLE_VALUE"]
    lines = (tmp_path / "checkpoint" / "metrics.jsonl").read_text().splitlines()
    assert last == json.loads(lines[-1])["batch"] >= 5


# ---- damaged checkpoints ---------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


DAMAGES = {
    "data cut": lambda folder: cut(folder / "srez-4.data-00000-of-00001"),
    "data missing": lambda folder: (folder / "srez-4.data-00000-of-00001").unlink(),
    "index cut": lambda folder: cut(folder / "srez-4.index"),
    "index empty": lambda folder: (folder / "srez-4.index").write_bytes(b""),
    "index overwritten": lambda folder: scribble(folder / "srez-4.index"),
}


@pytest.fixture(scope="module")
def gan(four) -> Gan:
    """Networks to restore into."""
    return Gan(four)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(four, copy, gan, capsys, damage):
    """Every variable is that of batch 3: nothing stays of what could be read of batch 4."""
    folder = Path(copy.checkpoint_dir)
    DAMAGES[damage](folder)
    for variable in gan.generator_variables + gan.critic_variables:
        variable.assign(tf.fill(variable.shape, 9.0))
    checkpoints = Checkpoints(copy.checkpoint_dir, gan.parts)
    assert checkpoints.restore()[0] == 3
    out = capsys.readouterr().out
    assert "srez-4" in out
    assert "going on from that of batch 3" in out
    assert (folder / "srez-4.index.damaged").exists()
    checkpoints.save(5, 0.0)
    before, after = newest(Path(four.checkpoint_dir) / "srez-3"), newest(folder)
    assert after.pop("batch/.ATTRIBUTES/VARIABLE_VALUE") == 5
    assert before.pop("batch/.ATTRIBUTES/VARIABLE_VALUE") == 3
    before.pop("save_counter/.ATTRIBUTES/VARIABLE_VALUE", None)
    after.pop("save_counter/.ATTRIBUTES/VARIABLE_VALUE", None)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


def test_a_training_goes_on_past_a_damaged_checkpoint(copy, capsys):
    folder = Path(copy.checkpoint_dir)
    DAMAGES["data cut"](folder)
    assert train(copy) == 0
    assert "going on from that of batch 3" in capsys.readouterr().out
    assert newest(folder)["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 5
    assert (folder / "srez-4.index.damaged").exists()
    lines = [json.loads(t)["batch"] for t in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == sorted(set(lines))


def test_without_any_good_checkpoint_nothing_is_touched(copy):
    folder = Path(copy.checkpoint_dir)
    for path in folder.glob("*.index"):
        cut(path)
    before = {p.name: p.read_bytes() for p in folder.glob("srez-*")}
    with pytest.raises(UserError, match="--noresume") as error:
        train(copy)
    assert "\n" not in str(error.value)
    assert {p.name: p.read_bytes() for p in folder.glob("srez-*")} == before


def test_the_list_of_checkpoints_may_be_missing(copy):
    (Path(copy.checkpoint_dir) / "checkpoint").unlink()
    assert train(copy) == 0
    assert newest(copy.checkpoint_dir)["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 5
    kept = sorted(int(p.stem.split("-")[1]) for p in Path(copy.checkpoint_dir).glob("*.index"))
    assert kept == [1, 2, 3, 4, 5]


def test_a_resumed_run_keeps_as_many_as_asked_for(copy):
    assert train(dataclasses.replace(copy, max_batches=6, checkpoint_keep=2)) == 0
    kept = sorted(int(p.stem.split("-")[1]) for p in Path(copy.checkpoint_dir).glob("*.index"))
    assert kept == [5, 6]


# ---- divergence ------------------------------------------------------------------------------------


def test_restore_goes_back_with_half_the_learning_rate_three_times(copy, capsys):
    wild = dataclasses.replace(
        copy,
        checkpoint_period=1000,
        on_divergence="restore",
        learning_rate_start=1e30,
        max_batches=30,
        log_period=1,
    )
    assert train(wild) == 3
    out = capsys.readouterr().out
    assert out.count("diverged: ") == 4
    rates = ("restored (1 of 3): back to the last checkpoint, learning rate now 5e+29", "2.5e+29", "1.25e+29")
    assert all(rate in out for rate in rates)
    assert newest(copy.checkpoint_dir)["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 4


@pytest.mark.slow
def test_restore_goes_on_where_it_helps(copy, capsys, monkeypatch):
    """Numbers that stop being finite above a learning rate."""
    whole = Updates.first_not_finite
    monkeypatch.setattr(
        Updates,
        "first_not_finite",
        lambda self: (5, "made up") if self.config.learning_rate_start > 3e-5 else whole(self),
    )
    assert train(dataclasses.replace(copy, on_divergence="restore", log_period=1)) == 0
    out = capsys.readouterr().out
    assert "restored (2 of 3)" in out
    assert "restored (3 of 3)" not in out
    assert newest(copy.checkpoint_dir)["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 5


# ---- locks, disks, clocks --------------------------------------------------------------------------


def test_a_second_training_in_the_same_folder_is_refused(copy):
    first, second = Run(copy).open(), Run(copy).open()
    first.lock()
    with pytest.raises(UserError, match=f"process {os.getpid()} on "):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_the_lock_of_a_dead_training_is_taken_over(copy, capsys):
    (Path(copy.checkpoint_dir) / "lock").write_text("process 4 on another\n")
    run = Run(copy).open()
    run.lock()
    assert "taking over the lock" in capsys.readouterr().out
    assert "process 4 on another" not in (Path(copy.checkpoint_dir) / "lock").read_text()
    run.unlock()
    assert (Path(copy.checkpoint_dir) / "lock").read_text() == ""


def test_a_filesystem_without_locks_is_told_and_used(copy, capsys, monkeypatch):
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    run = Run(copy).open()
    run.lock()
    assert "No locks available" in capsys.readouterr().out
    run.unlock()


def test_checkpoints_by_the_clock(copy, monkeypatch):
    config = dataclasses.replace(copy, checkpoint_period=1000)
    now = time.monotonic()
    budget = Budget(config, 5, 0.0)
    never = Budget(dataclasses.replace(config, checkpoint_minutes=0.0), 5, 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: now + 60 * 9.9)
    assert not budget.checkpoint_due  # ten minutes are the default
    monkeypatch.setattr(time, "monotonic", lambda: now + 60 * 10.1)
    assert budget.checkpoint_due
    assert not never.checkpoint_due
    budget.saved()
    assert not budget.checkpoint_due


def test_a_full_disk_is_one_line_and_keeps_what_is_there(copy):
    """Every file is limited to a size at which pictures still fit, and a checkpoint does not."""
    good = newest(copy.checkpoint_dir)
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "import srez_main\n"
        "sys.exit(srez_main.main(sys.argv))\n"
    )
    usual = Config()
    words = [f"--{n}={v}" for n, v in dataclasses.asdict(copy).items() if v != getattr(usual, n)]
    done = subprocess.run(
        [sys.executable, "-c", limited, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    remedy = "raise the limit (ulimit -f), or choose a disk that takes larger files"
    assert re.fullmatch(rf"srez: \S+: File too large: {re.escape(remedy)}\n", done.stderr)
    left = newest(copy.checkpoint_dir)
    assert left.keys() == good.keys()
    assert all((left[n] == good[n]).all() for n in good)
    assert tf.train.latest_checkpoint(copy.checkpoint_dir).endswith("srez-4")


def test_no_file_that_finds_the_disk_full_does_harm(copy, tmp_path, monkeypatch):
    """Each is named, the checkpoints stay, and with room again the run goes on."""
    longer = dataclasses.replace(copy, max_batches=6, log_period=1, summary_period=2)
    before = newest(copy.checkpoint_dir)
    metrics, describe = tmp_path / "checkpoint" / "metrics.jsonl", Run.describe

    def full(path: Path) -> None:
        if path.exists():
            path.rename(tmp_path / "aside")
        path.symlink_to("/dev/full")

    def described(*words: object) -> None:
        full(Path(files.temporary_path(str(tmp_path / "checkpoint" / "config.json"))))
        describe(*words)

    def fails(name: str) -> None:
        with pytest.raises(OSError, match="No space left on device") as error:
            train(longer)
        assert str(error.value.filename).endswith(f"/{name}")
        monkeypatch.undo()

    monkeypatch.setattr(Run, "describe", described)
    fails("config.json")
    during(monkeypatch, 5, lambda: full(metrics))
    fails("metrics.jsonl")
    (tmp_path / "aside").rename(metrics)
    after = newest(copy.checkpoint_dir)
    assert all((before[n] == after[n]).all() for n in before)
    full(Path(files.temporary_path(str(tmp_path / "train" / "batch000006_out_l.png"))))
    fails("batch000006_out_l.png")
    assert not [p for p in tmp_path.rglob(".*.tmp") if p.is_symlink() or p.is_file()]
    assert train(longer) == 0
    lines = [json.loads(t)["batch"] for t in metrics.read_text().splitlines()]
    assert lines == [0, 4, 5, 6]
    assert Image.open(tmp_path / "train" / "batch000006_out_l.png").size == (256, 128)


@contextlib.contextmanager
def files_no_larger_than(size: int):
    """Every write beyond `size` bytes of a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.slow
def test_a_tensorboard_file_that_finds_the_disk_full_does_no_harm(faces, tmp_path):
    """It grows with every sample, to more than a checkpoint or a grid, which here still fit."""
    config = quick(faces, tmp_path, max_batches=60, summary_period=1, checkpoint_period=1)
    with files_no_larger_than(400_000), pytest.raises(tf.errors.OpError, match="tfevents"):
        train(config)
    done = int(newest(config.checkpoint_dir)["batch/.ATTRIBUTES/VARIABLE_VALUE"])
    assert 2 < done < 60
    assert train(dataclasses.replace(config, max_batches=done + 1)) == 0
    lines = [json.loads(t)["batch"] for t in (tmp_path / "checkpoint/metrics.jsonl").read_text().splitlines()]
    assert lines == list(range(done + 2))


def refuse_to_open(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system", "a_file")


def test_a_read_only_disk_is_one_line_at_the_start(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "open", refuse_to_open, raising=False)
    with pytest.raises(OSError, match="Read-only file system") as error:
        Run(quick(faces, tmp_path)).open()
    told = str(as_user_error(error.value))
    assert told == "a_file: Read-only file system: choose a folder that can be written"


def test_a_disk_that_becomes_read_only_keeps_the_checkpoints(copy, monkeypatch):
    before = {p.name: p.read_bytes() for p in Path(copy.checkpoint_dir).glob("srez-*")}
    during(monkeypatch, 5, lambda: monkeypatch.setattr(files, "open", refuse_to_open, raising=False))
    with pytest.raises(OSError, match="Read-only file system"):
        train(dataclasses.replace(copy, log_period=1))
    assert {p.name: p.read_bytes() for p in Path(copy.checkpoint_dir).glob("srez-*")} == before


# ---- folders that go -------------------------------------------------------------------------------


def during(monkeypatch: pytest.MonkeyPatch, batch: int, act: Callable[[], object]) -> None:
    """Do something while a batch of the training is computed."""
    whole = srez_train.train_batch

    def disturbed(gan: object, stream: object, number: int) -> dict:
        losses = whole(gan, stream, number)
        if number == batch:
            act()
        return losses

    monkeypatch.setattr(srez_train, "train_batch", disturbed)


def emptied(folder: Path, pattern: str = "*") -> None:
    for path in folder.glob(pattern):
        path.unlink()


VANISH = {
    "removed": shutil.rmtree,
    "emptied": emptied,
    "moved": lambda folder: folder.rename(folder.with_name("elsewhere")),
}


def test_folders_that_vanish_are_made_again_and_nothing_is_lost(four, faces, tmp_path, capsys, monkeypatch):
    """The training lives on, saves at once each time, and ends with the same numbers as without."""
    config = quick(faces, tmp_path, max_batches=4, summary_period=1)
    checkpoint, pictures, summary = tmp_path / "checkpoint", tmp_path / "train", tmp_path / "summary"

    def lines() -> list[int]:
        return [json.loads(t)["batch"] for t in (checkpoint / "metrics.jsonl").read_text().splitlines()]

    def assert_saved_since_it_vanished(batch: int) -> None:
        names = {p.name for p in checkpoint.iterdir()}
        assert {".srez", "config.json", "lock", f"srez-{batch}.index"} <= names
        assert lines()[-1] == batch

    def vanish_again(batch: int, how: str) -> None:
        assert_saved_since_it_vanished(batch - 1)
        VANISH[how](checkpoint)

    during(monkeypatch, 1, lambda: (shutil.rmtree(pictures), emptied(summary, "[!.]*")))
    for batch, how in enumerate(VANISH, 2):
        during(monkeypatch, batch, lambda batch=batch, how=how: vanish_again(batch, how))
    assert train(config) == 0
    said = capsys.readouterr().out
    assert f"vanished, made again: {pictures}, {summary}; saving batch 1 at once" in said
    for batch in (2, 3, 4):
        assert f"vanished, made again: {checkpoint}; saving batch {batch} at once" in said
    assert_saved_since_it_vanished(4)
    assert lines() == [4]
    assert_equal_checkpoints(Path(four.checkpoint_dir), checkpoint)
    assert {p.name for p in pictures.glob("b*")} == {f"batch{n:06d}_out_l.png" for n in (1, 2, 3, 4)}
    sizes = [events.stat().st_size for events in summary.glob("*tfevents*")]
    assert len(sizes) == 4  # one begun after each time
    assert min(sizes) > 5_000  # with the pictures of a sample
    assert train(dataclasses.replace(config, max_batches=5)) == 0
    assert newest(checkpoint)["batch/.ATTRIBUTES/VARIABLE_VALUE"] == 5


def test_a_disk_that_goes_is_one_line_and_nothing_is_written_below_its_place(copy, monkeypatch):
    """Where a disk was mounted there is a folder below; what is written there could not be seen later."""
    folder = Path(copy.checkpoint_dir)

    def unmount() -> None:
        folder.rename(folder.parent / "elsewhere")
        monkeypatch.setattr(files, "disk", lambda _: -1)

    during(monkeypatch, 5, unmount)
    with pytest.raises(UserError, match="vanished, and its disk with it: mount that again") as error:
        train(copy)
    assert "\n" not in str(error.value)
    assert not folder.exists()


def test_a_folder_that_another_training_has_taken_meanwhile_is_left_to_it(copy, monkeypatch):
    folder = Path(copy.checkpoint_dir)
    other = Run(copy)

    def replace() -> None:
        folder.rename(folder.parent / "elsewhere")
        other.open()
        other.lock()

    during(monkeypatch, 5, replace)
    with pytest.raises(UserError, match="in use by another training"):
        train(copy)
    assert sorted(p.name for p in folder.iterdir()) == [".srez", "lock"]
    assert (folder / "lock").read_text().startswith(f"process {os.getpid()} on ")
    other.unlock()


@pytest.mark.parametrize("vanish", [shutil.rmtree, pytest.param(emptied, marks=pytest.mark.slow)])
def test_a_dataset_that_vanishes_is_one_line(tmp_path, monkeypatch, vanish):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(40):
        (pictures / f"{number}.jpg").write_bytes(jpeg(number))
    during(monkeypatch, 2, lambda: vanish(pictures))
    # more than are made ahead
    often = {"checkpoint_period": 10, "summary_period": 400, "cache": "off"}
    config = quick(str(pictures), tmp_path, max_batches=400, **often)
    with pytest.raises(UserError, match="pictures' has vanished: put it back, then the same command goes on"):
        train(config)
    assert newest(config.checkpoint_dir)["batch/.ATTRIBUTES/VARIABLE_VALUE"] >= 2
