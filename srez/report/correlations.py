"""Does a number of the training tell its quality? Rank correlations within runs.

An indicator has a direction: which way it goes when the generator gets better. All correlations are signed so
that +1 means "the better by the indicator, the better in quality".
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from srez.report.verdicts import Curve, finite, level

MIN_PAIRS = 8  # samples of a run without which no correlation is given


class Indicator(NamedTuple):
    """A number that the training itself gives: its titles, and how it tells quality.

    direction: -1 if it falls as the generator gets better, else 1. wasserstein_only: whether only the critics
    of Wasserstein objectives give it.
    """

    title: str
    short: str
    direction: int
    wasserstein_only: bool = False


WASSERSTEIN = ("wgan", "wgangp")  # values of --loss_func
INDICATORS = {
    "wasserstein_estimate": Indicator("Wasserstein estimate", "estimate", -1, wasserstein_only=True),
    "heldout_wasserstein_estimate": Indicator(
        "held-out Wasserstein estimate", "held-out estimate", -1, wasserstein_only=True
    ),
    "generator_loss": Indicator("generator loss", "generator loss", -1),
    # what the critic minimizes rises as real and generated become harder to tell apart
    "discriminator_tot_loss": Indicator("critic loss", "critic loss", 1),
}


def indicator_applies(indicator: str, loss_func: str) -> bool:
    """Whether an indicator has a meaning under an objective (a value of --loss_func)."""
    return loss_func in WASSERSTEIN or not INDICATORS[indicator].wasserstein_only


def since_last_sample(logged: Curve, samples: np.ndarray) -> np.ndarray:
    """Mean of the finite logged values after the previous sample up to each sample's batch, [len(samples)].

    Not a number where nothing was logged in between, as before the first sample at batch 0.
    """
    batch, values = finite(logged)
    edges = np.searchsorted(batch, samples, side="right")
    parts = np.split(values, edges)[: len(samples)]
    return np.array([part.mean() if len(part) else np.nan for part in parts])


def paired_samples(indicator: str, logged: Curve, metric: str, sampled: Curve) -> tuple[np.ndarray, ...]:
    """Batches, indicator (larger is better) and level of quality, [N] each, of samples that have both."""
    batch, quality = level(metric, sampled)
    signed = INDICATORS[indicator].direction * since_last_sample(logged, batch)
    good = np.isfinite(signed)
    return batch[good], signed[good], quality[good]


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of [N] and [N]; nan where one of them is constant or N is below 2."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y).statistic)


def given_batch(batch: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Partial rank correlation given the batch number; nan where x or y follows it without exception."""
    xy, xt, yt = spearman(x, y), spearman(x, batch), spearman(y, batch)
    unexplained = (1 - xt**2) * (1 - yt**2)
    return float((xy - xt * yt) / np.sqrt(unexplained)) if unexplained > 1e-12 else float("nan")


class CorrelationKind(NamedTuple):
    """A kind of correlation: its function of (batch, x, y), its title and what it says."""

    compute: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    title: str
    text: str


CORRELATION_KINDS = {
    "within_run": CorrelationKind(
        lambda batch, x, y: spearman(x, y),
        "over the training",
        "Spearman's rank correlation over the samples of a run. Anything that goes one way during a training "
        "correlates with quality here.",
    ),
    "given_batch": CorrelationKind(
        given_batch,
        "given the batch",
        "The partial rank correlation given the batch number: what is left of it without the common trend.",
    ),
    "of_changes": CorrelationKind(
        lambda batch, x, y: spearman(np.diff(x), np.diff(y)),
        "of changes",
        "The rank correlation of the changes from one sample to the next: when the indicator gets better, "
        "does quality?",
    ),
}


def correlations(indicator: str, logged: Curve, metric: str, sampled: Curve) -> dict[str, float]:
    """Every kind of correlation of a run, and how many `pairs` it rests on; nan below eight pairs."""
    samples = paired_samples(indicator, logged, metric, sampled)
    count = len(samples[0])
    return {"pairs": count} | {
        name: kind.compute(*samples) if count >= MIN_PAIRS else np.nan
        for name, kind in CORRELATION_KINDS.items()
    }


def has_fallen(logged: Curve) -> bool | None:
    """Whether the last third of an estimate's values is lower than the first; None below nine values."""
    _, values = finite(logged)
    third = len(values) // 3
    return None if third < 3 else bool(values[-third:].mean() < values[:third].mean())
