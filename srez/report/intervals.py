"""Means, differences and shares over trainings with 95% intervals, whose coverage the tests simulate.

A cell of a study is given as the values of its trainings, one per seed. Fixed cells are the design itself and
only other seeds would give other values; cells as a sample stand for others that might have been tried.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

CONFIDENCE = 0.95
UPPER_TAIL = (1 + CONFIDENCE) / 2
ANYWHERE = (-np.inf, np.inf)

Cells = Sequence[Sequence[float]]


class Interval(NamedTuple):
    """A mean, difference or share with its 95% interval; runs, cells: what it rests on."""

    mean: float
    low: float
    high: float
    runs: int
    cells: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval: smaller differences could not have been seen."""
        return (self.high - self.low) / 2


class Spread(NamedTuple):
    """Median, smallest and largest of so many values; no interval: it says nothing of others."""

    median: float
    low: float
    high: float
    runs: int


NOTHING = Interval(np.nan, np.nan, np.nan, 0, 0)


def spread(values: Sequence[float]) -> Spread:
    """The spread of the finite values; nan of none."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return Spread(np.nan, np.nan, np.nan, 0)
    return Spread(float(np.median(values)), float(values.min()), float(values.max()), len(values))


def over_seeds(cells: Cells, bounds: tuple[float, float] = ANYWHERE) -> Interval:
    """Mean over fixed cells of the means over their seeds.

    Of one cell with Student's t; of several the variances of the cell means add up, with degrees of freedom
    by Welch and Satterthwaite, so that cells need not scatter alike. bounds: the range of the values, at
    which the interval is cut off. A cell with one finite value has no spread and is left out as soon as
    another has two; if none has, the interval is nan.
    """
    usable = _with_spread(cells)
    return _weighted(usable, np.full(len(usable), 1 / max(1, len(usable))), bounds)


def difference(first: Cells, second: Cells) -> Interval:
    """The mean over the first fixed cells minus that over the second, other ones, as in `over_seeds`."""
    a, b = _with_spread(first), _with_spread(second)
    if not a or not b:
        return NOTHING
    return _weighted([*a, *b], np.r_[np.full(len(a), 1 / len(a)), np.full(len(b), -1 / len(b))], ANYWHERE)


def _finite(cells: Cells) -> list[np.ndarray]:
    """The finite values of each cell that has any."""
    values = [np.asarray(cell, float) for cell in cells]
    return [cell[np.isfinite(cell)] for cell in values if np.isfinite(cell).any()]


def _with_spread(cells: Cells) -> list[np.ndarray]:
    """The finite values of the cells with two or more; of all that have any if none has two."""
    values = _finite(cells)
    return [cell for cell in values if len(cell) > 1] or values


def _weighted(cells: list[np.ndarray], weights: np.ndarray, bounds: tuple[float, float]) -> Interval:
    """The weighted sum of the means of fixed cells; without an interval where one of them has no spread."""
    if not cells:
        return NOTHING
    count = np.array([len(cell) for cell in cells])
    mean = float(weights @ [cell.mean() for cell in cells])
    reach = np.nan
    if count.min() > 1:
        parts = weights**2 * [cell.var(ddof=1) for cell in cells] / count
        total = parts.sum()  # nought where all values of each cell are alike
        reach = student(total**2 / (parts**2 / (count - 1)).sum()) * float(np.sqrt(total)) if total else 0.0
    low, high = np.clip([mean - reach, mean + reach], *bounds)
    return Interval(mean, float(low), float(high), int(count.sum()), len(cells))


def student(freedom: float) -> float:
    """How many standard errors the interval of Student's t reaches to each side."""
    return float(special.stdtrit(freedom, UPPER_TAIL))


def likeness(groups: Sequence[Cells]) -> float:
    """How alike yes-or-no outcomes of a cell's trainings are: their intra-class correlation, 0 to 1.

    groups: cells by objective; each objective has a share of its own, all have one correlation (analysis of
    variance). 1 where nothing tells: no cell differs from others of its objective, none has both outcomes.
    """
    by_objective = [cells for cells in map(_finite, groups) if cells]
    found = [
        (np.array([len(c) for c in cells]), np.array([c.mean() for c in cells])) for cells in by_objective
    ]
    between = sum((m * (p - m @ p / m.sum()) ** 2).sum() for m, p in found)
    within = sum((m * p * (1 - p)).sum() for m, p in found)
    freedom = sum(len(m) - 1 for m, _ in found), sum((m - 1).sum() for m, _ in found)
    if min(freedom) == 0:
        return 1.0
    between, within = between / freedom[0], within / freedom[1]
    size = np.mean(np.concatenate([m for m, _ in found]))
    total = between + (size - 1) * within
    return float(np.clip((between - within) / total, 0, 1)) if total > 0 else 1.0


def share_over_cells(cells: Cells, alike: float | None = None) -> Interval:
    """Share of the trainings for which something is true (1, or 0), with cells as a sample.

    Korn and Graubard's interval (1998): Clopper and Pearson's with the effective number of trainings. alike:
    their intra-class correlation, of `likeness`; of these cells where it is None.
    """
    found = _finite(cells)
    return _exact_share(found, effective_number(found, likeness([found]) if alike is None else alike))


def share_of_independent(cells: Cells) -> Interval:
    """The same with every training taken for independent of the others: Clopper and Pearson's interval."""
    found = _finite(cells)
    return _exact_share(found, sum(map(len, found)))


def effective_number(cells: Cells, alike: float) -> float:
    """How many independent trainings those of some cells are worth, by their intra-class correlation.

    n / (1 + (m - 1) alike) for m a cell, made smaller for how few cells there are, but at least one for each.
    """
    n, count = sum(map(len, cells)), len(cells)
    if count < 2:
        return float(count)
    few = (student(n - 1) / student(count - 1)) ** 2
    return max(float(count), few * n / (1 + (n / count - 1) * alike))


def exact_limits(share: float, effective: float) -> tuple[float, float]:
    """Both ends of Clopper and Pearson's interval of a share of so many trainings, not always whole."""
    yes, no = share * effective, (1 - share) * effective
    low = special.betaincinv(yes, no + 1, 1 - UPPER_TAIL) if yes > 0 else 0.0
    high = special.betaincinv(yes + 1, no, UPPER_TAIL) if no > 0 else 1.0
    return float(low), float(high)


def _exact_share(cells: list[np.ndarray], effective: float) -> Interval:
    """The share of all trainings with Clopper and Pearson's interval; anything from 0 to 1 without any."""
    if not cells:
        return Interval(np.nan, 0.0, 1.0, 0, 0)
    values = np.concatenate(cells)
    share = float(values.mean())
    return Interval(share, *exact_limits(share, effective), len(values), len(cells))


def share_difference(first: Interval, second: Interval) -> Interval:
    """The first share minus the second with an interval made of theirs (Newcombe 1998, his method 10).

    Where both come of the same architectures it is wider than need be: what they have in common is not used.
    """
    gap = first.mean - second.mean
    low = gap - np.hypot(first.mean - first.low, second.high - second.mean)
    high = gap + np.hypot(first.high - first.mean, second.mean - second.low)
    return Interval(gap, float(low), float(high), first.runs + second.runs, first.cells + second.cells)
