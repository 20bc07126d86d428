"""What a study's trainings have come to so far: curves, verdicts and last figures, by run and by cell."""

import itertools
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from srez.errors import EXIT_DIVERGED
from srez.options.config import SCRATCH
from srez.options.rules import in_words
from srez.report.correlations import ESTIMATE, FRESH, HELDOUT, TRANSPORT, since_last_sample
from srez.report.intervals import ANYWHERE, Interval, over_seeds
from srez.report.verdicts import (
    EMPTY_CURVE,
    LEVELS,
    MEDIAN_WINDOW,
    RULE,
    Curve,
    Limits,
    Verdict,
    consensus,
    finite,
    last_value,
    level,
    verdict,
)
from srez.study.cells import Cell, Study, StudyRun

FINISHED, UNDER_WAY, NOT_BEGUN, FAILED = "finished", "under way", "not begun", "failed"
STATES = (FINISHED, UNDER_WAY, NOT_BEGUN, FAILED)
L1_ONLY, FROZEN_CRITIC = "L1 only", "frozen critic"
CONTROLS = (L1_ONLY, FROZEN_CRITIC)
GRADIENT_SHARE = "critic_gradient_share"
LOSSES = (  # that must be finite
    "generator_loss",
    "discriminator_tot_loss",
    "discriminator_real_loss",
    "discriminator_fake_loss",
    "gradient_penalty",
)
LOGGED_METRICS = (ESTIMATE, HELDOUT, *LOSSES, "heldout_gradient_penalty", GRADIENT_SHARE)
MOMENT_METRICS = (FRESH, "fresh_gradient_penalty", TRANSPORT)  # measured at few samples
GRADIENT_NORMS = ("generator_gradient_norm", "discriminator_gradient_norm")


class Metric(NamedTuple):
    """How a metric of the samples is shown: title, short title, unit, decimals, what is better, range."""

    title: str
    short: str
    unit: str
    decimals: int
    better: str
    bounds: tuple[float, float] = ANYWHERE

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is, 0 where neither."""
        return {"higher": 1, "lower": -1}.get(self.better.split()[0], 0)

    @property
    def arrow(self) -> str:
        """The sign as an arrow, '' where neither is better."""
        return {1: "\N{UPWARDS ARROW}", -1: "\N{DOWNWARDS ARROW}"}.get(self.sign, "")


METRICS = {
    "lpips": Metric("LPIPS (AlexNet)", "LPIPS", "", 3, "lower is better", (0, np.inf)),
    "alexnet_frechet": Metric(
        "Fréchet distance of AlexNet's features", "AlexNet Fréchet", "", 2, "lower is better", (0, np.inf)
    ),
    "ssim": Metric("SSIM", "SSIM", "", 3, "higher is better", (-1, 1)),
    "psnr": Metric("PSNR", "PSNR", "dB", 2, "higher is better"),
    "consistency": Metric("consistency with the input", "consistency", "dB", 1, "higher is better"),
    # decides nothing: it finds nearest-neighbour enlargement better than bicubic
    "swd": Metric("sliced Wasserstein distance", "SWD", "x 1000", 1, "lower is better", (0, np.inf)),
    "diversity": Metric("diversity", "diversity", "", 2, "1: as varied as real faces", (0, np.inf)),
}
BICUBIC = {name: f"bicubic_{name}" for name in METRICS}  # the same figures of bicubic enlargement, at batch 0
ALL_METRICS = (*METRICS, *LOGGED_METRICS, *MOMENT_METRICS, *GRADIENT_NORMS, *BICUBIC.values())


def control_of(cell: Cell) -> str:
    """Which control a cell is, whatever its label: L1_ONLY or FROZEN_CRITIC; '' if it is none.

    L1 only: the generator sees no critic. Frozen critic: the critic stays as random as it was made.
    """
    config = cell.config(0)
    if config.gene_l1_factor == 1:
        return L1_ONLY
    return FROZEN_CRITIC if config.critic_iters == 0 else ""


@dataclass
class RunResult:
    """A training so far.

    curves: metric -> batches and values, in the order of the batches. quality: the metric that verdicts are
    read from, '' where none was recorded.
    """

    run: StudyRun
    state: str
    message: str = ""
    exit: int | None = None
    minutes: float = np.nan
    batches: int = 0
    curves: dict[str, Curve] = field(default_factory=dict)
    quality: str = ""
    _verdicts: dict[tuple[str, Limits], Verdict] = field(default_factory=dict, repr=False)

    @cached_property
    def sampled_batches(self) -> np.ndarray:
        """Batches at which quality was measured."""
        return np.unique(np.concatenate([self.curves.get(name, EMPTY_CURVE)[0] for name in METRICS]))

    @property
    def bicubic(self) -> dict[str, float]:
        """The figures of bicubic enlargement of the held-out faces, by metric, as far as recorded."""
        return {n: float(self.curves[name][1][0]) for n, name in BICUBIC.items() if name in self.curves}

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict of a finished training; of others the state that it is in."""
        return self.verdict_by(self.quality)

    def verdict_by(self, quality: str, limits: Limits = RULE) -> Verdict:
        """The verdict read from a given quality metric; the state of a training that is not finished."""
        key = (quality, limits)
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(quality, limits)
        return self._verdicts[key]

    def _judge(self, quality: str, limits: Limits) -> Verdict:
        if self.state != FINISHED:
            return Verdict(self.state, self.message)
        levels, bicubic = (
            level(quality, self.curves[name]) if name in self.curves else EMPTY_CURVE
            for name in (quality, BICUBIC.get(quality))
        )
        diversity = self.curves.get("diversity", EMPTY_CURVE)
        losses = np.concatenate([self.curves.get(name, EMPTY_CURVE)[1] for name in LOSSES])
        known = float(bicubic[1][0]) if len(bicubic[1]) else np.nan
        share = np.nan if control_of(self.run.cell) else self.median(GRADIENT_SHARE)
        word, reason = verdict(self.exit, levels, diversity, losses, known, share, limits)
        return Verdict(word, self.message if word == "diverged" and self.message else reason)

    def median(self, metric: str) -> float:
        """The median of the finite values of a metric after batch 0; nan without any."""
        batch, values = finite(self.curves.get(metric, EMPTY_CURVE))
        return float(np.median(values[batch > 0])) if (batch > 0).any() else np.nan

    def trained(self, metric: str) -> Curve:
        """The finite values of a metric without the untrained network's at batch 0.

        Where the training began with start_from's generator it was trained, and counts.
        """
        batch, values = finite(self.curves.get(metric, EMPTY_CURVE))
        kept = (batch > 0) | (self.run.cell.config(self.run.seed).start_from != SCRATCH)
        return batch[kept], values[kept]

    @cached_property
    def last(self) -> dict[str, float]:
        """The last value of every metric: median of three samples of the trained network, or where there are
        fewer the last one; of losses their means between samples; of what is measured at few samples that of
        the last.

        Nothing for a training that diverged or is not finished.
        """
        if self.state != FINISHED or self.exit == EXIT_DIVERGED:
            return {}
        found = {}
        for name in METRICS:
            batch, values = self.trained(name)
            if len(values):
                few = len(values) < MEDIAN_WINDOW
                found[name] = float(values[-1]) if few else last_value((batch, values))
        found |= {name: last_value(self.curves[name]) for name in BICUBIC.values() if name in self.curves}
        batches = self.sampled_batches
        for name in (*LOGGED_METRICS, *GRADIENT_NORMS):
            if name in self.curves and len(batches):
                found[name] = last_value((batches, since_last_sample(self.curves[name], batches)))
        for name in MOMENT_METRICS:
            if name in self.curves:
                found[name] = last_value(tuple(part[-1:] for part in finite(self.curves[name])))
        return found


def grouped(pairs: Iterable[tuple[Hashable, Any]]) -> dict[Any, list[Any]]:
    """Key -> all values that have it, both in the order of the pairs of a key and a value."""
    found: dict[Any, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def format_labels(labels: dict[str, str]) -> str:
    """Labels by axis for people; one without letters says little without its axis: 'gan / width 0.5'."""
    words = (label if re.search("[a-zA-Z]", label) else f"{axis} {label}" for axis, label in labels.items())
    return " / ".join(words)


@dataclass
class CellResult:
    """A cell of the grid with its trainings, one per seed; none where it is excluded."""

    cell: Cell
    runs: list[RunResult]

    @property
    def finished(self) -> list[RunResult]:
        return [r for r in self.runs if r.state == FINISHED]

    @property
    def title(self) -> str:
        """The cell's labels for people."""
        return format_labels(self.cell.labels) or self.cell.title

    @property
    def verdicts(self) -> list[str]:
        """Verdicts of the finished trainings."""
        return [r.verdict.word for r in self.finished]

    @property
    def consensus(self) -> tuple[str, int]:
        """The cell's verdict and how many trainings have it (of 'mixed' none); before that their state."""
        if self.verdicts:
            word = consensus(self.verdicts)
            return word, self.verdicts.count(word)
        states = [r.state for r in self.runs]
        return next(((state, states.count(state)) for state in STATES if state in states), ("excluded", 0))

    @cached_property
    def control(self) -> str:
        """Which control it is; '' if it is none."""
        return control_of(self.cell)

    def has(self, metric: str) -> bool:
        """Whether any of its trainings recorded a metric."""
        return any(metric in r.curves for r in self.runs)

    def last(self, metric: str) -> list[float]:
        """The last values of a metric, of every finished training that has one."""
        return [r.last[metric] for r in self.finished if metric in r.last]

    def mean(self, metric: str) -> Interval:
        """The mean of a metric's last values over the seeds that have one."""
        return over_seeds([self.last(metric)], METRICS[metric].bounds if metric in METRICS else ANYWHERE)

    @cached_property
    def loss_func(self) -> str:
        return self.cell.config(0).loss_func


@dataclass
class Results:
    """A study so far: its trainings, its cells, and its grid as a table of rows and columns.

    recorded: metrics that any training has; `metrics` are those of samples among them, `qualities` those of
    quality. quality: the metric that verdicts are read from, '' where none of quality was recorded.
    """

    study: Study
    runs: list[RunResult]

    def __post_init__(self):
        recorded = {name for r in self.runs for name in r.curves}
        self.metrics = [name for name in METRICS if name in recorded]
        self.recorded = [name for name in ALL_METRICS if name in recorded]
        self.qualities = [name for name in LEVELS if name in recorded]
        self.quality = self.qualities[0] if self.qualities else ""
        for r in self.runs:
            r.quality = self.quality
        self.cells = [
            CellResult(cell, [r for r in self.runs if r.run.cell.labels == cell.labels])
            for cell in self.study.cells()
        ]

    @property
    def included(self) -> list[CellResult]:
        """Cells that are not excluded."""
        return [cell for cell in self.cells if cell.runs]

    @cached_property
    def column_axis(self) -> str:
        """The axis that is laid out in columns: that of the objectives, or the last; '' without axes."""
        for axis in self.study.axes:
            objectives = {(cell.cell.labels[axis], cell.loss_func) for cell in self.included}
            labels, loss_funcs = (set(names) for names in zip(*objectives, strict=True))
            if len(objectives) == len(labels) and len(loss_funcs) > 1:
                return axis
        return list(self.study.axes)[-1] if self.study.axes else ""

    @property
    def columns(self) -> list[str]:
        return self.study.axes.get(self.column_axis, [""])

    @property
    def row_axes(self) -> list[str]:
        return [axis for axis in self.study.axes if axis != self.column_axis]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Every combination of labels on the axes that are laid out in rows."""
        return list(itertools.product(*(self.study.axes[axis] for axis in self.row_axes)))

    def row_title(self, row: Sequence[str]) -> str:
        """The labels of a row, or of its first axes, for people."""
        return format_labels(dict(zip(self.row_axes, row, strict=False)))

    def cell_at(self, row: Sequence[str], column: str) -> CellResult:
        """The cell of a row and a column."""
        labels = dict(zip(self.row_axes, row, strict=True))
        if self.column_axis:
            labels[self.column_axis] = column
        return next(cell for cell in self.cells if cell.cell.labels == labels)

    @cached_property
    def objectives(self) -> dict[str, list[CellResult]]:
        """Cells by objective: by its label where it is an axis, else by the option."""
        if self.column_axis and len({cell.loss_func for cell in self.included}) > 1:
            return grouped((cell.cell.labels[self.column_axis], cell) for cell in self.included)
        return grouped((in_words("loss_func", cell.loss_func), cell) for cell in self.included)

    @property
    def tested(self) -> dict[str, list[CellResult]]:
        """Cells by objective without the controls; without objectives that have none left."""
        return grouped((name, c) for name, cells in self.objectives.items() for c in cells if not c.control)

    @property
    def controls(self) -> dict[str, list[CellResult]]:
        """Cells by control, of the controls that the study has."""
        return grouped((name, c) for name in CONTROLS for c in self.included if c.control == name)
