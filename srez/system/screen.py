"""The screen: without the chatter of libraries, and without stopping the work when it goes away."""

import contextlib
import errno
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
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


def import_tensorflow(chatty: bool = False) -> ModuleType:
    """TensorFlow, imported without what it says of itself and of the devices it finds, unless it may."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if chatty else "3")
    with contextlib.nullcontext() if chatty else quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
    return tf


class _Screen(io.FileIO):
    """A standard stream whose reader may go away: what is written after that goes nowhere."""

    def write(self, data: bytes) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a closed pipe, a terminal that hung up
                raise
        _lead_nowhere(self.fileno())
        return len(data)


def _lead_nowhere(descriptor: int) -> None:
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
            _lead_nowhere(descriptor)
        else:
            stream.flush()
        raw = _Screen(descriptor, "w", closefd=False)
        encoding = getattr(stream, "encoding", "utf-8")
        # names of files need not be text: they are shown with escapes
        text = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)
        setattr(sys, name, text)


class Screen:
    """Lines for events; between them a bar on a terminal, else a line a percent, at most one a minute."""

    def __init__(self):
        self.bar = None
        self._percent, self._shown = -1, time.monotonic()
        if sys.stdout.isatty():
            self.bar = tqdm(
                total=100, unit="%", bar_format="{percentage:3.0f}%|{bar}| {desc}", file=sys.stdout
            )

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.write(text)

    def show(self, share: float, text: str) -> None:
        """How far it is, 0..1, and what is going on."""
        percent = int(100 * share)
        if self.bar is not None:
            self.bar.set_description_str(text, refresh=False)
            self.bar.update(percent - self.bar.n)
            self.bar.refresh()
        elif percent > self._percent and time.monotonic() - self._shown >= 60:
            self.say(f"{percent:3d}% of the study, {text}")
            self._percent, self._shown = percent, time.monotonic()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()


def progress(**options: Any) -> tqdm:
    """A progress bar with rate and remaining time; twice a minute where nobody watches."""
    return tqdm(mininterval=0.2 if sys.stderr.isatty() else 30, dynamic_ncols=True, **options)
