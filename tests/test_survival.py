"""What a run survives: kill -9, damaged checkpoints, a second training beside it, a full disk."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf
from conftest import ROOT
from PIL import Image
from test_train import assert_equal_checkpoints, folders, newest, quick, train

import srez_train
from srez_config import Config, UserError
from srez_run import Run

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
    root = Path(four.train_dir).parent
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    return dataclasses.replace(four, **folders(tmp_path), max_batches=5)


# ---- kill -9 ---------------------------------------------------------------------------------------


def command(faces: str, root: Path, batches: int) -> list[str]:
    options = {"dataset": faces, "max_batches": batches, **TINY, **PERIODS, **folders(root)}
    words = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, str(ROOT / "srez_main.py"), "--run=train", "--deterministic", *words]


def kill_at_random_moments(faces: str, root: Path, times: int, batches: int, seed: int) -> None:
    """Start, kill some time after the first batch, and so on; then let it finish."""
    moments = random.Random(seed)
    for _ in range(times):
        process = subprocess.Popen(command(faces, root, batches), stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if "Batch [" in line:
                break
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
    if (root / "checkpoint" / "config.json").exists():
        json.loads((root / "checkpoint" / "config.json").read_text())


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


def test_five_kills_change_nothing(faces, tmp_path):
    compare_with_uninterrupted(faces, tmp_path, times=5, batches=60, seed=0)


@pytest.mark.slow
def test_twenty_five_kills_change_nothing(faces, tmp_path):
    compare_with_uninterrupted(faces, tmp_path, times=25, batches=300, seed=1)


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


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(copy, capsys, damage):
    folder = Path(copy.checkpoint_dir)
    DAMAGES[damage](folder)
    assert train(copy) == 0
    out = capsys.readouterr().out
    assert "srez-4" in out
    assert "going on from that of batch 3" in out
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


def test_restore_goes_on_where_it_helps(copy, capsys, monkeypatch):
    """Numbers that stop being finite above a learning rate."""
    whole = srez_train.Trainer.what_diverged
    monkeypatch.setattr(
        srez_train.Trainer,
        "what_diverged",
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


def test_checkpoints_by_the_clock(copy, monkeypatch):
    config = dataclasses.replace(copy, checkpoint_period=1000)
    now = time.monotonic()
    budget = srez_train.Budget(config, 5, 0.0)
    never = srez_train.Budget(dataclasses.replace(config, checkpoint_minutes=0.0), 5, 0.0)
    assert not budget.checkpoint_due
    monkeypatch.setattr(time, "monotonic", lambda: now + 60 * 10.1)
    assert budget.checkpoint_due
    assert not never.checkpoint_due
    budget.saved()
    assert not budget.checkpoint_due


def test_a_full_disk_is_one_line_and_keeps_what_is_there(srez, faces, tmp_path, monkeypatch):
    """Every file is limited to a size at which pictures still fit, and a checkpoint does not."""
    config = quick(faces, tmp_path, max_batches=1)
    assert train(config) == 0
    good = newest(config.checkpoint_dir)
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import srez_main\n"
        "sys.exit(srez_main.main(sys.argv))\n"
    )
    options = {
        "dataset": faces,
        "max_batches": 2,
        "gen_architect": "deconv",
        "width": 0.03125,
        "batch_size": 2,
    }
    options |= {"test_vectors": 2, **folders(tmp_path)}
    words = ["--run=train", *(f"--{name}={value}" for name, value in options.items())]
    done = subprocess.run(
        [sys.executable, "-c", limited, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    left = newest(config.checkpoint_dir)
    assert left.keys() == good.keys()
    assert tf.train.latest_checkpoint(config.checkpoint_dir).endswith("srez-1")
