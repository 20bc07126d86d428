"""A checkout with a Python that only notes how it was called: what run_script.sh and run_tests.sh start."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from helpers import ROOT

FAKE = """#!{python}
import os, re, signal, sys, time
line = " ".join(sys.argv[1:])
with open({log!r}, "a") as file:
    file.write(line + "\\n")
if line.startswith("-m srez."):
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
    time.sleep(float(os.environ.get("SAVE_SECONDS", "0.4")))
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
    for name in ("run_script.sh", "run_tests.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for path in ROOT.glob("*.py"):
        shutil.copy(path, folder)
    for name in ("scripts", ".ci", "srez"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    commands = folder / "commands"
    commands.mkdir()
    log, fake = folder / "calls.txt", commands / "fake_python"
    fake.write_text(FAKE.format(python=sys.executable, log=str(log), fake=str(fake)))
    fake.chmod(0o755)
    for name, program in {
        "shutdown": f'echo "shutdown $*" >>{log}; exit "${{SHUTDOWN_CODE:-0}}"',
        "nvidia-smi": 'exit "${GPU_CODE:-9}"',  # the machine of the tests may have one
        "apt-get": 'exit "${APT_CODE:-0}"',
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


def calls(log: Path, mode: str) -> list[str]:
    return [line for line in log.read_text().splitlines() if f"--run={mode}" in line]
