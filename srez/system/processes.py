"""Child processes that end with the process that started them."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

_HELD = (signal.SIGINT, signal.SIGTERM)
_ALARM_SECONDS = 2  # after SIGTERM, in which a parent that was sent it too ends its children itself
Item, Result = TypeVar("Item"), TypeVar("Result")
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


def map_in_processes(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    begin: Callable[[], None] = end_with_parent,
    ahead: int = 2,
) -> Iterator[Result]:
    """Results of `work` in order, made in processes at most `ahead` items a process ahead of who takes them.

    begin: called first in each process; it calls end_with_parent. To be closed by who does not take them all.
    Raises BrokenProcessPool where a process is ended from outside.
    """
    # spawn: what forks while threads run may stand still
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), begin) as pool:
        # a few at a time, since a pool that loses a process while work is cancelled never ends
        waiting: deque[Future[Result]] = deque()
        for item in items:
            with signals_held():
                waiting.append(pool.submit(work, item))
            if len(waiting) > ahead * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
