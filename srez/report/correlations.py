"""Does a number of the training tell its quality? Rank correlations within runs, intervals over seeds.

An indicator has a direction: which way it goes when the generator gets better. All correlations are signed so
that +1 means "the better by the indicator, the better in quality".
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from srez.report.verdicts import CONFIDENCE, Curve, finite, level

FEWEST_PAIRS = 8  # samples of a run without which no correlation is given
RESAMPLES, BOOTSTRAP_SEED = 9999, 0


class Indicator(NamedTuple):
    """A figure of the training.

    direction: -1 if it falls as the generator gets better, else 1. distance: only the critics of Wasserstein
    objectives estimate one.
    """

    title: str
    short: str
    direction: int
    distance: bool = False


WASSERSTEIN = ("wgan", "wgangp")  # values of --loss_func
INDICATORS = {
    "wasserstein_estimate": Indicator("Wasserstein estimate", "estimate", -1, distance=True),
    "heldout_wasserstein_estimate": Indicator(
        "held-out Wasserstein estimate", "held-out estimate", -1, distance=True
    ),
    "generator_loss": Indicator("generator loss", "generator loss", -1),
    # what the critic minimizes rises as real and generated become harder to tell apart
    "discriminator_tot_loss": Indicator("critic loss", "critic loss", 1),
}


def applies(indicator: str, loss_func: str) -> bool:
    """Whether an indicator means something under an objective."""
    return loss_func in WASSERSTEIN or not INDICATORS[indicator].distance


# ---- within a run ----------------------------------------------------------------------------------


def since_last_sample(logged: Curve, samples: np.ndarray) -> np.ndarray:
    """Mean of the finite logged values after the previous sample up to each sample's batch, [len(samples)].

    Not a number where nothing was logged in between, as before the first sample at batch 0.
    """
    batch, values = finite(logged)
    edges = np.searchsorted(batch, samples, side="right")
    parts = np.split(values, edges)[: len(samples)]
    return np.array([part.mean() if len(part) else np.nan for part in parts])


def pairs(indicator: str, logged: Curve, figure: str, sampled: Curve) -> tuple[np.ndarray, ...]:
    """Batches, goodness by the indicator, level of quality, [N] each: where both are finite."""
    batch, quality = level(figure, sampled)
    goodness = INDICATORS[indicator].direction * since_last_sample(logged, batch)
    good = np.isfinite(goodness)
    return batch[good], goodness[good], quality[good]


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of [N] and [N]; nan where one of them is constant or N is below 2."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y).statistic)


def within_run(batch: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation as it is: two series that both follow the clock correlate, whatever they are."""
    return spearman(x, y)


def given_batch(batch: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Partial rank correlation given the batch number; nan where x or y follows it without exception."""
    xy, xt, yt = spearman(x, y), spearman(x, batch), spearman(y, batch)
    rest = (1 - xt**2) * (1 - yt**2)
    return float("nan") if not rest > 1e-12 else float((xy - xt * yt) / np.sqrt(rest))


def of_changes(batch: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of the changes from one sample to the next."""
    return spearman(np.diff(x), np.diff(y))


class Kind(NamedTuple):
    """A kind of correlation of (batch, x, y): its title and what it says."""

    of: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    title: str
    text: str


KINDS = {
    "within_run": Kind(
        within_run,
        "over the training",
        "Spearman's rank correlation over the samples of a run. Anything that goes one way during a training "
        "correlates with quality here.",
    ),
    "given_batch": Kind(
        given_batch,
        "given the batch",
        "The partial rank correlation given the batch number: what is left of it without the common trend.",
    ),
    "of_changes": Kind(
        of_changes,
        "of changes",
        "The rank correlation of the changes from one sample to the next: when the indicator gets better, "
        "does quality?",
    ),
}


def correlations(indicator: str, logged: Curve, figure: str, sampled: Curve) -> dict[str, float]:
    """Every kind of correlation of a run, and how many `pairs` it rests on; nan below eight pairs."""
    batch, goodness, quality = pairs(indicator, logged, figure, sampled)
    enough = len(batch) >= FEWEST_PAIRS
    found = {name: kind.of(batch, goodness, quality) if enough else np.nan for name, kind in KINDS.items()}
    return {"pairs": len(batch), **found}


def falls(logged: Curve) -> bool | None:
    """Whether the last third of an estimate's values is lower than the first; None below nine values."""
    _, values = finite(logged)
    third = len(values) // 3
    return None if third < 3 else bool(values[-third:].mean() < values[:third].mean())


# ---- over seeds ------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """A mean over cells of means over seeds with its 95% interval; runs, cells: what it rests on."""

    mean: float
    low: float
    high: float
    runs: int
    cells: int


def _usable(cells: Sequence[Sequence[float]]) -> list[np.ndarray]:
    """The finite values of each cell, of cells with two or more; of all cells if none has."""
    clean = [np.asarray(cell, float)[np.isfinite(np.asarray(cell, float))] for cell in cells]
    clean = [cell for cell in clean if len(cell)]
    return [cell for cell in clean if len(cell) > 1] or clean


def _bootstrap(cells: list[np.ndarray], weights: np.ndarray) -> tuple[float, float]:
    """Percentile interval of the weighted sum of cell means; seeds are drawn anew within each cell."""
    if not cells or min(map(len, cells)) < 2:
        return np.nan, np.nan

    def weighted(*resampled: np.ndarray, axis: int = -1) -> np.ndarray:
        return sum(w * cell.mean(axis=axis) for w, cell in zip(weights, resampled, strict=True))

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a degenerate interval must not pass for one
        found = stats.bootstrap(
            cells,
            weighted,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(BOOTSTRAP_SEED),
        ).confidence_interval
    return float(found.low), float(found.high)


def over_seeds(cells: Sequence[Sequence[float]]) -> Interval:
    """Mean over cells of the mean over seeds, with a bootstrap interval; one sequence of values per cell.

    Cells stay as they are (they are the design, not a sample); seeds are resampled within each. A cell with
    one seed has no spread and is left out as soon as another has two; if none has, the interval is nan.
    """
    clean = _usable(cells)
    if not clean:
        return Interval(np.nan, np.nan, np.nan, 0, 0)
    mean = float(np.mean([cell.mean() for cell in clean]))
    bounds = _bootstrap(clean, np.full(len(clean), 1 / len(clean)))
    return Interval(mean, *bounds, sum(map(len, clean)), len(clean))


def difference(ones: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> Interval:
    """The mean over `ones` minus that over `others`, both as in `over_seeds`, with its interval."""
    a, b = _usable(ones), _usable(others)
    if not a or not b:
        return Interval(np.nan, np.nan, np.nan, 0, 0)
    mean = float(np.mean([cell.mean() for cell in a]) - np.mean([cell.mean() for cell in b]))
    weights = np.concatenate([np.full(len(a), 1 / len(a)), np.full(len(b), -1 / len(b))])
    return Interval(mean, *_bootstrap([*a, *b], weights), sum(map(len, a + b)), len(a) + len(b))
