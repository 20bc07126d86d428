"""How long a training lasts, and when it saves."""

import time
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
        self.saved()

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

    @property
    def progress(self) -> float:
        """How much of the training is done, 0..1, by whichever limit is nearer."""
        shares = [self.batch / self.config.max_batches] if self.config.max_batches else []
        shares += [self.minutes / self.config.train_time] if self.config.train_time else []
        return min(1.0, max(shares))

    @property
    def remaining(self) -> float | None:
        """Minutes to go; None before this session's first batch where only batches are limited."""
        limits = [self.config.train_time - self.minutes] if self.config.train_time else []
        if self.config.max_batches and self.batch > self._first:
            pace = (self.minutes - self.earlier) / (self.batch - self._first)
            limits.append(pace * (self.config.max_batches - self.batch))
        return max(0.0, min(limits)) if limits else None

    @property
    def spent(self) -> str:
        """The limit that is reached, as an option with its value; "" while there is none."""
        if self.config.max_batches and self.batch >= self.config.max_batches:
            return f"--max_batches={self.config.max_batches}"
        if self.config.train_time and self.minutes >= self.config.train_time:
            return f"--train_time={self.config.train_time:g}"
        return ""
