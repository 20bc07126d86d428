"""What a study's trainings have come to so far: curves, verdicts and last figures, by run and by cell."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from srez.errors import EXIT_DIVERGED
from srez.report.correlations import (
    INDICATORS,
    Interval,
    applies,
    correlations,
    over_seeds,
    since_last_sample,
)
from srez.report.verdicts import (
    LEVELS,
    Curve,
    Evidence,
    Mean,
    Verdict,
    consensus,
    last_value,
    level,
    mean_over_seeds,
    verdict,
)
from srez.study.cells import Cell, Study, StudyRun

FINISHED, UNDER_WAY, NOT_BEGUN, FAILED = "finished", "under way", "not begun", "failed"
STATES = (FINISHED, UNDER_WAY, NOT_BEGUN, FAILED)
DIVERSITY = "diversity"
LOGGED = (*INDICATORS, "discriminator_real_loss", "discriminator_fake_loss", "gradient_penalty")
NORMS = ("generator_gradient_norm", "discriminator_gradient_norm")
QUALITIES = tuple(LEVELS)  # the first that was recorded is what verdicts are read from


class Figure(NamedTuple):
    """How a figure is shown: title, a short one, unit, decimals, and which way is better."""

    title: str
    short: str
    unit: str
    decimals: int
    better: str


FIGURES = {
    "swd": Figure("sliced Wasserstein distance", "SWD", "x 1000", 1, "lower is better"),
    "ssim": Figure("SSIM", "SSIM", "", 3, "higher is better"),
    "psnr": Figure("PSNR", "PSNR", "dB", 2, "higher is better"),
    "consistency": Figure("consistency with the input", "consistency", "dB", 1, "higher is better"),
    "diversity": Figure("diversity", "diversity", "", 2, "1: as varied as real faces"),
}


@dataclass
class Result:
    """A training so far. curves: figure -> batches and values, in the order of the batches."""

    run: StudyRun
    state: str
    message: str = ""
    exit: int | None = None
    minutes: float = np.nan
    batches: int = 0
    curves: dict[str, Curve] = field(default_factory=dict)
    quality: str = ""  # the figure that verdicts are read from

    @property
    def loss_func(self) -> str:
        return self.run.cell.config(self.run.seed).loss_func

    @cached_property
    def samples(self) -> np.ndarray:
        """Batches at which quality was measured."""
        found = [self.curves[name][0] for name in (*QUALITIES, DIVERSITY) if name in self.curves]
        return np.unique(np.concatenate(found)) if found else np.array([])

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict of a finished training; of others the state that it is in."""
        return self.verdict_by(self.quality)

    def verdict_by(self, quality: str) -> Verdict:
        """The verdict read from another figure."""
        if self.state != FINISHED:
            return Verdict(self.state, self.message)
        nothing = (np.array([]), np.array([]))
        curve = level(quality, self.curves[quality]) if quality in self.curves else nothing
        diversity = self.curves.get(DIVERSITY, nothing)
        losses = np.concatenate([self.curves[n][1] for n in LOGGED if n in self.curves] or [np.array([])])
        found = verdict(Evidence(self.exit, curve, diversity, losses))
        return found._replace(reason=self.message or found.reason) if found.word == "diverged" else found

    @cached_property
    def last(self) -> dict[str, float]:
        """The last value of every figure: median of three samples, of losses their means between samples.

        Nothing for a training that diverged or is not finished.
        """
        if self.state != FINISHED or self.exit == EXIT_DIVERGED:
            return {}
        found = {name: last_value(self.curves[name]) for name in FIGURES if name in self.curves}
        for name in (*LOGGED, *NORMS):
            if name in self.curves and len(self.samples):
                found[name] = last_value((self.samples, since_last_sample(self.curves[name], self.samples)))
        return found

    @cached_property
    def correlations(self) -> dict[tuple[str, str], dict[str, float]]:
        """(indicator, quality) -> every kind of correlation, of finished trainings."""
        if self.state != FINISHED:
            return {}
        return {
            (indicator, quality): correlations(
                indicator, self.curves[indicator], quality, self.curves[quality]
            )
            for indicator, quality in itertools.product(INDICATORS, QUALITIES)
            if indicator in self.curves and quality in self.curves and applies(indicator, self.loss_func)
        }


def titled(labels: dict[str, str]) -> str:
    """Labels by axis for people; one without letters says little without its axis: 'gan / width 0.5'."""
    words = (label if re.search("[a-zA-Z]", label) else f"{axis} {label}" for axis, label in labels.items())
    return " / ".join(words)


@dataclass
class CellResult:
    """A cell of the grid with its trainings, one per seed; none where it is excluded."""

    cell: Cell
    results: list[Result]

    @property
    def finished(self) -> list[Result]:
        return [r for r in self.results if r.state == FINISHED]

    @property
    def title(self) -> str:
        """Its labels for people."""
        return titled(self.cell.labels) or self.cell.title

    @property
    def words(self) -> list[str]:
        """Verdicts of the finished trainings."""
        return [r.verdict.word for r in self.finished]

    @property
    def consensus(self) -> tuple[str, int]:
        """The cell's verdict and how many seeds share it; where none is finished, the trainings' state."""
        if self.words:
            return consensus(self.words)
        states = [r.state for r in self.results]
        return next(((state, states.count(state)) for state in STATES if state in states), ("excluded", 0))

    def mean(self, figure: str) -> Mean:
        """The last value of a figure over the seeds that have one."""
        return mean_over_seeds([r.last[figure] for r in self.finished if figure in r.last])

    @property
    def loss_func(self) -> str:
        return self.cell.config(0).loss_func


@dataclass
class Results:
    """A study so far."""

    study: Study
    results: list[Result]

    def __post_init__(self):
        recorded = {name for r in self.results for name in r.curves}
        self._intervals: dict[tuple[str, ...], Interval] = {}
        self.recorded = [name for name in (*FIGURES, *LOGGED, *NORMS) if name in recorded]
        self.qualities = [name for name in QUALITIES if name in recorded]
        self.quality = self.qualities[0] if self.qualities else ""
        for result in self.results:
            result.quality = self.quality
        of = {(*r.run.cell.labels.values(), r.run.seed): r for r in self.results}
        self.cells = [
            CellResult(
                cell,
                [of[key] for seed in self.study.seeds if (key := (*cell.labels.values(), seed)) in of],
            )
            for cell in self.study.cells()
        ]

    @property
    def live(self) -> list[CellResult]:
        """Cells that are not excluded."""
        return [cell for cell in self.cells if cell.results]

    @property
    def count(self) -> Counter[str]:
        """How many trainings are in each state."""
        return Counter(r.state for r in self.results)

    # ---- the grid as a table ----

    @cached_property
    def column_axis(self) -> str:
        """The axis that is laid out in columns: that of the objectives, or the last; '' without axes."""
        for axis in self.study.axes:
            found: dict[str, set[str]] = {}
            for cell in self.live:
                found.setdefault(cell.cell.labels[axis], set()).add(cell.loss_func)
            if all(len(those) == 1 for those in found.values()) and len(set.union(*found.values())) > 1:
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
        """The labels on the other axes, every combination."""
        return list(itertools.product(*(self.study.axes[axis] for axis in self.row_axes)))

    def row_title(self, row: Sequence[str]) -> str:
        """The labels of a row, or of its first axes, for people."""
        return titled(dict(zip(self.row_axes, row, strict=False)))

    def at(self, row: Sequence[str], column: str) -> CellResult:
        """The cell of a row and a column."""
        wanted = dict(zip(self.row_axes, row, strict=True))
        if self.column_axis:
            wanted[self.column_axis] = column
        return next(cell for cell in self.cells if cell.cell.labels == wanted)

    # ---- over the grid ----

    @cached_property
    def groups(self) -> dict[str, list[CellResult]]:
        """Cells by objective: by its label where it is an axis, else by the option."""
        found: dict[str, list[CellResult]] = {}
        by_label = len({cell.loss_func for cell in self.live}) > 1 and self.column_axis
        for cell in self.live:
            key = cell.cell.labels[self.column_axis] if by_label else cell.loss_func
            found.setdefault(key, []).append(cell)
        return found

    def values(self, group: str, indicator: str, quality: str, kind: str) -> list[list[float]]:
        """Correlations of a group's trainings, a list per cell."""
        return [
            [
                r.correlations[indicator, quality][kind]
                for r in c.finished
                if (indicator, quality) in r.correlations
            ]
            for c in self.groups[group]
        ]

    def correlation(self, group: str, indicator: str, quality: str, kind: str) -> Interval:
        """Mean and interval of a kind of correlation over a group's trainings; made once."""
        key = (group, indicator, quality, kind)
        if key not in self._intervals:
            self._intervals[key] = over_seeds(self.values(*key))
        return self._intervals[key]
