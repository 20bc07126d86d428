"""What a training tells: lines on the screen, metrics.jsonl, TensorBoard, grids of the held-out faces."""

import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from srez.data.dataset import Dataset
from srez.data.samples import Batch, grid
from srez.errors import UserError
from srez.images import layout
from srez.images.layout import GRID, SHOWN, STRIP
from srez.metrics.pictures import measure, measure_sums
from srez.metrics.sets import diversity, sliced_wasserstein_levels
from srez.networks.weights import restore
from srez.options.config import Config
from srez.runs.run import Run
from srez.runs.trained import no_start, start_weights
from srez.system import files
from srez.training.budget import Budget
from srez.training.checkpoints import Checkpoints
from srez.training.optimizers import learning_rate

COMPARED = 100  # held-out faces whose sliced Wasserstein distance is taken: more cost seconds


class Sampler(Protocol):
    """Networks in training, as far as samples of them are taken."""

    def sample(self, feature: tf.Tensor) -> np.ndarray: ...

    def judge(self, pictures: tf.Tensor) -> float: ...


class Report:
    """To be closed at the end: its bar and its TensorBoard file."""

    def __init__(self, config: Config, run: Run, trainer: Sampler, test: Batch):
        self.config, self.run, self.trainer, self.test = config, run, trainer, test
        self.reopen()
        self.bar = None
        if sys.stdout.isatty():
            self.bar = tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {postfix}", file=sys.stdout)
        self._since, self._pictures = time.monotonic(), 0

    def reopen(self) -> None:
        """Begin a new TensorBoard file; one that was deleted would take figures and show nothing."""
        self.writer = tf.summary.create_file_writer(self.config.summary_dir)

    def close(self) -> None:
        """End both."""
        if self.bar is not None:
            self.bar.close()
        self.writer.close()

    # ---- figures ----

    def count(self, pictures: int) -> None:
        """Pictures trained on since the last line, for images/s."""
        self._pictures += pictures

    def speed(self) -> float:
        """Pictures a second since the last call."""
        now = time.monotonic()
        rate = self._pictures / max(now - self._since, 1e-9)
        self._since, self._pictures = now, 0
        return rate

    def figures(self, figures: dict[str, float], progress: float, remaining: float | None) -> None:
        """One batch's figures to metrics.jsonl, TensorBoard and, where it was trained, the screen.

        progress: 0..1; remaining: minutes, None where unknown.
        """
        self.run.log(figures)
        with self.writer.as_default(step=np.int64(figures["batch"])):
            for name, value in figures.items():
                if name != "batch":
                    tf.summary.scalar(name, np.float32(value))  # see srez_train.train_batch
        self.writer.flush()
        if "generator_loss" in figures:
            self._show(figures, progress, remaining)

    def _show(self, figures: dict[str, float], progress: float, remaining: float | None) -> None:
        eta = "   ?" if remaining is None else f"{remaining:4.0f}"
        line = (
            f"ETA[{eta}m], Batch [{figures['batch']:4d}], G_Loss[{figures['generator_loss']:.3f}], "
            f"D_Real_Loss[{figures['discriminator_real_loss']:.3f}], "
            f"D_Fake_Loss[{figures['discriminator_fake_loss']:.3f}], "
            f"images/s[{figures['images_per_second']:.1f}]"
        )
        if self.bar is None:
            print(f"Progress[{100 * progress:3.0f}%], {line}", flush=True)
        else:
            self.bar.set_postfix_str(line, refresh=False)
            self.bar.update(100 * progress - self.bar.n)

    def say(self, text: str) -> None:
        """A line of text, above the bar where there is one."""
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.write(text)

    # ---- held-out faces ----

    def sample(self, batch: int) -> dict[str, float]:
        """Write the grids of a batch; figures of the held-out faces (fewer for noise input)."""
        output = self.trainer.sample(self.test.feature)
        shown = output[:SHOWN]
        self._write(
            GRID.format(batch), grid(shown, self.test.label[:SHOWN], self.test.feature[:SHOWN], self.config)
        )
        self._write(STRIP.format(batch), layout.side_by_side(shown))
        if self.config.output_image:
            for i, picture in enumerate(output):
                self._write(f"gen_batch{batch:06d}_face{i:03d}.png", picture)
        with self.writer.as_default(step=np.int64(batch)):
            tf.summary.image("generator_output", np.clip(shown, 0, 1), max_outputs=SHOWN)
        figures = self._compare(output)
        if self.config.noise_input:
            return figures
        figures |= measure_sums(shown, self.test.label[:SHOWN])
        figures |= measure(output, self.test.label, self.test.feature)
        text = ", ".join(f"{name} {figures[name]:.3f}" for name in ("psnr", "ssim", "consistency"))
        self.say(f"    held-out faces at batch {batch}: {text}")
        return figures

    def _compare(self, output: np.ndarray) -> dict[str, float]:
        """The output as a set of pictures beside the real ones, by distances and by the critic."""
        label, clipped = self.test.label.numpy(), np.clip(output, 0, 1)
        levels = sliced_wasserstein_levels(label[:COMPARED], clipped[:COMPARED], repeats=1)
        figures = {
            "swd": float(np.mean(list(levels.values()))),
            "heldout_wasserstein_estimate": self.trainer.judge(output) - self.trainer.judge(label),
        }
        varied = diversity(clipped, label) if len(output) > 1 else None
        return figures if varied is None else figures | {"diversity": varied}

    def _write(self, name: str, picture: np.ndarray) -> None:
        layout.write_png(files.join(self.config.train_dir, name), picture)


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
            if path := begin(generators, self.config):
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


def begin(generators: Iterable[tf.Module], config: Config) -> str:
    """Give generators the weights that start_from means; the path of these, or "". Raises UserError."""
    if not (weights := start_weights(config)):
        return ""
    try:
        for generator in generators:
            restore(generator, *weights)
    except UserError as error:
        raise no_start(config, str(error).rpartition(": ")[0]) from None
    return weights[0]
