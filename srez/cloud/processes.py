"""Commands that supervise.py runs: each in a session of its own, with its output in the log."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from srez.cloud.preemption import Watcher
from srez.system.signals import SIGNALS

KILL_SECONDS = 10.0  # seconds between SIGTERM and SIGKILL for a command that took too long
COULD_NOT_START = 126


class Log:
    """A file that everything is added to, and a thread that copies what is added to standard output.

    Where standard output is gone or stalls, only the copy ends or waits.
    """

    def __init__(self, path: str):
        self.file = open(path, "ab", buffering=0)  # noqa: SIM115  (open as long as the process)
        self._copied = open(path, "rb")  # noqa: SIM115
        self._copied.seek(0, os.SEEK_END)
        self._closing = threading.Event()
        self._viewer = threading.Thread(target=self._view, daemon=True)
        self._viewer.start()

    def say(self, text: str) -> None:
        """Add one line, with the time."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode()
        with contextlib.suppress(OSError):  # a full disk: not a reason to leave the training alone
            os.write(self.file.fileno(), line)  # in one piece: a signal's handler may say something too

    def close(self) -> None:
        """Give the screen a moment to take the rest."""
        self._closing.set()
        self._viewer.join(timeout=2)

    def _view(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone, or standard output was closed
            if os.path.samestat(os.fstat(1), os.fstat(self._copied.fileno())):
                return  # nohup ./run_script.sh >run_1.log
            while True:
                last = self._closing.is_set()
                text = self._copied.read()
                while text:
                    text = text[os.write(1, text) :]
                if last:
                    return
                self._closing.wait(0.1)


class Child:
    """A running command. It has no terminal, so that Ctrl-C and a hang-up reach it through its parent only.

    limit: seconds after which it is ended; 0: none. keep: file descriptors that it holds open.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Log,
        limit: float = 0,
        keep: Sequence[int] = (),
    ):
        self._limit, self._start = limit, time.monotonic()
        self._code: int | None = None
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log.file,
                stderr=log.file,
                start_new_session=True,
                pass_fds=keep,
            )
        except OSError as error:  # no memory for it, perhaps
            log.say(f"{command[0]} could not be started: {error}")
            self._process, self._code = None, COULD_NOT_START

    def poll(self) -> int | None:
        """The exit code, 128 + n where signal n ended it, None while it runs."""
        if self._code is None and (code := self._process.poll()) is not None:
            self._code = code if code >= 0 else 128 - code
        if self._code is None and self._limit:
            over = time.monotonic() - self._start - self._limit
            if over > 0:
                self.send(signal.SIGTERM if over < KILL_SECONDS else signal.SIGKILL)
        return self._code

    def send(self, number: int) -> None:
        """A signal to the command and its own children."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


PREEMPTED = "preemption"
POLL_SECONDS = 0.1  # seconds between looks at the running command


class Runner:
    """stop: what first asked for the end, a signal's name or PREEMPTED; '' before.

    Each command says which signals it heeds: they reach it as SIGTERM, once; a second SIGINT kills it. Those
    with last=True are for the time after an end was asked for, and do not care for notices.
    """

    def __init__(self, log: Log, watcher: Watcher | None):
        self.stop = ""
        self.told = False  # whether a signal that it heeds came to the last command or pause
        self._log, self._watcher = log, watcher
        self._child: Child | None = None
        self._heeded: Sequence[int] = ()
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP on purpose
                signal.signal(number, self._receive)
        if watcher is not None:
            watcher.start()

    def run(
        self,
        start: Callable[[], Child],
        heeded: Sequence[int] = SIGNALS,
        meanwhile: Callable[[], None] = lambda: None,
        last: bool = False,
    ) -> int:
        """A command to its end, with calls of `meanwhile` all the time; its exit code."""
        self._heeded, self.told = heeded, False
        self._child = start()
        if self._is_told(last):  # before, or while it was being started
            self._child.send(signal.SIGTERM)
            self.told = True
        while (code := self._child.poll()) is None:
            if not last:
                self._look_for_notice()
            meanwhile()
            time.sleep(POLL_SECONDS)
        self._child, self._heeded = None, ()
        return code

    def pause(self, seconds: float, heeded: Sequence[int] = SIGNALS, last: bool = False) -> None:
        """Wait, at most until a signal that is heeded."""
        self._heeded, self.told = heeded, False
        end = time.monotonic() + seconds
        while not self._is_told(last) and (left := end - time.monotonic()) > 0:
            if not last:
                self._look_for_notice()
            time.sleep(min(POLL_SECONDS, left))
        self.told, self._heeded = self._is_told(last), ()

    def _is_told(self, last: bool) -> bool:
        return self.told or bool(self.stop and not last)

    def _look_for_notice(self) -> None:
        if self._watcher is not None and self._watcher.notice and not self.stop:
            self._log.say(f"notice of preemption: {self._watcher.notice}")
            self._ask(PREEMPTED, signal.SIGTERM)

    def _receive(self, number: int, frame: object) -> None:
        self._ask(signal.Signals(number).name, number)

    def _ask(self, name: str, number: int) -> None:
        if not self.stop:
            self._log.say(f"{name}: stopping")
            self.stop = name
        if number not in self._heeded:
            return
        if self._child is not None and not self.told:
            self._child.send(signal.SIGTERM)
        elif self._child is not None and number == signal.SIGINT:  # somebody who cannot wait
            self._child.send(signal.SIGKILL)
        self.told = True
