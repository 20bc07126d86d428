"""What a training tells: lines on the screen, metrics.jsonl, TensorBoard, grids of the held-out faces."""

import sys
import time
from typing import Protocol

import numpy as np
import tensorflow as tf
from tqdm import tqdm

import srez_files
import srez_images
from srez_config import Config
from srez_distance import diversity, sliced_wasserstein_levels
from srez_input import Batch
from srez_metrics import measure, measure_sums
from srez_run import GRID, STRIP, Run

SHOWN = 10  # held-out faces in a grid, as in 2017
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
        self._write(STRIP.format(batch), srez_images.side_by_side(shown))
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
        srez_images.write_png(srez_files.join(self.config.train_dir, name), picture)


def grid(output: np.ndarray, label: np.ndarray, feature: np.ndarray, config: Config) -> np.ndarray:
    """One face a row: nearest | bicubic | generated | truth; for noise input noise | generated."""
    size = [config.sample_size, config.sample_size]
    if config.noise_input:
        nearest = tf.image.resize((feature + 1) / 2, size, method="nearest")
        return srez_images.rows_of([nearest.numpy(), output])
    enlarged = [tf.image.resize(feature, size, method=method).numpy() for method in ("nearest", "bicubic")]
    return srez_images.rows_of([*enlarged, output, np.asarray(label)])
