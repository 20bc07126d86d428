"""download_data.py as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_drive import QUOTA, ZIP, archive_of, contents
from helpers import ROOT

import download_data

COMMAND = ROOT / "download_data.py"


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """The real command line, as a user types it."""
    return subprocess.run(
        [sys.executable, str(COMMAND), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("arguments", "say"),
    [
        (["--coutn", "5"], "--coutn"),
        (["--count", "many"], "--count"),
        (["--count", "0"], "--count=0"),
        (["--source", "imagenet"], "--source"),
        (["--source", "synthetic"], "--count"),
        (["--source", "synthetic", "--count", "3", "--url", "http://x"], "--url"),
        (["--check", ".", "--keep_archive"], "--keep_archive"),
        (["--check", ".", "--dest", "x"], "--dest"),
        (["--check", ".", "--source", "celeba"], "--source"),
        (
            ["--check", ".", "--align", "."],
            "--check with --align=.: a folder is checked as it is: leave --align out",
        ),
        (["--align", ".", "--align_to", "x", "--crop_size", "64"], "--crop_size: has no meaning with align"),
        (["--min_face", "64"], "--min_face"),
        (["--check", ".", "--crop_size", "0"], "--crop_size=0"),
        (["--crop_size", "64"], "--crop_size"),
        (["--archive", "x.zip", "--url", "http://x"], "--archive with --url"),
        (
            ["--archive", "https://x/a.zip"],
            "--archive=https://x/a.zip: must be a local file; an address is --url",
        ),
        (["--archive", "."], ".: is a folder, not a zip: a folder of pictures can be trained on as it is"),
        (["--check", "https://x/a.zip"], "--check=https://x/a.zip: is a web address: fetch it first"),
        (["--dest", "$NO_SUCH/x"], "$NO_SUCH/x: there is no variable NO_SUCH"),
        (["--url", "ftp://x"], "--url=ftp://x"),
        (["--dest", "gs://bucket/faces"], "--dest=gs://bucket/faces"),
        (["extra"], "extra"),
    ],
)
def test_what_makes_no_sense(tmp_path, monkeypatch, capsys, arguments, say):
    monkeypatch.chdir(tmp_path)
    assert download_data.main(arguments, archive_of(ZIP)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("download_data: ")
    assert say in line
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["dest", "archive", "check", "pack", "pack_to", "align", "align_to"])
def test_paths_are_expanded(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("FACES", "my faces")
    needed = {"align": ["--align_to=x"], "align_to": ["--align=x"], "pack_to": ["--pack=x"]}
    _, args = download_data.parse([f"--{name}=~/$FACES", *needed.get(name, [])])
    assert getattr(args, name) == "/home/me/my faces"


def test_help_is_quick_and_complete(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    done = command("--help", cwd=tmp_path)
    assert done.returncode == 0
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in modules
    assert not modules & {"gdown", "requests", "tensorflow"}  # they take what --help need not
    for option in (
        "dest",
        "url",
        "archive",
        "keep_archive",
        "count",
        "source",
        "check",
        "crop_size",
        "align",
        "min_face",
    ):
        assert f"--{option}" in done.stdout


def test_draw_and_check(tmp_path):
    done = command("--source", "synthetic", "--count", "4", "--dest", "a/b", cwd=tmp_path)
    assert done.returncode == 0
    assert len(contents(tmp_path / "a" / "b")) == 4
    assert command("--check", "a", cwd=tmp_path).returncode == 0
    (tmp_path / "a" / "bad.jpg").write_bytes(b"?")
    done = command("--check", "a", cwd=tmp_path)
    assert done.returncode == 2
    assert "bad.jpg: no picture" in done.stdout
    assert "Traceback" not in done.stderr


def test_bad_archive(tmp_path):
    (tmp_path / "page.zip").write_text(QUOTA)
    done = command("--archive", "page.zip", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("download_data: page.zip: is a web page, not a zip: ")
    assert os.listdir(tmp_path) == ["page.zip"]
