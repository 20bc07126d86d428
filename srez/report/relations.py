"""How the indicators of a study's trainings go with quality, and what they can be taken for."""

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from srez.report.correlations import (
    CLOCK,
    ESTIMATE,
    FRESH,
    INDICATORS,
    LATE,
    MIN_PAIRS,
    MOMENTS,
    SAMPLES,
    TRANSPORT,
    CellCorrelation,
    cell_correlation,
    indicator_applies,
    shared,
    since_last_sample,
)
from srez.report.intervals import Interval, Spread, over_seeds, spread
from srez.report.results import CellResult, Results, RunResult
from srez.report.text import number
from srez.report.verdicts import EMPTY_CURVE, MIN_GRADIENT_SHARE, Curve, level

MAX_PENALTY = 0.1  # mean square of the critic's gradient norm minus 1, for an estimate of a distance
FLAT = 1e-9  # half the width of an interval, from rounding alone
CEILING = 0.95  # a null, up or down, beyond which nothing can be told from a clock
PENALIZED = ("wgangp",)  # values of --loss_func


class Relation(NamedTuple):
    """How an indicator goes with a truth, over the trainings of some cells; correlations, -1 to 1.

    r: the mean within trainings. null: that with other trainings' truth. excess: what r has beyond it.
    """

    r: Interval
    null: float
    excess: Interval


class Relations:
    """Every correlation of a study's finished trainings, each computed once.

    truths: what there is to be told, that of the claim first.
    """

    def __init__(self, results: Results):
        self.results = results
        self._cells: dict[tuple[str, ...], CellCorrelation] = {}
        self._kinds: dict[str, tuple[str, ...]] = {}

    @cached_property
    def truths(self) -> list[str]:
        return [name for name in (*self.results.qualities, TRANSPORT) if name in self.results.recorded]

    def kinds(self, indicator: str) -> tuple[str, ...]:
        """The kinds of samples at which an indicator was measured; the one with most of them first."""
        if indicator not in self._kinds:
            finished = [r for cell in self.results.included for r in cell.finished]
            more = any(
                len(at(r, indicator, SAMPLES)[0]) > len(at(r, indicator, MOMENTS)[0]) for r in finished
            )
            self._kinds[indicator] = (SAMPLES, MOMENTS) if more else (MOMENTS,)
        return self._kinds[indicator]

    def combinations(self) -> list[tuple[str, str, str]]:
        """Every indicator with every truth at every kind of samples in `tabled`."""
        pairs = itertools.product(INDICATORS, self.truths)
        return [(one, truth, when) for one, truth in pairs if one != truth for when in self.tabled(one)]

    def tabled(self, indicator: str) -> tuple[str, ...]:
        """The kinds of samples with correlations: `kinds`, and late ones for the own estimate."""
        return (*self.kinds(indicator), *((LATE,) if indicator == ESTIMATE else ()))

    def of_cell(self, cell: CellResult, indicator: str, truth: str, when: str) -> CellCorrelation:
        """How an indicator goes with a truth in a cell's finished trainings, in their order."""
        key = (cell.cell.name, indicator, truth, when)
        if key not in self._cells:
            curves = [(at(r, indicator, when), at(r, truth, when)) for r in cell.finished]
            indicators, truths = zip(*curves, strict=True) if curves else ((), ())
            self._cells[key] = cell_correlation(indicators, truths, MIN_PAIRS[when])
        return self._cells[key]

    def of(
        self, cells: Sequence[CellResult], indicator: str, truth: str, when: str, any_penalty: bool = False
    ) -> Relation:
        """How an indicator goes with a truth in the trainings of those of the cells in which it counts.

        any_penalty: it counts whatever the gradient penalty of its critic.
        """
        counting = [cell for cell in cells if not does_not_count(cell, indicator, any_penalty)]
        found = [self.of_cell(cell, indicator, truth, when) for cell in counting]
        r = over_seeds([one.z for one in found])
        null = float(np.tanh(over_seeds([one.null_z for one in found]).mean))
        excess = over_seeds([one.excess_z for one in found])
        # trainings without any difference tell nothing of others, nor do ranks that have no room to differ
        if excess.half_width < FLAT or abs(null) > CEILING:
            excess = excess._replace(low=np.nan, high=np.nan)
        return Relation(back(r), null, back(excess))


def back(z: Interval) -> Interval:
    """An interval on Fisher's scale as one of correlations."""
    mean, low, high = np.tanh(z[:3])
    return z._replace(mean=float(mean), low=float(low), high=float(high))


def at(run: RunResult, name: str, when: str) -> Curve:
    """A training's indicator or truth at a kind of its samples after batch 0, larger for better pictures."""
    batch, curve = run.sampled_batches, run.curves.get(name, EMPTY_CURVE)
    if name == CLOCK:
        values = batch
    elif name in INDICATORS:
        about = INDICATORS[name]
        logged = since_last_sample(run.curves.get(about.size_of, curve), batch)
        values = about.direction * (np.abs(logged) if about.size_of else logged)
    else:
        batch, values = level(name, curve)
    wanted = (batch > 0) & np.isfinite(values)
    if when == MOMENTS:
        wanted &= np.isin(batch, run.curves.get(FRESH, EMPTY_CURVE)[0])
    elif when == LATE:
        wanted &= batch > batch[-1:] / 2
    return batch[wanted], values[wanted]


def does_not_count(cell: CellResult, indicator: str, any_penalty: bool = False) -> str:
    """Why an indicator of a cell cannot be taken for what it is called; '' where it can.

    any_penalty: the rule about its critic's gradient penalty left out.
    """
    about = INDICATORS[indicator]
    if not indicator_applies(indicator, cell.loss_func):
        return "its critic estimates no distance"
    if about.own_critic:
        if cell.control:
            return "it is a control"
        share = _median(cell, "critic_gradient_share")
        if not share >= MIN_GRADIENT_SHARE:
            return f"its critic's share of the generator's gradient is {_measured(share)}"
    if about.penalty and not any_penalty and (not about.own_critic or cell.loss_func in PENALIZED):
        penalty = _median(cell, about.penalty)
        if not penalty <= MAX_PENALTY:
            return f"its critic's gradient penalty is {_measured(penalty)}"
    return ""


def _measured(value: float) -> str:
    return number(value, 3) if np.isfinite(value) else "not known"


def _median(cell: CellResult, metric: str) -> float:
    """The median over a cell's finished trainings of a metric's medians after batch 0; nan without any."""
    return spread([r.median(metric) for r in cell.finished]).median


class Validity(NamedTuple):
    """How far an estimate can be one of a distance, over trainings.

    negative, positive: shares of all samples after batch 0 at which it is below and above 0, which a critic
    that says the same of every picture estimates. of_fresh: it over fresh critics' at the last moment.
    """

    negative: float
    positive: float
    of_fresh: Spread


def validity(cells: Sequence[CellResult], indicator: str) -> Validity:
    """The validity of an estimate in the finished trainings of some cells; nan where it was not measured."""
    runs = [r for cell in cells for r in cell.finished]
    values = np.concatenate([[], *(_estimates(r, indicator, SAMPLES)[1] for r in runs)])
    if not len(values):
        return Validity(np.nan, np.nan, spread([]))
    shares = (values < 0).mean(), (values > 0).mean()
    return Validity(*map(float, shares), spread([_of_fresh(r, indicator) for r in runs]))


def _estimates(run: RunResult, indicator: str, when: str) -> tuple[np.ndarray, np.ndarray]:
    """Batches and estimates with their sign."""
    batch, better = at(run, indicator, when)
    return batch, INDICATORS[indicator].direction * better


def _of_fresh(run: RunResult, indicator: str) -> float:
    """An estimate over fresh critics' at a training's last moment; nan where these find no distance."""
    _, own, fresh = shared(*(_estimates(run, name, MOMENTS) for name in (indicator, FRESH)))
    return float(own[-1] / fresh[-1]) if len(fresh) and fresh[-1] > 0 else float("nan")
