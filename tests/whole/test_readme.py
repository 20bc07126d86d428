"""The commands of README and docs/ work: each block is run by bash as it stands, with trainings cut short."""

import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers import ROOT, astronaut
from PIL import Image

SHORT = "--noresume --max_batches=1 --width=0.03125 --batch_size=4 --test_vectors=4 --train_time=0"
PYTHON3 = f"""#!/bin/bash
case "$*" in
  "-m venv "* | "download_data.py") ;;  # made by run_tests.sh; 1.4 GB
  *"--strategy multiworker"*) exec {sys.executable} "$@" {SHORT} --dry_run ;;
  *"--start_from pretrained"*) exec {sys.executable} "$@" {SHORT} --width=1 ;;
  *"--run train"*) exec {sys.executable} "$@" {SHORT} ;;
  *"--run report"*) ;;  # of a study that is there: tests/report/test_page.py
  *"--run study"*) exec {sys.executable} "$@" --dry_run ;;
  *) exec {sys.executable} "$@" ;;
esac
"""
# what is not at hand in a test, or run by .ci/run and tests/whole/test_scripts.py, notes how it was called
NOTES = ("tensorboard", "tmux", "nohup", "srun", "ray", "ssh", "sky", "pip", "run_script.sh", "run_tests.sh")
# blocks that are not run here, by their first line, and what runs them
ELSEWHERE = {
    "# any host": "tests/cloud/test_supervise.py, with programs that play the clouds",
    "from srez import load": "below",
    "pip install -e '.[serve]'": "tests/inference/test_serve.py",
}
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def blocks() -> list[tuple[str, str]]:
    """("page: heading", text) of the indented blocks; neighbours that one blank line parts are one."""
    found = []
    for page in PAGES:
        for section in re.split(r"^#+ ", page.read_text(), flags=re.MULTILINE)[1:]:
            where = f"{page.stem}: {section.splitlines()[0]}"
            for block in re.findall(r"(?:^    .+\n(?:\n(?=    ))?)+", section, re.MULTILINE):
                found.append((where, textwrap.dedent(block)))
    return found


def elsewhere(text: str) -> bool:
    return any(text.lstrip().startswith(first) for first in ELSEWHERE)


@pytest.fixture
def checkout(faces, trained, tmp_path, monkeypatch) -> Path:
    """A folder as README has it in mind: the project, pictures under all its names, a trained network."""
    for name in ("srez_main.py", "download_data.py", "srez", "scripts", "bench"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("dataset", "FACES", "my_pictures", "holidays"):
        (tmp_path / name).symlink_to(faces)
    (tmp_path / "scans").mkdir()
    (tmp_path / "half").mkdir()
    for number in range(1, 31):
        with Image.open(Path(faces, f"{number:06d}.jpg")) as picture:
            picture.resize((89, 109)).save(tmp_path / "half" / f"{number}.png")
    astronaut(80).save(tmp_path / "party.jpg", quality=95)
    for name in ("photo.jpg", "me.jpg", "scans/1.png"):
        astronaut(120).save(tmp_path / name)
    shutil.copytree(trained, tmp_path / "checkpoint")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in [("python3", PYTHON3), *((n, f'#!/bin/sh\necho "{n} $*"\n') for n in NOTES)]:
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    for name in ("run_script.sh", "run_tests.sh"):
        (tmp_path / name).symlink_to(programs / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_blocks_are_found():
    firsts = [text.split()[0] for _, text in blocks()]
    assert len(firsts) > 20
    assert firsts.count("python3") > 14
    assert [first for first in ELSEWHERE if not any(t.startswith(first) for _, t in blocks())] == []


@pytest.mark.slow
@pytest.mark.parametrize("where", dict.fromkeys(at for at, text in blocks() if not elsewhere(text)))
def test_commands(where, checkout):
    if where == "README: See it in one minute":  # with the generator that comes along
        shutil.rmtree("checkpoint")
    for block in [text for at, text in blocks() if at == where and not elsewhere(text)]:
        command = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_from_python(trained, checkout, monkeypatch):
    (block,) = [text for _, text in blocks() if text.startswith("from srez import load")]
    astronaut(80).save("small.png")
    lines = ["import numpy", "from PIL import Image"]
    lines += ["picture = numpy.asarray(Image.open('small.png'))", *block.splitlines()]
    lines += ["print(bigger.shape, bigger.dtype)"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    box, shape, last = re.fullmatch(r"\((.*)\) (\(.*\))\n(.*)\n", done.stdout).groups()
    assert (shape, last) == ("(64, 64, 3)", "(320, 320, 3) uint8")
    assert [int(number) for number in box.split(", ")] == pytest.approx([28, 11, 13, 16], abs=2)


def test_benchmarks_have_the_options_that_are_quoted():
    for page in (*PAGES, ROOT / "bench" / "README.md", ROOT / "CONTRIBUTING.md"):
        text = page.read_text()
        for script, words in re.findall(r"`(?:python3 )?(bench/\w+\.py)\b([^`]*)`", text):
            source = (ROOT / script).read_text()
            for option in re.findall(r"--\w+", words):
                assert f'"{option}"' in source, f"{page}: {script} has no {option}"
