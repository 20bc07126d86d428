"""What a training leaves on disk and tells, batch by batch; of several workers the chief alone does."""

import math
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf

import srez_network
from srez_budget import Budget
from srez_checkpoint import Checkpoints
from srez_config import Config
from srez_input import Dataset
from srez_optimizers import learning_rate
from srez_report import Report, Sampler
from srez_run import Run


@dataclass(frozen=True)
class Due:
    """What a batch ends with."""

    telling: bool  # figures
    sampling: bool  # pictures of the held-out faces, and their figures
    saving: bool  # a checkpoint
    spent: bool  # the training's limit is reached
    stopping: bool  # a signal asked to stop

    @property
    def last(self) -> bool:
        return self.spent or self.stopping

    @property
    def looking(self) -> bool:
        """Whether it is time to look for numbers that are not finite."""
        return self.telling or self.saving


class Trained(Sampler, Protocol):
    """What a record needs of the networks in training."""

    generator: tf.Module
    average: tf.Module
    parts: dict[str, tf.Module]


class Record:
    """The chief's: checkpoints, metrics.jsonl, TensorBoard, grids, lines on the screen."""

    def __init__(self, config: Config, run: Run, dataset: Dataset, trainer: Trained):
        self.config, self.run, self.dataset, self.trainer = config, run, dataset, trainer
        self.checkpoints = Checkpoints(config.checkpoint_dir, trainer.parts, config.checkpoint_keep)
        self.report: Report | None = None

    def restore(self) -> tuple[int, float]:
        """Take up the newest good checkpoint; batches done and minutes trained. Raises UserError.

        Where there is none the generator begins with start_from's.
        """
        self.run.describe(self.dataset.source.fingerprint, len(self.dataset.source))
        batch, minutes = self.checkpoints.restore()
        if batch == 0:
            generators = {id(g): g for g in (self.trainer.generator, self.trainer.average)}.values()
            if path := srez_network.begin(generators, self.config):
                print(f"beginning with the generator of '{path}'")
        return batch, minutes

    def begin(self, budget: Budget) -> None:
        """Make ready to go on from where the budget stands; pictures of the generator as it begins."""
        done = budget.batch or -1  # a fresh start writes batch 0 again
        self.run.drop_metrics_after(done)
        self.report = Report(self.config, self.run, self.trainer, self.dataset.test_batch())
        if budget.batch == 0:
            self.report.figures({"batch": 0, **self.report.sample(0)}, 0.0, None)

    def keep(self, due: Due, budget: Budget, losses: dict[str, tf.Tensor]) -> None:
        """Note a batch that is done; tell, sample and save where that is due."""
        self.report.count(self.config.batch_size * self.config.critic_iters)
        saving = due.saving
        if due.looking and (lost := self.run.make_again()):
            self.say(f"vanished, made again: {', '.join(lost)}; saving batch {budget.batch} at once")
            self.report.reopen()
            saving = True
        if due.telling:
            self._tell(budget, losses, due.sampling)
        if saving:
            self.checkpoints.save(budget.batch, budget.minutes)
            budget.saved()

    def _tell(self, budget: Budget, losses: dict[str, tf.Tensor], sampling: bool) -> None:
        """A batch's figures, with those of the held-out faces if it is sampled."""
        figures = {"batch": budget.batch, "minutes": budget.minutes}
        # float16 gradients may overflow, which its loss scale mends; what may not was looked for before
        figures |= {name: number for name, value in losses.items() if math.isfinite(number := float(value))}
        figures |= {
            "learning_rate": learning_rate(self.config, budget.batch),
            "images_per_second": self.report.speed(),
        }
        if sampling:
            figures |= self.report.sample(budget.batch)
        self.report.figures(figures, budget.progress, budget.remaining)

    def say(self, text: str) -> None:
        """A line of text."""
        self.report.say(text)

    def close(self) -> None:
        """Close what is open."""
        if self.report is not None:
            self.report.close()


class NoRecord:
    """Any other worker's."""

    def restore(self) -> tuple[int, float]:
        """Where the chief's checkpoint stands is the chief's to say."""
        return 0, 0.0

    def begin(self, budget: Budget) -> None: ...

    def keep(self, due: Due, budget: Budget, losses: dict[str, tf.Tensor]) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...
