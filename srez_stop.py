"""Signals let the batch finish and its checkpoint be saved; a second one leaves at once."""

import os
import signal
import sys

from srez_config import EXIT_INTERRUPTED

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """Whether a signal asked the command to stop. Until `defer` is set, a signal ends the process at once."""

    def __init__(self):
        self.requested, self.defer = "", False
        self._stderr = os.dup(2)  # descriptor 2 itself is set aside while TensorFlow is imported

    def install(self) -> "Stop":
        """Take the signals over; before TensorFlow is imported, which takes seconds."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP on purpose
                signal.signal(number, self._receive)
        return self

    def _receive(self, number: int, frame: object) -> None:
        name = signal.Signals(number).name
        if self.defer and not self.requested:
            self.requested = name
            return
        # os.write: the signal may have come in the middle of a print
        os.write(self._stderr, f"\nsrez: {name}, left at once\n".encode())
        sys.stdout.flush()
        os._exit(EXIT_INTERRUPTED)
