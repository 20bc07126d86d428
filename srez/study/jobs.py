"""One training of a study in a process of its own: its command, its share of the machine, its end."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from srez.errors import PREFIX
from srez.study.cells import StudyRun
from srez.study.lease import Lease
from srez.study.store import FOLDERS, LOG, StudyStore
from srez.system.machine import processors
from srez.system.processes import command_ending_with_parent

REPORT_LOG = "report.log"
REPORT_TIME_SHARE = 0.1  # of the time, at most, goes into reports between trainings
ENDING_LINES = (PREFIX, "done:", "finished already:")  # lines that say how a training ended


class Job:
    """A training that runs."""

    def __init__(
        self,
        run: StudyRun,
        store: StudyStore,
        lease: Lease,
        environment: dict[str, str],
        program: str,
        jobs: int = 1,
    ):
        """environment: beside this process's own; program: path of srez_main.py; jobs: how many at once."""
        self.run, self.lease, self._store = run, lease, store
        self._log_path = store.run(run.name, LOG)
        before = store.last_metrics(run.name)
        self.first_batch, self.minutes_before = int(before.get("batch", 0)), before.get("minutes", 0.0)
        self.since = time.monotonic()
        words = command(run, store, program, jobs)
        with open(self._log_path, "ab") as log:
            log.write(f"$ {shlex.join(words)}\n".encode())
            log.flush()
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                command_ending_with_parent(words),  # a study that is killed interrupts its trainings
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
                start_new_session=True,  # Ctrl-C reaches the study alone, which passes it on once
                pass_fds=[lease.descriptor],  # the lease's lock lasts as long as the training
            )

    def outcome(self, code: int) -> dict[str, Any]:
        """How it ended, for outcome.json."""
        last = self._store.last_metrics(self.run.name)
        message = self.message()
        if code < 0:
            message = f"killed by {signal.Signals(-code).name} after: {message}"
        return {
            "exit": code,
            "batches": int(last.get("batch", 0)),
            "minutes": round(last.get("minutes", 0.0), 3),
            "message": message,
        }

    def message(self) -> str:
        """The line of its output that says how it ended, or the last one."""
        with open(self._log_path, "rb") as log:
            log.seek(self._log_start)
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        telling = (line for line in reversed(lines) if line.startswith(ENDING_LINES))
        return next(telling, lines[-1] if lines else "it said nothing")


class ReportJob:
    """Renders a study's report in a process of its own, so that neither trainings nor signals wait for it."""

    def __init__(self, store: StudyStore, program: str):
        self.wanted = False
        self._words = [sys.executable, program, "--run=report", f"--study_dir={store.path}"]
        self._log_path = os.path.join(store.path, REPORT_LOG)
        self._process: subprocess.Popen | None = None
        self._since = self._next = 0.0

    def tick(self) -> None:
        """Start it where it is wanted, not too often; note its end."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self._next = time.monotonic() + (time.monotonic() - self._since) / REPORT_TIME_SHARE
        if self.wanted and self._process is None and time.monotonic() >= self._next:
            self.wanted = False
            self._process = self._start()

    def finish(self) -> tuple[int, str]:
        """Render it a last time; the exit code and its last line, without the program's name."""
        if self._process is not None:
            self._process.wait()
        code = self._start().wait()
        lines = Path(self._log_path).read_text(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return code, last.removeprefix(PREFIX)

    def _start(self) -> subprocess.Popen:
        self._since = time.monotonic()
        with open(self._log_path, "wb") as log:
            return subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},  # GPUs are for trainings
                start_new_session=True,
            )


def command(run: StudyRun, store: StudyStore, program: str, jobs: int) -> list[str]:
    """The words of a training's command line; program: path of srez_main.py; jobs: how many run at once."""
    options = {f"{name}_dir": store.run(run.name, name) for name in FOLDERS} | run.options
    options |= {"jobs": jobs} if jobs > 1 else {}
    return [sys.executable, program, "--run=train", *(_word(n, v) for n, v in options.items())]


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={value}"


def machine_share(slot: int, jobs: int, devices: list[str]) -> dict[str, str]:
    """The environment of one of several trainings at once: a GPU of its own, or a share of the cores."""
    if devices:
        return {"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]}
    if jobs == 1:
        return {}
    threads = str(max(1, processors() // jobs))
    return {
        name: os.environ.get(name, threads) for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    }
