"""What became of a training: verdicts with written definitions, and what several seeds say together.

A verdict is read off figures alone: the exit code, one curve of quality over batches, and the diversity of
the output. Quality curves are given as levels: larger is better, and equal steps mean alike (see `LEVELS`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

DIVERGED_EXIT = 3
LAST_PART = 1 / 3  # of the batches: what verdicts look at
FEWEST_IN_PART = 4  # samples in the last part without which nothing is said
WINDOW = 3  # samples whose median counts as one level
CHANGE, FALLBACK, SWING = 0.05, 0.1, 0.2  # shares of the gain
GROWTH = 0.05  # of diversity over the last part, beyond which it is still coming
LEAST_DIVERSITY = 0.25  # halfway between one picture for all inputs (0) and two at even odds (0.5)
CONFIDENCE = 0.95

Curve = tuple[np.ndarray, np.ndarray]  # batches, values; both [N], in the order of the batches


# ---- quality as a level ----------------------------------------------------------------------------


class Level(NamedTuple):
    """How a quality figure becomes a level: larger is better, equal steps mean alike."""

    of: Callable[[np.ndarray], np.ndarray]
    text: str


def _minus_log(values: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(values, 1e-9))  # a distance of zero is still a number


LEVELS = {
    "swd": Level(_minus_log, "minus its logarithm: a distance, of which equal ratios count alike"),
    "ssim": Level(np.asarray, "as it is"),
    "psnr": Level(np.asarray, "as it is, in decibels"),
    "consistency": Level(np.asarray, "as it is, in decibels"),
}


def finite(curve: Curve) -> Curve:
    """A curve without the points that are not numbers."""
    batch, values = (np.asarray(part, float) for part in curve)
    good = np.isfinite(values)
    return batch[good], values[good]


def level(figure: str, curve: Curve) -> Curve:
    """A curve of a quality figure as levels; points that are not finite are left out."""
    batch, values = finite(curve)
    return batch, LEVELS[figure].of(values)


# ---- the shape of a curve --------------------------------------------------------------------------


class Shape(NamedTuple):
    """A curve of levels in numbers; the last three are shares of the gain.

    gain: best level - first level. kept: last level - first level. change: of a straight line over the last
    part, from its first to its last batch. fallback: best level - last level. swing: 2 sqrt(2) standard
    deviations from that line, which is the height of a sine wave from trough to crest.
    """

    gain: float
    kept: float
    change: float
    fallback: float
    swing: float


def last_part(curve: Curve) -> Curve:
    """The last third of a curve by batch number, its first batch included."""
    batch, values = curve
    if not len(batch):
        return batch, values
    late = batch >= batch[-1] - LAST_PART * (batch[-1] - batch[0])
    return batch[late], values[late]


def last_value(curve: Curve) -> float:
    """Median of the last three finite values; not a number where there are none."""
    _, values = finite(curve)
    return float(np.median(values[-WINDOW:])) if len(values) else float("nan")


def shape(levels: Curve) -> Shape | None:
    """The shape of a curve of finite levels; None with fewer than four samples in its last third.

    The best level is the largest median of three samples in a row, the last level that of the last three, the
    first level the first sample: the untrained network's.
    """
    batch, values = levels
    late, tail = last_part(levels)
    if len(tail) < FEWEST_IN_PART:
        return None
    medians = np.median(np.lib.stride_tricks.sliding_window_view(values, WINDOW), axis=1)
    gain, kept = medians.max() - values[0], medians[-1] - values[0]
    slope, offset = np.polyfit(late - batch[0], tail, 1)
    rest = tail - (slope * (late - batch[0]) + offset)
    deviation = np.sqrt(np.square(rest).sum() / (len(rest) - 2))
    parts = (slope * (late[-1] - late[0]), medians.max() - medians[-1], 2 * np.sqrt(2) * deviation)
    shares = [part / gain if gain > 0 else float("nan") for part in parts]
    return Shape(float(gain), float(kept), *map(float, shares))


# ---- verdicts --------------------------------------------------------------------------------------


@dataclass
class Evidence:
    """What a verdict is made from.

    exit: the training's exit code. quality: levels over batches, finite. diversity: of the output, 1 as in
    real faces, over batches. losses: values that must be finite.
    """

    exit: int
    quality: Curve
    diversity: Curve = (np.array([]), np.array([]))
    losses: Sequence[float] = ()

    @property
    def shape(self) -> Shape | None:
        return shape(self.quality)


class Verdict(NamedTuple):
    """A word of VERDICTS, and in words the figures that led to it."""

    word: str
    reason: str


class Rule(NamedTuple):
    """A verdict's sign, its definition, and the figures that speak for it (empty: it does not apply)."""

    symbol: str
    text: str
    applies: Callable[[Evidence], str]


def _diverged(e: Evidence) -> str:
    if e.exit == DIVERGED_EXIT:
        return f"exit code {DIVERGED_EXIT}"
    return "" if np.isfinite(e.losses).all() else "a loss was not finite"


def _collapsed(e: Evidence) -> str:
    _, values = last_part(finite(e.diversity))
    if not len(values) or np.median(values) >= LEAST_DIVERSITY:
        return ""
    growth = np.median(values[-WINDOW:]) - np.median(values[:WINDOW])
    return "" if growth > GROWTH else f"diversity {np.median(values):.2f} in the last third"


def _too_short(e: Evidence) -> str:
    if e.shape is not None:
        return ""
    return f"{len(last_part(e.quality)[0])} samples in the last third, {FEWEST_IN_PART} are needed"


def _no_gain(e: Evidence) -> str:
    return "" if e.shape.kept > 0 else "ended no better than the untrained network"


def _oscillating(e: Evidence) -> str:
    if e.shape.fallback > SWING:
        return f"fell back by {e.shape.fallback:.0%} of the gain"
    return f"swings by {e.shape.swing:.0%} of the gain" if e.shape.swing > SWING else ""


def _improving(e: Evidence) -> str:
    return f"{e.shape.change:+.0%} of the gain in the last third" if e.shape.change > CHANGE else ""


def _converged(e: Evidence) -> str:
    s = e.shape
    if abs(s.change) > CHANGE or s.fallback > FALLBACK:
        return ""
    return f"{s.change:+.1%} of the gain in the last third, {s.fallback:.1%} below its best"


def _between(e: Evidence) -> str:
    s = e.shape
    return f"{s.change:+.0%} of the gain in the last third, {s.fallback:.0%} below its best"


# The first that applies is the verdict.
VERDICTS = {
    "diverged": Rule(
        "✕", f"The training stopped with exit code {DIVERGED_EXIT}, or a loss was not finite.", _diverged
    ),
    "too short": Rule(
        "…",
        f"Fewer than {FEWEST_IN_PART} samples lie in the last third of the training, and nothing is said.",
        _too_short,
    ),
    "collapsed": Rule(
        "○",
        "In the last third of the training the median of the output's diversity is below "
        f"{LEAST_DIVERSITY:g} of that of real faces, halfway between a network that draws one picture "
        "whatever its input (0) and one that draws two at even odds (0.5); and it is not on its way up, by "
        f"more than {GROWTH:g} from the first three samples of that third to the last three.",
        _collapsed,
    ),
    "no gain": Rule(
        "▁",
        "Quality ended (median of the last three samples) no better than the untrained network's.",
        _no_gain,
    ),
    "oscillating": Rule(
        "∿",
        f"Quality ended more than {SWING:.0%} of the gain below its best, or it swings by more than "
        f"{SWING:.0%} of the gain around a straight line through the last third (2√2 standard deviations, "
        "which is a sine wave's height from trough to crest).",
        _oscillating,
    ),
    "improving": Rule(
        "↗",
        f"That line rises by more than {CHANGE:.0%} of the gain: the training was too short.",
        _improving,
    ),
    "converged": Rule(
        "●",
        f"That line rises or falls by at most {CHANGE:.0%} of the gain, and quality ended at most "
        f"{FALLBACK:.0%} of the gain below its best.",
        _converged,
    ),
    "undecided": Rule("?", "None of these: within the limits of oscillating, and getting worse.", _between),
}
GAIN = (
    "The gain is the best level of quality (the largest median of three samples in a row) minus that of the "
    "untrained network."
)
UNSTABLE = ("diverged", "collapsed", "no gain", "oscillating")


def verdict(evidence: Evidence) -> Verdict:
    """The first verdict of the table whose definition the figures meet."""
    found = ((word, rule.applies(evidence)) for word, rule in VERDICTS.items())
    return next(Verdict(word, reason) for word, reason in found if reason)


# ---- several seeds ---------------------------------------------------------------------------------


def consensus(words: Sequence[str]) -> tuple[str, int]:
    """The most frequent verdict and how often it came; of equally frequent ones the first of the table."""
    return max(((word, list(words).count(word)) for word in VERDICTS), key=lambda found: found[1])


class Mean(NamedTuple):
    """A mean over seeds with its 95% interval; count: how many seeds have the figure."""

    mean: float
    low: float
    high: float
    deviation: float
    count: int


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """Mean, interval of Student's t, standard deviation (n - 1); the latter are nan below two finite values.

    Not the bootstrap: resamples of three values are too alike, its interval is less than half as wide.
    """
    _, good = finite((np.zeros(len(values)), np.asarray(values, float)))
    if len(good) < 2:
        return Mean(float(good.mean()) if len(good) else np.nan, np.nan, np.nan, np.nan, len(good))
    mean, deviation = float(good.mean()), float(good.std(ddof=1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(good) - 1)) * deviation / np.sqrt(len(good))
    return Mean(mean, mean - reach, mean + reach, deviation, len(good))


def share_interval(count: int, total: int) -> tuple[float, float]:
    """95% interval of a share, Clopper and Pearson's exact one; 0..1 for none at all."""
    if total == 0:
        return 0.0, 1.0
    found = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)
