"""Does a number of the training tell how good its pictures are? Rank correlations of trainings' curves.

An indicator has a direction: which way it goes when the generator gets better. All correlations are signed so
that +1 means "the better by the indicator, the better in truth".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from srez.report.verdicts import Curve, finite

# all of a training's samples; those at which fresh critics are trained; those after half of its batches
SAMPLES, MOMENTS, LATE = "samples", "moments", "second half"
MIN_PAIRS = {SAMPLES: 8, MOMENTS: 5, LATE: 8}  # without which no correlation and no regret is given
MIN_SEEDS = 3  # of a cell, without which none is compared with the others


class Indicator(NamedTuple):
    """A number that might tell how good the pictures are: its titles, what it is, and how it tells it.

    direction: -1 if it falls as the generator gets better, else 1. own_critic: whether the critic that the
    generator learns from estimates it. penalty: the figure that has its critic's gradient penalty. size_of:
    the figure that it is the size of, whatever the sign.
    """

    title: str
    short: str
    text: str
    direction: int = -1
    own_critic: bool = False
    penalty: str = ""
    size_of: str = ""


WASSERSTEIN = ("wgan", "wgangp")  # values of --loss_func
ESTIMATE, HELDOUT = "wasserstein_estimate", "heldout_wasserstein_estimate"
SIZE = "wasserstein_estimate_size"
FRESH, TRANSPORT, CLOCK = "fresh_wasserstein_estimate", "transport", "batch"
GENERATOR_LOSS, CRITIC_LOSS = "generator_loss", "discriminator_tot_loss"
INDICATORS = {
    ESTIMATE: Indicator(
        "critic's own estimate",
        "own estimate",
        "The Wasserstein estimate of the critic in training, of a Wasserstein objective, on the batches that "
        "it trains on: too high where it learns them by heart, too low where it lags behind the generator.",
        own_critic=True,
        penalty="gradient_penalty",
    ),
    SIZE: Indicator(
        "size of the critic's own estimate",
        "own, no sign",
        "The critic's own estimate without its sign, as papers plot it. Added after the first run of the "
        "study `signal`, in which the estimate was negative.",
        own_critic=True,
        penalty="gradient_penalty",
        size_of=ESTIMATE,
    ),
    HELDOUT: Indicator(
        "critic's estimate on held-out faces",
        "held-out estimate",
        "The same critic's estimate on faces that no network was trained on.",
        own_critic=True,
        penalty="heldout_gradient_penalty",
    ),
    FRESH: Indicator(
        "estimate of fresh critics",
        "fresh critics",
        "The mean estimate of critics that are trained from the start against the generator as it is, on one "
        "half of the held-out faces, and asked about the other; of any objective.",
        penalty="fresh_gradient_penalty",
    ),
    TRANSPORT: Indicator(
        "exact transport",
        "exact transport",
        "The exact Wasserstein-1 distance of the held-out real faces and the generated ones, by optimal "
        "assignment, with the distance between pictures' pixels; of any objective. It is also taken as a "
        "truth that estimates should tell.",
    ),
    GENERATOR_LOSS: Indicator(
        "generator loss",
        "generator loss",
        "With --gene_l1_factor above 0 it also holds the distance between the averaged-down output and the "
        "input, whatever the critic does.",
    ),
    CRITIC_LOSS: Indicator(
        "critic loss",
        "critic loss",
        "What the critic minimizes grows as real and generated become harder to tell apart.",
        direction=1,
    ),
    CLOCK: Indicator("clock", "clock", "The batch number: what any trend gets.", direction=1),
}


def indicator_applies(indicator: str, loss_func: str) -> bool:
    """Whether an indicator has a meaning under an objective (a value of --loss_func)."""
    return loss_func in WASSERSTEIN or not INDICATORS[indicator].own_critic


def since_last_sample(logged: Curve, samples: np.ndarray) -> np.ndarray:
    """Mean of the finite logged values after the previous sample up to each sample's batch, [len(samples)].

    Not a number where nothing was logged in between, as before the first sample at batch 0.
    """
    batch, values = finite(logged)
    edges = np.searchsorted(batch, samples, side="right")
    parts = np.split(values, edges)[: len(samples)]
    return np.array([part.mean() if len(part) else np.nan for part in parts])


def shared(first: Curve, second: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The batches that two curves both have, and the values of each there; [N] each."""
    batches, mine, others = np.intersect1d(first[0], second[0], assume_unique=True, return_indices=True)
    return batches, first[1][mine], second[1][others]


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of [N] and [N]; nan where one of them is constant or N is below 2."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    a, b = stats.rankdata([x, y], axis=1) - (len(x) + 1) / 2
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def fisher(correlation: float, count: int) -> float:
    """Fisher's z of a rank correlation of `count` pairs: its inverse hyperbolic tangent.

    Its steps mean alike near 1 and near 0. A correlation of 1 counts as one that is half as far from 1 as
    the next that so many ranks can have.
    """
    most = 1 - 6 / (count**3 - count) if count > 2 else 0.0
    return float(np.arctanh(np.clip(correlation, -most, most)))


class CellCorrelation(NamedTuple):
    """How an indicator goes with a truth in the trainings of one cell; [seeds] each, nan where there is none.

    pairs: samples that it rests on. r: Spearman's correlation within the training; z: Fisher's of it.
    null_z: the mean z of the same indicator with the truth of the cell's other trainings. excess_z: the
    jackknife's pseudo-values of the mean of z minus the mean of null_z: their mean is that difference, and
    they scatter as if they were independent, which differences seed by seed are not.
    """

    pairs: np.ndarray
    r: np.ndarray
    z: np.ndarray
    null_z: np.ndarray
    excess_z: np.ndarray


def cell_correlation(indicators: Sequence[Curve], truths: Sequence[Curve], least: int) -> CellCorrelation:
    """How the indicator of each training of a cell goes with each one's truth, over the batches both have.

    indicators, truths: a curve per training, both larger for better pictures. least: pairs needed.
    """
    count = len(indicators)
    pairs, r = np.zeros((count, count), int), np.full((count, count), np.nan)
    z = r.copy()
    for s, t in np.ndindex(count, count):
        batches, x, y = shared(indicators[s], truths[t])
        pairs[s, t] = len(batches)
        if len(batches) >= least:
            r[s, t] = spearman(x, y)
            z[s, t] = fisher(r[s, t], len(batches))
    null = np.array([_mean(np.delete(z[s], s)) for s in range(count)])
    return CellCorrelation(pairs.diagonal(), r.diagonal(), z.diagonal(), null, _excesses(z))


def _excesses(z: np.ndarray) -> np.ndarray:
    """The jackknife's pseudo-values [N] of the mean on the diagonal of z [N, N] minus that beside it.

    Nan for whom the diagonal has no number, and for all where fewer than three have one.
    """
    found = np.full(len(z), np.nan)
    good = np.flatnonzero(np.isfinite(z.diagonal()))
    if len(good) >= MIN_SEEDS:
        z = z[np.ix_(good, good)]
        without = [_lead(np.delete(np.delete(z, s, 0), s, 1)) for s in range(len(z))]
        found[good] = len(z) * _lead(z) - (len(z) - 1) * np.array(without)
    return found


def _lead(z: np.ndarray) -> float:
    """The mean on the diagonal of [N, N] minus that beside it."""
    return _mean(z.diagonal()) - _mean(z[~np.eye(len(z), dtype=bool)])


def _mean(values: np.ndarray) -> float:
    """The mean of the finite values; nan of none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")
