"""What it costs to go by an indicator: stopping where it is best, and choosing among trainings by it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from srez.errors import EXIT_DIVERGED
from srez.report.correlations import CLOCK, INDICATORS, MIN_PAIRS, MOMENTS, fisher, shared, spearman
from srez.report.intervals import Interval, Spread, spread, student
from srez.report.relations import Relations, at, does_not_count
from srez.report.results import CellResult, RunResult, grouped
from srez.report.verdicts import level

MIN_POINTS = 3  # trainings or cells, without which no correlation across them is given


def losses_of_stopping(run: RunResult, indicator: str, truth: str, when: str) -> tuple[float, float]:
    """Percent by which a training's truth is worse than at its best sample: where the indicator is best, and
    at a sample at random (the mean of all). Nan for both with fewer than MIN_PAIRS samples that have both.
    """
    batches, x, levels = shared(at(run, indicator, when), at(run, truth, when))
    if len(batches) < MIN_PAIRS[when]:
        return float("nan"), float("nan")
    measured = dict(zip(*run.curves[truth], strict=True))
    figures = np.array([measured[batch] for batch in batches])
    worse = 100 * np.abs(figures / figures[np.argmax(levels)] - 1)
    return float(worse[np.argmax(x)]), float(worse.mean())


class Regret(NamedTuple):
    """Percent by which quality is worse than at a training's best sample, over trainings.

    stopped: where the indicator is best. more_than_last: that minus the same of stopping at the last sample.
    at_random: of a sample at random.
    """

    stopped: Spread
    more_than_last: Spread
    at_random: Spread


def regret(relations: Relations, cells: Sequence[CellResult], indicator: str, when: str) -> Regret:
    """The regret of an indicator in the trainings of those of the cells in which it counts."""
    truth = relations.results.quality
    runs = [r for cell in cells if not does_not_count(cell, indicator) for r in cell.finished]
    found, last = (
        np.array([losses_of_stopping(r, name, truth, when) for r in runs]).reshape(-1, 2)
        for name in (indicator, CLOCK)
    )
    return Regret(spread(found[:, 0]), spread(found[:, 0] - last[:, 0]), spread(found[:, 1]))


class Point(NamedTuple):
    """A training at its last moment: its objective and cell, an indicator and the quality, as they are."""

    objective: str
    cell: str
    indicator: float
    quality: float


def last_moments(relations: Relations, indicator: str, any_penalty: bool = False) -> list[Point]:
    """Every training in which an indicator counts at its last moment, but those that diverged.

    any_penalty: it counts whatever the gradient penalty of its critic.
    """
    points, truth, sign = [], relations.results.quality, INDICATORS[indicator].direction
    for objective, cells in relations.results.objectives.items():
        for cell in cells:
            if does_not_count(cell, indicator, any_penalty):
                continue
            for r in cell.finished:
                batches, x, _ = shared(at(r, indicator, MOMENTS), at(r, truth, MOMENTS))
                if len(batches) and r.exit != EXIT_DIVERGED:
                    measured = dict(zip(*r.curves[truth], strict=True))
                    points.append(
                        Point(objective, cell.cell.name, float(sign * x[-1]), measured[batches[-1]])
                    )
    return points


class Across(NamedTuple):
    """Rank correlations of an indicator with quality at the last moment, +1: the better, the better.

    trainings: over all, with an interval as if they were independent. cells: over their means. within: of
    those over the seeds of each cell. Nan where there are fewer than three to compare.
    """

    trainings: Interval
    cells: float
    within: Spread


def across(points: Sequence[Point], indicator: str, truth: str) -> Across:
    """How an indicator goes with a truth over trainings."""
    sign = INDICATORS[indicator].direction
    _, better = level(truth, ([0] * len(points), [p.quality for p in points]))
    by_cell = grouped((p.cell, (sign * p.indicator, value)) for p, value in zip(points, better, strict=True))
    groups = [np.array(pairs) for pairs in by_cell.values()]
    r = _correlation(np.concatenate(groups) if groups else np.empty((0, 2)))
    return Across(
        independent(r, len(points))._replace(cells=len(groups)),
        _correlation(np.array([pairs.mean(axis=0) for pairs in groups]).reshape(-1, 2)),
        spread([_correlation(pairs) for pairs in groups]),
    )


def independent(r: float, count: int) -> Interval:
    """A rank correlation of `count` independent pairs with the interval of Fisher's z, whose variance is
    1.06 / (count - 3) for ranks (Fieller, Hartley and Pearson 1957); nan as interval of fewer than five.
    """
    if count < MIN_PAIRS[MOMENTS]:
        return Interval(r, np.nan, np.nan, count, 1)
    z, reach = fisher(r, count), student(np.inf) * np.sqrt(1.06 / (count - 3))
    return Interval(r, float(np.tanh(z - reach)), float(np.tanh(z + reach)), count, 1)


def _correlation(pairs: np.ndarray) -> float:
    """The rank correlation of pairs [N, 2]; nan of fewer than three."""
    return spearman(*pairs.T) if len(pairs) >= MIN_POINTS else float("nan")
