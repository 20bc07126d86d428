"""run_script.sh and run_tests.sh with a Python that only notes how it was called."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

FAKE = """#!{python}
import os, re, signal, sys, time
line = " ".join(sys.argv[1:])
with open({log!r}, "a") as file:
    file.write(line + "\\n")
if line.startswith("scripts/"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
if line.startswith("-m venv"):
    os.makedirs(".venv/bin", exist_ok=True)
    for name in ("python", "shellcheck"):
        if not os.path.exists(".venv/bin/" + name):
            os.symlink({fake!r}, ".venv/bin/" + name)
if line == "-VV":
    print("Python of the tests" + os.environ.get("VERSION", ""))
if line.startswith("-c import sys"):
    sys.exit(int(os.environ.get("OLD_PYTHON", "0")))
if line.startswith("-c import ensurepip"):
    sys.exit(int(os.environ.get("NO_ENSUREPIP", "0")))
if line.startswith(("-m pip", "-m ruff", "-m pytest")):
    sys.exit(int(os.environ.get(line.split()[1].upper() + "_CODE", "0")))
if "--run=train" not in line:
    sys.exit(0)

# STEPS of a training: "save 10, exit 1; exit 0": what the first one does; what the others do
folder = re.search("--checkpoint_dir=(\\S+)", line)[1]

def save(batch):
    os.makedirs(folder, exist_ok=True)
    for name in "data-00000-of-00001", "index":
        open(f"{{folder}}/srez-{{batch}}.{{name}}", "w").close()
    with open(folder + "/checkpoint.tmp", "w") as file:
        file.write(f'model_checkpoint_path: "srez-{{batch}}"\\n')
    os.replace(folder + "/checkpoint.tmp", folder + "/checkpoint")

def note(text):
    with open({log!r}, "a") as file:
        file.write(text + "\\n")

def end(*_):
    note("SIGTERM")
    time.sleep(0.4)
    save(75)
    sys.exit(75)

signal.signal(signal.SIGTERM, end)
note("ready")
attempt = sum("--run=train" in line for line in open({log!r}))
attempts = os.environ.get("STEPS", "exit 0").split(";")
for step in attempts[min(attempt, len(attempts)) - 1].split(","):
    what, value = step.split()
    if what == "exit":
        note("ends")
        sys.exit(int(value))
    if what == "kill":
        os.kill(os.getpid(), int(value))
    if what == "save":
        save(value)
    if what == "sleep":
        time.sleep(float(value))
    if what == "print":
        print(value, flush=True)
    while what == "syncs" and len(re.findall("(?m)^sync", open({log!r}).read())) < int(value):
        time.sleep(0.02)
"""


def build_machine(folder: Path, spawn: Callable):
    """A checkout without tests in a folder, and fake commands; a function that starts one of the scripts."""
    for name in ("run_script.sh", "run_tests.sh", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, folder)
    for path in ROOT.glob("srez_*.py"):
        shutil.copy(path, folder)
    for name in ("scripts", ".ci", "presets"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    commands = folder / "commands"
    commands.mkdir()
    log, fake = folder / "calls.txt", commands / "fake_python"
    fake.write_text(FAKE.format(python=sys.executable, log=str(log), fake=str(fake)))
    fake.chmod(0o755)
    for name, program in {
        "shutdown": f'echo "shutdown $*" >>{log}; exit "${{SHUTDOWN_CODE:-0}}"',
        "nvidia-smi": 'exit "${GPU_CODE:-9}"',  # the machine of the tests may have one
        "id": 'echo "${FAKE_ID:-0}"',
        "sudo": f'echo "sudo $*" >>{log}',
    }.items():
        (commands / name).write_text(f"#!/bin/sh\n{program}\n")
        (commands / name).chmod(0o755)
    (folder / "cpuinfo").write_text("flags : avx2\n")
    usual = {"PYTHON": str(fake), "CPUINFO": str(folder / "cpuinfo"), "PATH": f"{commands}:/usr/bin:/bin"}
    usual |= {"RETRY_WAIT": "0.01", "SHUTDOWN_WAIT": "0", "PYTHONDONTWRITEBYTECODE": "1"}

    def start(*words: str, script: str = "run_script.sh", before=(), **environment: str) -> subprocess.Popen:
        kept = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG")}
        command = [*before, "bash", str(folder / script), *words]
        return spawn(command, env=kept | usual | environment, cwd="/", stderr=subprocess.STDOUT)

    start.root, start.log = folder, log
    return start


@pytest.fixture
def machine(tmp_path, spawn):
    yield build_machine(tmp_path, spawn)
    kill_all_in(tmp_path)


def processes(folder: Path) -> dict[int, str]:
    """All processes whose current folder this is or lies in it: number -> command."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.joinpath("cwd").readlink().is_relative_to(folder):
                found[int(path.name)] = path.joinpath("cmdline").read_text().replace("\0", " ")
    return found


def kill_all_in(folder: Path) -> None:
    """End what a script left behind: its training has a group of its own."""
    while left := processes(folder):
        for number in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.01)


def finish(process: subprocess.Popen) -> tuple[int, str]:
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def installed(log: Path) -> list[str]:
    """The last two words of every call of pip."""
    return [" ".join(line.split()[-2:]) for line in log.read_text().splitlines() if "-m pip" in line]


def calls(log: Path, mode: str) -> list[str]:
    return [line for line in log.read_text().splitlines() if f"--run={mode}" in line]


def test_drawn_faces_where_there_is_no_dataset(machine):
    code, out = finish(machine("--loss_func=wgangp"))
    assert code == 0, out
    (train,), (demo,) = calls(machine.log, "train"), calls(machine.log, "demo")
    for part in (
        "--dataset=synthetic",
        "--flagfile=presets/quick.flags",
        "--gene_l1_factor=0.9",
        "--train_noise=0.03",
    ):
        assert part in train
    assert train.endswith("--loss_func=wgangp")
    for folder in ("--train_dir=train_1", "--checkpoint_dir=checkpoint_1", "--summary_dir=summary_1"):
        assert folder in train
        assert folder in demo
    assert "--precision" not in train
    assert "drawn faces (not photographs)" in out
    assert "train_1" in out
    assert "shutdown" not in machine.log.read_text()


@pytest.mark.parametrize("dataset", ["faces.pack", "gs://bucket/faces", "not/there"])
def test_a_dataset_that_is_named_is_used_or_refused_but_never_replaced(machine, dataset):
    finish(machine(DATASET=dataset))
    (train,) = calls(machine.log, "train")
    assert f"--dataset={dataset} " in train
    assert "quick.flags" not in train


def test_parameters_by_environment(machine):
    (machine.root / "dataset").mkdir()
    code, out = finish(machine(RUNNUM="7", SPERIOD="50", L1FAC="0.5", NOISE="0", TIME="3"))
    assert code == 0, out
    (train,) = calls(machine.log, "train")
    for part in ("--dataset=dataset", "--train_dir=train_7", "--summary_period=50", "--gene_l1_factor=0.5"):
        assert part in train
    assert "--train_noise=0 " in train
    assert "--train_time=3" in train
    assert "quick.flags" not in train


@pytest.mark.parametrize(("flags", "used"), [("avx512_bf16", True), ("amx_bf16", True), ("avx512f", False)])
def test_bfloat16_where_the_processor_has_it(machine, flags, used):
    (machine.root / "cpuinfo").write_text(f"flags : sse2 {flags} x\n")
    finish(machine())
    assert ("--precision=bfloat16" in calls(machine.log, "train")[0]) is used


def test_cuda_where_nvidia_smi_answers(machine):
    (machine.root / "cpuinfo").write_text("flags : avx512_bf16\n")
    finish(machine(GPU_CODE="9"))
    assert "and-cuda" not in machine.log.read_text()
    assert "--precision" in calls(machine.log, "train")[0]
    finish(machine(GPU_CODE="0"))
    assert "tensorflow[and-cuda]~=2.21.0" in machine.log.read_text()
    assert "--precision" not in calls(machine.log, "train")[1]


def test_what_is_installed_is_not_installed_again(machine):
    finish(machine())
    finish(machine())
    assert installed(machine.log) == ["-r requirements.txt"]
    with (machine.root / "requirements.txt").open("a") as file:
        file.write("another\n")
    finish(machine())
    assert installed(machine.log) == ["-r requirements.txt"] * 2


def test_both_scripts_share_one_environment(machine):
    """The second adds what it needs: a training of the first may be running from it."""
    for script in ("run_script.sh", "run_tests.sh", "run_script.sh", "run_tests.sh"):
        assert finish(machine(script=script))[0] == 0
    assert installed(machine.log) == ["-r requirements.txt", "-r requirements-dev.txt"]
    assert machine.log.read_text().count("-m venv --clear") == 1
    finish(machine(VERSION=" 3"))
    assert machine.log.read_text().count("-m venv --clear") == 2


def test_a_failed_installation_is_told_and_tried_again(machine):
    code, out = finish(machine(PIP_CODE="1"))
    assert code == 2
    assert "installation failed" in out
    assert calls(machine.log, "train") == []
    assert finish(machine())[0] == 0
    assert installed(machine.log) == ["-r requirements.txt"] * 2


@pytest.mark.parametrize("code", [2, 3])
def test_the_trainings_code_is_handed_on_and_no_film_made(machine, code):
    found, out = finish(machine(STEPS=f"exit {code}"))
    assert found == code
    assert len(calls(machine.log, "train")) == 1
    assert calls(machine.log, "demo") == []
    assert f"code {code}" in out


@pytest.mark.parametrize("code", [0, 3])
def test_shutdown_only_when_asked_for_and_last(machine, code):
    found, out = finish(machine(SHUTDOWN="1", STEPS=f"exit {code}"))
    assert found == code
    assert machine.log.read_text().splitlines()[-1] == "shutdown -h now"
    told = "film and grids" if code == 0 else "ended with code 3"
    assert 0 <= out.index(told) < out.index("powering off")


def test_shutdown_of_an_ordinary_user(machine):
    assert finish(machine(SHUTDOWN="1", FAKE_ID="1000", STEPS="exit 3"))[0] == 3
    assert machine.log.read_text().splitlines()[-1] == "sudo -n shutdown -h now"


def test_a_shutdown_that_fails_keeps_the_trainings_code(machine):
    code, out = finish(machine(SHUTDOWN="1", SHUTDOWN_CODE="1", STEPS="exit 3"))
    assert code == 3
    assert "could not be powered off" in out


def test_an_old_python_is_told_in_one_line(machine):
    for environment in ({"OLD_PYTHON": "1"}, {"PYTHON": "no_such_python"}):
        for script in ("run_script.sh", "run_tests.sh"):
            code, out = finish(machine(script=script, **environment))
            assert code == 2
            assert "needs Python 3.11" in out
            assert out.count("\n") == 1


def test_a_python_without_ensurepip_is_told_in_one_line(machine):
    code, out = finish(machine(NO_ENSUREPIP="1"))
    assert code == 2
    assert "apt install python3-venv" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "-n 2 --dist worksteal -m not slow"),
        (("--slow",), "-n 2 --dist worksteal"),
        (("-k", "two words", "--slow", "-x"), "-n 2 --dist worksteal -k two words -x"),
        (("tests/test_a.py", "-q"), "-n 2 --dist worksteal -m not slow tests/test_a.py -q"),
    ],
)
def test_the_tests_are_run_after_the_linters(machine, words, expected):
    code, out = finish(machine(*words, script="run_tests.sh"))
    assert code == 0, out
    log = machine.log.read_text().splitlines()
    assert log[-1] == f"-m pytest {expected}"
    assert log[-4] == "-m ruff check ."
    scripts = "./run_script.sh ./run_tests.sh scripts/power_off.sh scripts/slurm.sh scripts/venv.sh .ci/run"
    assert log[-2].endswith(scripts)


@pytest.mark.parametrize("code", [0, 1, 5])
def test_the_code_of_a_test_run_is_pytests(machine, code):
    assert finish(machine(script=".ci/run", PYTEST_CODE=str(code)))[0] == code


def test_no_tests_where_a_linter_complains(machine):
    assert finish(machine(script="run_tests.sh", RUFF_CODE="1"))[0] == 1
    assert "pytest" not in machine.log.read_text().splitlines()[-1]
