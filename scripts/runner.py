"""One command after the other, until a signal or a notice of preemption asks for the end."""

import signal
import time
from collections.abc import Callable, Sequence

from children import Child, Log
from preemption import Watcher

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PREEMPTED = "preemption"
TICK = 0.1  # seconds between looks at the running command


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
            time.sleep(TICK)
        self._child, self._heeded = None, ()
        return code

    def pause(self, seconds: float, heeded: Sequence[int] = SIGNALS, last: bool = False) -> None:
        """Wait, at most until a signal that is heeded."""
        self._heeded, self.told = heeded, False
        end = time.monotonic() + seconds
        while not self._is_told(last) and (left := end - time.monotonic()) > 0:
            if not last:
                self._look_for_notice()
            time.sleep(min(TICK, left))
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
