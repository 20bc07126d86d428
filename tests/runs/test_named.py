"""A run with a --name: all of it in one folder, moved aside together, found by that folder."""

from pathlib import Path

import pytest
from absl import flags

from srez.options import flags as flags_module
from srez.options.config import Config
from srez.runs.run import Run
from srez.runs.trained import checkpoint_folder


def parse(*words: str) -> Config:
    values = flags.FlagValues()
    flags_module.define_flags(values)
    return flags_module.parse(["srez_main.py", *words], values)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_everything_is_in_one_folder_and_moves_aside_together(here):
    Run(parse("--run=train", "--name=a")).open()
    parts = {"train", "checkpoint", "summary"}
    assert {path.name for path in here.iterdir()} == {"runs"}
    assert {path.name for path in (here / "runs" / "a").iterdir()} == parts
    (here / "runs" / "a" / "train" / "grid.png").touch()
    (here / "runs" / "a" / "summary.1").mkdir()  # one suffix for all, the first that is free for all
    Run(parse("--run=train", "--name=a", "--noresume")).open()
    moved = {f"{part}.2" for part in parts}
    assert {path.name for path in (here / "runs" / "a").iterdir()} == parts | moved | {"summary.1"}
    assert (here / "runs" / "a" / "train.2" / "grid.png").exists()


def test_its_folder_means_its_checkpoints(here):
    assert checkpoint_folder("runs/a") == "runs/a"  # nothing is there
    (here / "runs" / "a" / "checkpoint").mkdir(parents=True)
    (here / "runs" / "a" / "checkpoint" / "config.json").touch()
    assert checkpoint_folder("runs/a") == "runs/a/checkpoint"
    assert checkpoint_folder("runs/a/checkpoint") == "runs/a/checkpoint"
    (here / "runs" / "a" / "config.json").touch()  # an export's folder, say
    assert checkpoint_folder("runs/a") == "runs/a"
