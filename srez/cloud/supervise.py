"""A training to its end on a machine that nobody watches; run_script.sh calls it and explains the settings.

python3 -m srez.cloud.supervise PYTHON [options of srez_main.py]

FETCH, training (again after a crash, with SYNC after every checkpoint), the film, the last SYNC, power-off.
One process with two threads (screen, preemption notices), so that no watcher outlives it. A training that
does (after a kill -9) goes on alone, and keeps a second one out.
"""

import contextlib
import dataclasses
import fcntl
import glob
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from srez.cloud.preemption import Watcher
from srez.cloud.processes import PREEMPTED, Child, Log, Runner
from srez.errors import EXIT_DIVERGED, EXIT_DONE, EXIT_INTERRUPTED, EXIT_USER, UserError
from srez.runs.run import LOCK
from srez.runs.trained import read_description, saved_batches
from srez.system.signals import SIGNALS

FINAL_EXITS = {EXIT_DONE, EXIT_USER, EXIT_DIVERGED}  # no second try
EXIT_MEANINGS = {
    EXIT_USER: "see the line above",
    EXIT_DIVERGED: "diverged; the last good checkpoint is kept",
    EXIT_INTERRUPTED: "interrupted; the same command goes on",
    128 + signal.SIGKILL: "killed, by a lack of memory perhaps",
}
MAX_WAIT_SECONDS = 3600.0  # seconds between two tries
# what ends a session or a machine signals all its processes, and some twice: the first counts
TRAINING_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "SREZ_GRACE": "3600"}


@dataclass(frozen=True)
class Settings:
    """run_script.sh's settings under the same names, as it has checked them. Times in seconds."""

    runnum: str
    log: str
    retries: int
    retry_wait: float
    sync: str
    sync_limit: float
    fetch: str
    preemption: str
    metadata_url: str
    metadata_period: float
    precision: str
    shutdown: int
    shutdown_wait: float

    @classmethod
    def from_environment(cls) -> "Settings":
        """Raises KeyError where one is missing."""
        return cls(**{f.name: f.type(os.environ[f.name.upper()]) for f in dataclasses.fields(cls)})

    @property
    def folders(self) -> dict[str, str]:
        """The options that name the run's folders; the most precious first."""
        return {f"{name}_dir": f"{name}_{self.runnum}" for name in ("checkpoint", "train", "summary")}

    @property
    def checkpoint_dir(self) -> str:
        return self.folders["checkpoint_dir"]

    def wait(self, tries: int) -> float:
        """Seconds to wait after so many tries: twice as long each time."""
        return min(self.retry_wait * 2 ** (tries - 1), MAX_WAIT_SECONDS)


class Sync:
    """SYNC beside the training: after every new checkpoint, one at a time."""

    def __init__(self, folder: str, log: Log, start: Callable[[], Child]):
        self._folder, self._log, self._start = folder, log, start
        self._child: Child | None = None
        self._seen = newest_checkpoint(folder)

    def tick(self) -> None:
        """Take note of the end of a SYNC; start the next where there is a new checkpoint."""
        if self._child is not None and (code := self._child.poll()) is not None:
            self._child = None
            if code:
                self._log.say(f"SYNC failed with code {code}; the next try follows the next checkpoint")
        if self._child is None and (newest := newest_checkpoint(self._folder)) not in ("", self._seen):
            self._seen, self._child = newest, self._start()

    def detach(self) -> Child | None:
        """The SYNC that still runs, if any, which the caller then waits for."""
        child, self._child = self._child, None
        return child


def newest_checkpoint(folder: str) -> str:
    """The newest by TensorFlow's list, which is renamed into place when the checkpoint's files are whole."""
    with contextlib.suppress(OSError):
        text = Path(folder, "checkpoint").read_text(errors="replace")
        if match := re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE):
            return match[1]
    return ""


class Supervisor:
    """One run. lock: a descriptor that the training holds too, so that the run goes on while either lives."""

    def __init__(self, settings: Settings, python: str, words: Sequence[str], log: Log, lock: int):
        self.settings, self.log, self.words = settings, log, words
        self._python, self._lock = python, lock
        names = {name.upper(): folder for name, folder in settings.folders.items()}
        self._environment = os.environ | names | {"RUN_DIRS": " ".join(settings.folders.values())}
        watcher = None
        if cloud := settings.preemption:
            watcher = Watcher(cloud, settings.metadata_url, settings.metadata_period, log.say)
        self.runner = Runner(log, watcher)

    def run(self) -> int:
        """Fetch, train, film, save and power off; the exit code."""
        if self.fetch():
            code = self.train() or self.film()
            safe = self.save()
        else:
            code = EXIT_INTERRUPTED if self.runner.stop else EXIT_USER
            safe = True  # all is still where it was
        if self.settings.shutdown:
            self.power_off(safe)
        return code if safe else code or EXIT_USER

    def fetch(self) -> bool:
        """FETCH where no checkpoint is; whether the training may start."""
        folder, cut_short = self.settings.checkpoint_dir, Path(f".run_{self.settings.runnum}.fetching")
        if not self.settings.fetch:
            cut_short.unlink(missing_ok=True)  # what is trained from here on is the newest
            return True
        if saved_batches(folder) and not cut_short.exists():
            return True
        self.log.say(f"{folder} holds no checkpoint: FETCH")
        cut_short.touch()
        if self._copy("FETCH", self.settings.fetch):
            cut_short.unlink()
            return not self.runner.stop
        self.log.say(
            "nothing is trained: a training from the start might take the place of what was not fetched; "
            "mend FETCH and run this again, or leave it out where there is nothing to fetch"
        )
        return False

    def train(self) -> int:
        """The training, again after each crash; its last exit code."""
        sync = Sync(self.settings.checkpoint_dir, self.log, lambda: self._shell(self.settings.sync))
        words = [*self._precision(), *self.words]
        crashes, reached = 0, self._batches()
        while True:
            code = self.runner.run(
                partial(self._srez, "train", words),
                meanwhile=lambda: None if self.runner.stop or not self.settings.sync else sync.tick(),
            )
            if self._batches() > reached:  # it gets on between its crashes
                crashes, reached = 0, self._batches()
            crashes += 1
            if not self._try_again(code, crashes):
                break
            words = [*words, "--resume"]  # --noresume is obeyed once
        if child := sync.detach():
            self.runner.run(lambda: child, heeded=[signal.SIGINT], last=True)
        return EXIT_INTERRUPTED if self.runner.stop and code not in FINAL_EXITS else code

    def _try_again(self, code: int, crashes: int) -> bool:
        """Tell how the training ended; whether it is to go on, after the wait before that."""
        if code == EXIT_DONE:
            return False
        end = f"training ended with code {code} ({EXIT_MEANINGS.get(code, 'a crash')})"
        tries = self.settings.retries
        if self.runner.stop or code in FINAL_EXITS:
            self.log.say(end)
            return False
        if crashes > tries:
            self.log.say(f"{end}; given up after {tries} tries more")
            return False
        wait = self.settings.wait(crashes)
        self.log.say(f"{end}; in {wait:g} s it goes on from its last checkpoint ({crashes} of {tries})")
        self.runner.pause(wait)
        return not self.runner.stop

    def film(self) -> int:
        """The film of a finished training; its exit code."""
        if self.runner.stop:
            return EXIT_INTERRUPTED
        code = self.runner.run(lambda: self._srez("demo", []))
        self.log.say(
            "film and grids: {train_dir}   checkpoints and figures: {checkpoint_dir}   "
            "TensorBoard: {summary_dir}".format(**self.settings.folders)
        )
        return EXIT_INTERRUPTED if self.runner.stop else code

    def save(self) -> bool:
        """The last SYNC; whether the results are safe."""
        if not self.settings.sync or not Path(self.settings.checkpoint_dir).is_dir():
            return True
        if self._copy("SYNC", self.settings.sync, last=True):
            return True
        self.log.say(
            f"THE RESULTS ARE ON THIS MACHINE ALONE ({self._environment['RUN_DIRS']} in {os.getcwd()}). "
            "Mend SYNC and run this again, or copy them by hand"
        )
        return False

    def power_off(self, safe: bool) -> None:
        """Power the machine off if nothing speaks against it."""
        reasons = {
            "the results are not safe": not safe,
            "somebody is at the keyboard": self.runner.stop == "SIGINT",
            "another run is going on here": others_run(self.settings.runnum),
        }
        if against := [reason for reason, true in reasons.items() if true]:
            self.log.say(f"SHUTDOWN=1, but {against[0]}: the machine stays on and costs money")
            return
        wait = self.settings.shutdown_wait
        if self.runner.stop == PREEMPTED:
            wait *= 5  # clouds end it by themselves, and start again by themselves only what they ended
        environment = self._environment | {"SHUTDOWN_WAIT": f"{wait:g}"}
        self.runner.run(lambda: Child(["bash", "scripts/power_off.sh"], environment, self.log), last=True)

    def _batches(self) -> int:
        return max(saved_batches(self.settings.checkpoint_dir), default=0)

    def _precision(self) -> list[str]:
        """A run keeps its precision on a machine with another processor."""
        precision = self.settings.precision
        if saved_batches(self.settings.checkpoint_dir):
            with contextlib.suppress(UserError):  # the training will say it
                precision = read_description(self.settings.checkpoint_dir)["options"]["precision"]
        return [f"--precision={precision}"] if precision else []

    def _copy(self, name: str, command: str, last: bool = False) -> bool:
        """FETCH or SYNC until it succeeds, with growing waits; whether it did."""
        heeded = [signal.SIGINT] if last else SIGNALS  # only Ctrl-C gives the results up
        for attempt in range(1, self.settings.retries + 2):
            code = self.runner.run(lambda: self._shell(command), heeded, last=last)
            if code == 0:
                return True
            wait = self.settings.wait(attempt) if attempt <= self.settings.retries else 0
            self.log.say(f"{name} failed with code {code}" + (f"; again in {wait:g} s" if wait else ""))
            if not self.runner.told:
                self.runner.pause(wait, heeded, last)
            if self.runner.told:
                break
        return False

    def _shell(self, command: str) -> Child:
        return Child(["bash", "-c", command], self._environment, self.log, self.settings.sync_limit)

    def _srez(self, run: str, words: Sequence[str]) -> Child:
        folders = [f"--{name}={folder}" for name, folder in self.settings.folders.items()]
        command = [self._python, "srez_main.py", f"--run={run}", *folders, *words]
        return Child(command, self._environment | TRAINING_ENVIRONMENT, self.log, keep=[self._lock])


def lock_path(number: str) -> str:
    """The file whose lock is held while a run goes on."""
    return f".run_{number}.lock"


def take_lock(path: str) -> int | None:
    """A descriptor that holds the lock, or None where another process does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def others_run(number: str) -> bool:
    """Whether another run of this checkout goes on."""
    locks = [take_lock(path) for path in glob.glob(lock_path("*")) if path != lock_path(number)]
    for lock in locks:
        if lock is not None:
            os.close(lock)
    return None in locks


def main(words: Sequence[str]) -> int:
    """The exit code: that of the training or of the film, 2 where the results could not be made safe."""
    settings = Settings.from_environment()
    lock = take_lock(lock_path(settings.runnum))
    if lock is None:
        owner = Path(settings.checkpoint_dir, LOCK)
        training = owner.read_text().strip() if owner.exists() else "no training yet"
        print(
            f"srez: run {settings.runnum} is going on already ({training}): "
            "wait for it, stop it, or choose another RUNNUM",
            file=sys.stderr,
        )
        return EXIT_USER
    log = Log(settings.log)
    code = Supervisor(settings, words[0], words[1:], log, lock).run()
    log.close()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
