"""Child processes that end with the process that started them."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

_HELD = (signal.SIGINT, signal.SIGTERM)
_ALARM_SECONDS = 2  # after SIGTERM, in which a parent that was sent it too ends its children itself
_LAUNCH = """
import ctypes, os, signal, sys
if prctl := getattr(ctypes.CDLL(None), "prctl", None):
    prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""


def command_ending_with_parent(words: Sequence[str]) -> list[str]:
    """The command line of a process that gets SIGTERM when its parent dies (Linux); words[0] is a path."""
    return [sys.executable, "-c", _LAUNCH, *words]


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back from this thread until the block ends.

    Processes started in the block begin with both held back, until they call `end_with_parent`: a signal to
    the whole group, as Ctrl-C is, would end a child that is still importing its modules.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Begin a process of multiprocessing that leaves SIGINT to its parent and never outlives it.

    SIGTERM ends it 2 seconds later. Called in the child, first of all.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_ALARM_SECONDS))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
