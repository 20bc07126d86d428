"""One training of a study in a process of its own, the same on this machine and on one of a cluster."""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from srez.errors import EXIT_DIVERGED, EXIT_DONE, EXIT_USER, PREFIX
from srez.study.cells import StudyRun
from srez.study.store import FOLDERS, LOCK, LOG, StudyStore
from srez.system.processes import command_ending_with_parent

POLL_SECONDS = 0.2  # between looks at a process, a lock, a wish to stop
RESULTS = {EXIT_DONE: "done", EXIT_DIVERGED: "diverged"}
ENDING_LINES = (PREFIX, "done:", "finished already:")  # lines that say how a training ended
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Training:
    """What a machine needs to know to do a training.

    title: for people; program: path of srez_main.py; jobs: how many at once on a machine.
    """

    run: StudyRun
    store: StudyStore
    title: str
    program: str
    jobs: int

    def command(self) -> list[str]:
        """The words of its command line."""
        options = {f"{name}_dir": self.store.run(self.run.name, name) for name in FOLDERS} | self.run.options
        options |= {"jobs": self.jobs} if self.jobs > 1 else {}
        return [sys.executable, self.program, "--run=train", *(_word(n, v) for n, v in options.items())]


def train_one(
    training: Training,
    environment: dict[str, str],
    gpu: str,
    patience: float,
    say: Callable[[str], object],
    stopped: Callable[[], object],
) -> dict[str, Any] | None:
    """Do what is left of a training; how it ended, as in outcome.json, or None: another study has its lock.

    environment: beside this process's own; gpu: as CUDA_VISIBLE_DEVICES names it, empty: any; patience:
    seconds to wait for the lock; say: told of the start; stopped: asked often whether the training is to
    finish its batch and save, which leaves no outcome.json. Raises OSError where nothing can be written.
    """
    name, store = training.run.name, training.store
    os.makedirs(store.run(name), exist_ok=True)
    with open(store.run(name, LOCK), "a") as lock:
        if not _take(lock, time.monotonic() + patience, stopped):
            return None
        if store.finished(training.run):  # another study did it meanwhile
            return store.outcome(name)
        batch = int(store.last_metrics(name).get("batch", 0))
        after = f" after batch {batch}" if batch else ""
        say(f"{training.title}: starts{after}{f' on GPU {gpu}' if gpu else ''}")
        environment = environment | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})
        return _run(training, environment, lock, stopped)


def _take(lock: TextIO, until: float, stopped: Callable[[], object]) -> bool:
    """Lock a file, if that can be done by some time of the monotonic clock.

    The kernel lets go of it with the last process that has the file open, however that ends.
    """
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until or stopped():
                return False
            time.sleep(POLL_SECONDS)
            continue
        except OSError:  # a filesystem without locks: the training says so
            pass
        return True


def _run(
    training: Training, environment: dict[str, str], lock: TextIO, stopped: Callable[[], object]
) -> dict[str, Any]:
    """Run a training's process; its outcome."""
    name, store, words = training.run.name, training.store, training.command()
    with open(store.run(name, LOG), "ab") as log:
        log.write(f"$ {shlex.join(words)}\n".encode())
        log.flush()
        log_start = log.tell()
        process = subprocess.Popen(
            command_ending_with_parent(words),  # a study that is killed interrupts its trainings
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C reaches the study alone, which passes it on once
            pass_fds=[lock.fileno()],  # the lock lasts as long as the training
        )
    while process.poll() is None and not stopped():
        time.sleep(POLL_SECONDS)
    if asked := process.poll() is None:
        process.terminate()
    code = process.wait()
    last, message = store.last_metrics(name), _message(store.run(name, LOG), log_start)
    if code < 0:
        message = f"killed by {signal.Signals(-code).name} after: {message}"
    minutes = round(last.get("minutes", 0.0), 3)
    outcome = {"exit": code, "batches": int(last.get("batch", 0)), "minutes": minutes, "message": message}
    if code in RESULTS or not (asked or code == EXIT_USER):
        store.write_outcome(name, outcome)
    return outcome


def _message(log_path: str, start: int) -> str:
    """The line of a training's output that says how it ended, or the last one."""
    with open(log_path, "rb") as log:
        log.seek(start)
        lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    telling = (line for line in reversed(lines) if line.startswith(ENDING_LINES))
    return next(telling, lines[-1] if lines else "it said nothing")


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={value}"


def thread_share(processors: int, jobs: int) -> dict[str, str]:
    """The environment that gives each of several trainings on a machine its share of the processors."""
    threads = str(max(1, processors // jobs))
    return {name: os.environ.get(name, threads) for name in THREADS}
