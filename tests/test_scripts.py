"""run_script.sh with a Python that only notes how it was called."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

FAKE = """#!{python}
import os, signal, sys, time
line = " ".join(sys.argv[1:])
with open({log!r}, "a") as file:
    file.write(line + "\\n")
if line.startswith("-m venv"):
    os.makedirs(".venv/bin", exist_ok=True)
    if not os.path.exists(".venv/bin/python"):
        os.symlink({fake!r}, ".venv/bin/python")
if line == "-VV":
    print("Python of the tests")
if line.startswith("-c"):
    sys.exit(int(os.environ.get("OLD_PYTHON", "0")))
if "--run=train" in line:
    if os.environ.get("SLOW"):
        signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(75)))
        print("training", flush=True)
        time.sleep(30)
    sys.exit(int(os.environ.get("CODE", "0")))
"""


@pytest.fixture
def machine(tmp_path):
    """A checkout with the scripts alone, and folders of fake commands; runs run_script.sh there."""
    for name in ("run_script.sh", "scripts", "requirements.txt", "presets"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    commands = tmp_path / "commands"
    commands.mkdir()
    log, fake = tmp_path / "calls.txt", commands / "fake_python"
    fake.write_text(FAKE.format(python=sys.executable, log=str(log), fake=str(fake)))
    fake.chmod(0o755)
    (commands / "shutdown").write_text(f'#!/bin/sh\necho "shutdown $*" >>{log}\n')
    (commands / "shutdown").chmod(0o755)
    (tmp_path / "cpuinfo").write_text("flags : avx2\n")
    usual = {"PYTHON": str(fake), "CPUINFO": str(tmp_path / "cpuinfo")}
    usual["PATH"] = f"{commands}:/usr/bin:/bin"

    def start(*words: str, **environment: str) -> subprocess.Popen:
        kept = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG")}
        return subprocess.Popen(
            ["bash", str(tmp_path / "run_script.sh"), *words],
            env=kept | usual | environment,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # whoever runs the tests in the background has SIGINT ignored, and children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    start.root, start.log = tmp_path, log
    return start


def finish(process: subprocess.Popen) -> tuple[int, str]:
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


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
    smi = machine.root / "commands" / "nvidia-smi"
    smi.write_text("#!/bin/sh\nexit 0\n")
    smi.chmod(0o755)
    finish(machine())
    assert "tensorflow[and-cuda]~=2.21.0" in machine.log.read_text()
    smi.write_text("#!/bin/sh\nexit 9\n")
    machine.log.unlink()
    finish(machine())
    assert "and-cuda" not in machine.log.read_text()


def test_what_is_installed_is_not_installed_again(machine):
    finish(machine())
    finish(machine())
    assert machine.log.read_text().count("pip install") == 1
    with (machine.root / "requirements.txt").open("a") as file:
        file.write("another\n")
    finish(machine())
    assert machine.log.read_text().count("pip install") == 2


@pytest.mark.parametrize("code", [2, 3, 75])
def test_the_trainings_code_is_handed_on_and_no_film_made(machine, code):
    found, out = finish(machine(CODE=str(code)))
    assert found == code
    assert calls(machine.log, "demo") == []
    assert f"code {code}" in out


@pytest.mark.parametrize("code", [0, 3])
def test_shutdown_only_when_asked_for_and_last(machine, code):
    if os.getuid() != 0:
        pytest.skip("would ask sudo")
    found, _ = finish(machine(SHUTDOWN="1", CODE=str(code)))
    assert found == code
    assert machine.log.read_text().splitlines()[-1] == "shutdown -h now"


def test_an_old_python_is_told_in_one_line(machine):
    code, out = finish(machine(OLD_PYTHON="1"))
    assert code == 2
    assert "needs Python 3.11" in out
    assert out.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on(machine, number):
    process = machine(SLOW="1")
    for line in process.stdout:
        if line.startswith("training"):
            break
    sent = time.monotonic()
    process.send_signal(number)
    code, _ = finish(process)
    assert code == 75
    assert 0.4 < time.monotonic() - sent < 20
    assert calls(machine.log, "demo") == []
