"""Signals let the batch finish and its checkpoint be saved; a second one, seconds later, leaves at once."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

from srez.errors import EXIT_INTERRUPTED

# the last two are notices of job managers: Slurm's --signal, SGE's -notify
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# seconds in which signals are one: job managers signal every process, and a study its trainings; more under
# run_script.sh, since a machine that shuts down signals again what was told of the notice before
SIGNAL_GRACE_SECONDS = float(os.environ.get("SREZ_GRACE", "2"))


class Interrupted(Exception):
    """A signal asked for the end; its text is the signal's name."""


class Stop:
    """Whether a signal asked the command to stop. Until `defer` is set, a signal ends the process at once.

    A thread waits for them: Python's own handlers run between two operations of the main thread, and one (a
    step, the compilation of a network) may take longer than somebody who wants to leave has patience.
    """

    def __init__(self):
        self.requested, self.defer, self._since = "", False, 0.0
        self._taken: list[signal.Signals] = []
        self._stderr = os.dup(2)  # descriptor 2 itself is set aside while TensorFlow is imported

    def install(self) -> "Stop":
        """Begin to wait for signals; before TensorFlow is imported, which takes seconds."""
        # nohup ignores SIGHUP
        self._taken = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing)
        threading.Thread(target=self._wait, args=(reading,), daemon=True).start()
        self.take()
        return self

    def take(self) -> None:
        """Take the signals over; again after TensorFlow's coordination of workers has taken SIGTERM."""
        for number in self._taken:
            signal.signal(number, lambda *_: None)  # without a handler nothing comes through the pipe

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a signal wait for `check`, which the block calls often, or for the block's end."""
        self.defer = True
        try:
            yield
        finally:
            self.defer = False

    def check(self) -> None:
        """Raise Interrupted where a signal came."""
        if self.requested:
            raise Interrupted(self.requested)

    def _wait(self, pipe: int) -> None:
        while True:
            for number in os.read(pipe, 64):
                if number in self._taken:
                    self._receive(number)

    def _receive(self, number: int) -> None:
        name = signal.Signals(number).name
        if self.defer and not self.requested:
            self.requested, self._since = name, time.monotonic()
            return
        if self.requested and time.monotonic() - self._since < SIGNAL_GRACE_SECONDS:
            return
        with contextlib.suppress(OSError):  # the terminal may be what has gone
            os.write(self._stderr, f"\nsrez: {name}, left at once\n".encode())
        os._exit(EXIT_INTERRUPTED)
