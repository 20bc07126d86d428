"""How long a training lasts, and when it saves."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from srez.options.config import Config


@dataclass
class Budget:
    """How long a training lasts: batches done, minutes trained in this and earlier sessions."""

    config: Config
    batch: int
    earlier: float

    def __post_init__(self):
        self._start, self._first = time.monotonic(), self.batch
        self.begin()
        self.saved()

    def begin(self) -> None:
        """Note that the next chunk begins now."""
        self._chunk = [(self.batch, self.minutes)] * 2  # batch and minutes before the last chunk and after it

    def advance(self, batch: int) -> None:
        """Note that all batches up to this one are done."""
        self.batch = batch
        self._chunk = [self._chunk[1], (batch, self.minutes)]

    def minutes_at(self, batch: int) -> float:
        """Minutes trained when a batch of the last chunk was done, as if all its steps took as long."""
        (first, start), (last, end) = self._chunk
        return end - (end - start) * (last - batch) / max(1, last - first)

    def saved(self) -> None:
        """Note that a checkpoint holds all that was done so far."""
        self.saved_batch, self._saved_minutes = self.batch, self.minutes

    @property
    def checkpoint_due(self) -> bool:
        """Whether checkpoint_period batches or checkpoint_minutes have passed."""
        waited, most = self.minutes - self._saved_minutes, self.config.checkpoint_minutes
        return self.batch % self.config.checkpoint_period == 0 or bool(most and waited >= most)

    @property
    def minutes(self) -> float:
        """Minutes trained, in earlier sessions and this one."""
        return self.earlier + (time.monotonic() - self._start) / 60

    def progress(self, batch: int, minutes: float) -> float:
        """How much of the training is done at a batch, 0..1, by whichever limit is nearer."""
        shares = [batch / self.config.max_batches] if self.config.max_batches else []
        shares += [minutes / self.config.train_time] if self.config.train_time else []
        return min(1.0, max(shares))

    def remaining(self, batch: int, minutes: float) -> float | None:
        """Minutes to go at a batch; None before this session's first where only batches are limited."""
        limits = [self.config.train_time - minutes] if self.config.train_time else []
        if self.config.max_batches and batch > self._first:
            pace = (minutes - self.earlier) / (batch - self._first)
            limits.append(pace * (self.config.max_batches - batch))
        return max(0.0, min(limits)) if limits else None

    @property
    def spent(self) -> str:
        """The limit that is reached, as an option with its value; "" while there is none."""
        if self.config.max_batches and self.batch >= self.config.max_batches:
            return f"--max_batches={self.config.max_batches}"
        if self.config.train_time and self.minutes >= self.config.train_time:
            return f"--train_time={self.config.train_time:g}"
        return ""


def chunks(config: Config, batch: int, most: int) -> Iterator[range]:
    """The batches after `batch`, in chunks of at most so many.

    A chunk ends where a grid or a checkpoint is due by its period, and at max_batches.
    """
    periods = (config.summary_period, config.checkpoint_period)
    while True:
        ends = [batch + most, *(batch - batch % period + period for period in periods)]
        if config.max_batches > batch:
            ends.append(config.max_batches)
        yield range(batch + 1, min(ends) + 1)
        batch = min(ends)
