"""A study's report, rendered in a process of its own: neither trainings nor signals wait for it."""

import os
import subprocess
import sys

from srez.errors import PREFIX
from srez.study.store import StudyStore


def start_report(store: StudyStore, program: str) -> subprocess.Popen:
    """Begin to render the report of a study; program: path of srez_main.py."""
    with open(log_path(store), "wb") as log:
        return subprocess.Popen(
            [sys.executable, program, "--run=report", f"--study_dir={store.path}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},  # GPUs are for trainings
            start_new_session=True,
        )


def last_line(store: StudyStore) -> str:
    """What the last report said at its end, without the program's name."""
    with open(log_path(store), errors="replace") as log:
        lines = [line.strip() for line in log if line.strip()]
    return lines[-1].removeprefix(PREFIX) if lines else "it said nothing"


def log_path(store: StudyStore) -> str:
    """Where a report's process writes what it says."""
    return os.path.join(store.path, "report.log")
