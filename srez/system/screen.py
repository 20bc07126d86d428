"""The screen: without the chatter of libraries, and without stopping the work when it goes away."""

import contextlib
import errno
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

from tqdm import tqdm


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep file descriptor 2 aside; what was written there is shown only if the block fails.

    Some of TensorFlow's start-up messages ignore TF_CPP_MIN_LOG_LEVEL.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


SECONDS_BETWEEN_LINES = 30  # of progress, where nobody watches


def import_tensorflow(chatty: bool = False) -> ModuleType:
    """TensorFlow, imported without what it says of itself and of the devices it finds, unless it may."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if chatty else "3")
    with contextlib.nullcontext() if chatty else quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
    return tf


class _LastingStream(io.FileIO):
    """A standard stream whose reader may go away: what is written after that goes nowhere."""

    def write(self, data: bytes) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a closed pipe, a terminal that hung up
                raise
        _discard_output(self.fileno())
        return len(data)


def _discard_output(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def outlive_screen() -> None:
    """Let no terminal that hangs up, closed pipe or odd file name stop the work through a print.

    Ctrl-C with `| tee log` ends tee as well, and a batch that is to be saved is told of before.
    """
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # it was closed from the start
            _discard_output(descriptor)
        else:
            stream.flush()
        raw = _LastingStream(descriptor, "w", closefd=False)
        encoding = getattr(stream, "encoding", "utf-8")
        # names of files need not be text: they are shown with escapes
        text = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)
        setattr(sys, name, text)


class _Lines:
    """Says now and then how much of a total is done, where there is no bar."""

    def __init__(self, total: float):
        self._total, self._done, self._said = total, 0.0, time.monotonic()

    def move(self, count: float) -> None:
        self._done += count
        if time.monotonic() - self._said >= SECONDS_BETWEEN_LINES and self._done < self._total:
            self._said = time.monotonic()
            print(f"{self._done / self._total:.0%} done", flush=True)


class Screen:
    """Lines of text, and on a terminal a bar below them. total, unit: what the bar counts."""

    def __init__(self, total: float = 100, unit: str = "%"):
        layout = "{percentage:3.0f}%|{bar}| {desc}" if unit == "%" else None
        self._no_bar = not sys.stdout.isatty()
        self._bar = tqdm(total=total, unit=unit, bar_format=layout, file=sys.stdout, disable=self._no_bar)

    def say(self, text: str) -> None:
        """A line that stays."""
        with self._bar.external_write_mode(sys.stdout):
            print(text, flush=True)

    def show(self, done: float, text: str, line: str = "") -> None:
        """Set the bar to so much of its total, with a text; where there is no bar print the line, if any."""
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()
        if self._no_bar and line:
            self.say(line)

    def step(self, count: int = 1) -> None:
        """Move the bar by one, or by so many."""
        self._bar.update(count)

    @contextlib.contextmanager
    def part(self, total: float, unit: str) -> Iterator[Callable[[float], object]]:
        """A second bar for a part of the work, or lines now and then; a function that moves it by so much."""
        if self._no_bar:
            yield _Lines(total).move
            return
        with tqdm(total=total, unit=unit, unit_scale=True, leave=False, delay=0.5, file=sys.stdout) as bar:
            yield bar.update

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@contextlib.contextmanager
def waiting(text: str, after: float = 3.0) -> Iterator[None]:
    """Say what takes so long, once it takes longer than `after` seconds; with a clock on a terminal."""
    done = threading.Event()
    clock = threading.Thread(target=_show_clock, args=(text, after, done), daemon=True)
    clock.start()
    try:
        yield
    finally:
        done.set()
        clock.join()


def _show_clock(text: str, after: float, done: threading.Event) -> None:
    began = time.time()
    if done.wait(after):
        return
    if not sys.stdout.isatty():
        print(text, flush=True)
        return
    with tqdm(desc=text, bar_format="{desc}: {elapsed}", leave=False, file=sys.stdout) as bar:
        bar.start_t = began
        bar.refresh()
        while not done.wait(1):
            bar.refresh()


def aligned(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table: its first column to the left, the others to the right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, *cells in table:
        yield name.ljust(widths[0]) + "".join(f"  {c:>{w}}" for c, w in zip(cells, widths[1:], strict=True))


def progress(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """A bar with rate and remaining time on standard error; twice a minute where nobody watches."""
    return tqdm(
        iterable,
        mininterval=0.2 if sys.stderr.isatty() else SECONDS_BETWEEN_LINES,
        dynamic_ncols=True,
        **options,
    )
