"""What a training writes and says: checkpoints, metrics.jsonl, TensorBoard, grids, lines on the screen."""

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from srez.data.dataset import Dataset
from srez.data.samples import grid_columns
from srez.errors import UserError
from srez.images import layout
from srez.images.layout import GRID_FACES, GRID_NAME, STRIP_NAME
from srez.metrics.sets import transport
from srez.networks.weights import restore
from srez.options.config import Config
from srez.runs.run import Run
from srez.runs.trained import cannot_start_from, start_weights
from srez.system import files
from srez.system.screen import Screen
from srez.training.board import Board
from srez.training.budget import Budget
from srez.training.checkpoints import Checkpoints
from srez.training.fresh import FreshCritics, is_due
from srez.training.memory import gpu_memory
from srez.training.optimizers import learning_rate
from srez.training.quality import Quality

MAX_GROWTH = 10  # of the norm of the weights between two checkpoints: beyond it an update has ruined them
EXAMINED_FACES = 256  # held-out faces that the critic in training is asked about: more cost seconds
SHOWN = ("psnr", "ssim", "consistency", "lpips", "alexnet_frechet")  # of a sample's figures, on the screen

Losses = Mapping[str, tf.Tensor | float]  # of one step, by name


@dataclass(frozen=True)
class Due:
    """What is to be done after a chunk of batches."""

    lines: list[int]  # the batches whose figures are written
    sample: bool  # grids of the held-out faces, and their figures, of the last one
    checkpoint: bool
    spent: bool  # the training's limit is reached
    interrupted: bool  # a signal asked to stop

    @property
    def last(self) -> bool:
        """Whether the training ends here."""
        return self.spent or self.interrupted

    @property
    def check_finite(self) -> bool:
        """Whether to look for numbers that are not finite, which waits for the device."""
        return bool(self.lines) or self.checkpoint


class Record:
    """Everything that a training writes and says, closed at the end.

    run: the run's folders; None in workers that are not the chief, where nothing is read, written or said.
    networks: those in training, a srez_model.Gan, which this package may not import.
    """

    def __init__(self, config: Config, run: Run | None, dataset: Dataset, networks: tf.Module):
        self.config, self.run, self.dataset, self.networks = config, run, dataset, networks
        self.checkpoints = Checkpoints(config.checkpoint_dir, networks.parts, config.checkpoint_keep)
        self._screen: Screen | None = None
        self._last_line = (0, 0.0)  # batch and minutes of the last line of figures

    def restore(self) -> tuple[int, float]:
        """Take up the newest good checkpoint; batches done and minutes trained. Raises UserError.

        Where there is none the generator begins with start_from's.
        """
        if self.run is None:
            return 0, 0.0
        self.run.describe(self.dataset.source.fingerprint, len(self.dataset.source))
        batch, minutes = self.checkpoints.restore()
        if batch == 0:
            generators = {id(g): g for g in (self.networks.generator, self.networks.average)}.values()
            if path := load_start_weights(generators, self.config):
                print(f"beginning with the generator of '{path}'")
        return batch, minutes

    def begin(self, budget: Budget) -> None:
        """Make ready to go on from where the budget stands; at batch 0 sample the untrained generator."""
        if self.run is None:
            return
        self.run.drop_metrics_after(budget.batch or -1)  # a fresh start writes batch 0 again
        self._board = Board(self.config)
        self._screen = Screen()
        self._test = self.dataset.test_batch()
        self._quality = Quality(self._test, self.config)
        self.checkpoints.mark()
        budget.begin()
        self._last_line = (budget.batch, budget.minutes_at(budget.batch))
        if budget.batch == 0:
            self._log({"batch": 0, **self._sample(0)})

    def ruined(self, due: Due) -> str:
        """Why the networks may not be saved though they are due to be; "" where they may, or nothing is due.

        One update can be finite and yet so large that nothing can be learned after it. Because of a signal
        there is no time to look at more than the weights.
        """
        if self.run is None or not due.checkpoint:
            return ""
        growth = self.checkpoints.growth()
        if not growth <= MAX_GROWTH:
            return f"the norm of the weights is {growth:.3g} times that of the last checkpoint"
        if not due.interrupted and not np.isfinite(self.networks.sample(self._test.feature)).all():
            return "the output for held-out faces is not finite"
        return ""

    def write(self, due: Due, budget: Budget, losses: Mapping[int, Losses]) -> None:
        """Write the figures that are due of batches that are done, samples and a checkpoint."""
        if self.run is None:
            return
        checkpoint = due.checkpoint
        if due.check_finite and (vanished := self.run.make_again()):
            self.say(f"vanished, made again: {', '.join(vanished)}; saving batch {budget.batch} at once")
            self._board = Board(self.config)
            checkpoint = True
        self.write_lines(due.lines, budget, losses, sample=due.sample)
        if checkpoint:
            self.checkpoints.save(budget.batch, budget.minutes)
            budget.saved()

    def write_lines(
        self, batches: Iterable[int], budget: Budget, losses: Mapping[int, Losses], sample: bool = False
    ) -> None:
        """Write the figures of batches that are done; sample: with grids, if of the last one."""
        if self.run is None:
            return
        for batch in batches:
            minutes = budget.minutes_at(batch)
            figures = self._figures(batch, minutes, losses[batch])
            if sample and batch == budget.batch:
                figures |= self._sample(batch)
            self._log(figures)
            self._show(figures, budget.progress(batch, minutes), budget.remaining(batch, minutes))

    def say(self, text: str) -> None:
        """Show a line of text, above the bar where there is one; nothing before `begin`."""
        if self._screen is not None:
            self._screen.say(text)

    def close(self) -> None:
        """Close the screen's bar and the TensorBoard file."""
        if self._screen is not None:
            self._screen.close()
            self._board.close()

    def _figures(self, batch: int, minutes: float, losses: Losses) -> dict[str, float]:
        """A batch's figures by name; none of a float16 gradient that overflows, which its scale mends."""
        last, since = self._last_line
        pictures = (batch - last) * self.config.batch_size * self.config.batches_per_step
        speed = pictures / max(60 * (minutes - since), 1e-9)
        self._last_line = (batch, minutes)
        figures = {"batch": batch, "minutes": minutes}
        figures |= {name: value for name, loss in losses.items() if math.isfinite(value := float(loss))}
        rate = learning_rate(self.config, batch)
        return figures | {"learning_rate": rate, "images_per_second": speed} | gpu_memory()

    def _log(self, figures: dict[str, float]) -> None:
        """One batch's figures to metrics.jsonl and TensorBoard."""
        self.run.log(figures)
        self._board.figures(figures)

    def _show(self, figures: dict[str, float], progress: float, remaining: float | None) -> None:
        """One batch's figures on the screen; progress 0..1, minutes that remain where they are known."""
        eta = "   ?" if remaining is None else f"{remaining:4.0f}"
        line = (
            f"ETA[{eta}m], Batch [{figures['batch']:4d}], G_Loss[{figures['generator_loss']:.3f}], "
            f"D_Real_Loss[{figures['discriminator_real_loss']:.3f}], "
            f"D_Fake_Loss[{figures['discriminator_fake_loss']:.3f}], "
            f"images/s[{figures['images_per_second']:.1f}]"
        )
        percent = 100 * progress
        self._screen.show(percent, line, f"Progress[{percent:3.0f}%], {line}")

    def _sample(self, batch: int) -> dict[str, float]:
        """Write the grids of a batch; figures of the held-out faces, at batch 0 bicubic's too."""
        test = self._test
        output = self.networks.sample(test.feature)
        shown, label = output[:GRID_FACES], test.label[:GRID_FACES]
        columns = grid_columns(shown, label, test.feature[:GRID_FACES], self.config)
        self._write_png(GRID_NAME.format(batch), layout.columns_to_grid(columns))
        self._write_png(STRIP_NAME.format(batch), layout.side_by_side(shown))
        if self.config.output_image:
            for i, picture in enumerate(output):
                self._write_png(f"gen_batch{batch:06d}_face{i:03d}.png", picture)
        self._board.faces(batch, columns)
        figures = self._quality.figures(output) | self._examine_critic()
        if batch == 0:
            figures |= self._quality.bicubic()
        if self.config.fresh_critics:
            figures |= self._measure_distance(batch, output)
        if text := ", ".join(f"{name} {figures[name]:.3f}" for name in SHOWN if name in figures):
            self.say(f"    held-out faces at batch {batch}: {text}")
        return figures

    def _examine_critic(self) -> dict[str, float]:
        """The critic's figures on the held-out faces, and how much the generator's gradient is its own."""
        found = self.networks.examine(self._test.label[:EXAMINED_FACES], self._test.feature[:EXAMINED_FACES])
        figures = {"critic_gradient_share": found["critic_gradient_share"]}
        names = ["wasserstein_estimate"] + ["gradient_penalty"] * self.networks.objective.penalized
        return figures | {f"heldout_{name}": found[name] for name in names}

    def _measure_distance(self, batch: int, output: np.ndarray) -> dict[str, float]:
        """The exact transport, and where they are due fresh critics, of the output as a critic gets it."""
        label = self._test.label.numpy()
        figures = {"transport": transport(label, output)}
        if is_due(self.config, batch):
            figures |= self._fresh_critics.measure(label, output, batch)
            text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            self.say(f"    fresh critics at batch {batch}: {text}")
        return figures

    @functools.cached_property
    def _fresh_critics(self) -> FreshCritics:
        return FreshCritics(self.config)  # only where they are asked for: they are slow to compile

    def _write_png(self, name: str, picture: np.ndarray) -> None:
        layout.write_png(files.join(self.config.train_dir, name), picture)


def load_start_weights(generators: Iterable[tf.Module], config: Config) -> str:
    """Give generators the weights that start_from means; the path of these, or "". Raises UserError."""
    if not (weights := start_weights(config)):
        return ""
    try:
        for generator in generators:
            restore(generator, *weights)
    except UserError as error:
        raise cannot_start_from(config, error.problem) from None
    return weights[0]
