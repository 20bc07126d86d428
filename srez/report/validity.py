"""Whether a critic's estimate can be one of a distance at all: its sign, and what fresh critics find."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from srez.report.correlations import FRESH, INDICATORS, MOMENTS, SAMPLES, shared
from srez.report.intervals import Spread, spread
from srez.report.relations import at
from srez.report.results import CellResult, RunResult


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
