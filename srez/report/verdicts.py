"""What became of a training: verdicts with written definitions, and what several seeds say together.

A verdict is read off figures alone: the exit code, one curve of quality over batches, and the diversity of
the output. Quality curves are given as levels: larger is better, and equal steps mean alike (see `LEVELS`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from srez.errors import EXIT_DIVERGED

MIN_TAIL_SAMPLES = 4  # in the last third of a training, for a verdict
MEDIAN_WINDOW = 3  # samples whose median counts as one level
MAX_CHANGE, MAX_DROP = 0.05, 0.1  # of a converged training, as shares of the gain
MAX_OSCILLATION = 0.2  # and the largest drop of one that does not oscillate, as shares of the gain
MIN_DIVERSITY_GROWTH = 0.05  # over the last third, from which on a low diversity is still rising
MIN_GRADIENT_SHARE = 0.01  # of a critic that has a say, in the gradient on the generator's output
MIN_DIVERSITY = 0.25  # halfway between one picture for all inputs (0) and two at even odds (0.5)

Curve = tuple[np.ndarray, np.ndarray]  # batches, values; both [N], in the order of the batches
EMPTY_CURVE: Curve = (np.array([]), np.array([]))


class Level(NamedTuple):
    """How a quality metric becomes a level: larger is better, equal steps mean alike."""

    transform: Callable[[np.ndarray], np.ndarray]
    text: str


DISTANCE = Level(
    lambda values: -np.log(np.maximum(values, 1e-9)),  # a distance of zero is still a number
    "minus its logarithm: a distance, of which equal ratios count alike",
)
LEVELS = {  # the first that was recorded is what verdicts are read from
    "lpips": DISTANCE,
    "alexnet_frechet": DISTANCE,
    "ssim": Level(np.asarray, "as it is"),
    "psnr": Level(np.asarray, "as it is, in decibels"),
}


def finite(curve: Curve) -> Curve:
    """A curve without the points that are not numbers."""
    batch, values = (np.asarray(part, float) for part in curve)
    good = np.isfinite(values)
    return batch[good], values[good]


def level(metric: str, curve: Curve) -> Curve:
    """A curve of a quality metric as levels; points that are not finite are left out."""
    batch, values = finite(curve)
    return batch, LEVELS[metric].transform(values)


class Shape(NamedTuple):
    """A curve of levels in numbers; change, drop and oscillation are shares of the gain.

    gain: best level - first level. final_gain: last level - first level. change: of a straight line over the
    last third, from its first to its last batch. drop: best level - last level. oscillation: 2 sqrt(2)
    standard deviations from that line, which is the height of a sine wave from trough to crest.
    """

    gain: float
    final_gain: float
    change: float
    drop: float
    oscillation: float


def last_third(curve: Curve) -> Curve:
    """The last third of a curve by batch number, its first batch included."""
    batch, values = curve
    if not len(batch):
        return curve
    late = batch >= batch[-1] - (batch[-1] - batch[0]) / 3
    return batch[late], values[late]


def last_value(curve: Curve) -> float:
    """Median of the last three finite values of a curve; not a number where there are none."""
    _, values = finite(curve)
    return float(np.median(values[-MEDIAN_WINDOW:])) if len(values) else float("nan")


def shape(levels: Curve) -> Shape | None:
    """The shape of a curve of finite levels; None with fewer than four samples in its last third.

    The best level is the largest median of three samples in a row, the last level that of the last three, the
    first level the first sample: the untrained network's.
    """
    batch, values = levels
    late, tail = last_third(levels)
    if len(tail) < MIN_TAIL_SAMPLES:
        return None
    medians = np.median(np.lib.stride_tricks.sliding_window_view(values, MEDIAN_WINDOW), axis=1)
    best, last = medians.max(), medians[-1]
    gain = best - values[0]
    slope, offset = np.polyfit(late - batch[0], tail, 1)
    residuals = tail - (slope * (late - batch[0]) + offset)
    deviation = np.sqrt(np.square(residuals).sum() / (len(residuals) - 2))
    parts = np.array([slope * (late[-1] - late[0]), best - last, 2 * np.sqrt(2) * deviation])
    shares = parts / gain if gain > 0 else np.full(3, np.nan)
    return Shape(float(gain), float(last - values[0]), *shares.tolist())


class Definition(NamedTuple):
    """A verdict's sign, its meaning in half a sentence, and its definition in words."""

    symbol: str
    short: str
    text: str


# the first whose definition is met is the verdict: `verdict` goes through them in this order
VERDICTS = {
    "diverged": Definition(
        "✕",
        "a loss or gradient was not finite",
        f"The training stopped with exit code {EXIT_DIVERGED}, or a loss was not finite.",
    ),
    "too short": Definition(
        "…",
        "too few samples to tell",
        f"Fewer than {MIN_TAIL_SAMPLES} samples lie in the last third of the training, and nothing is said.",
    ),
    "collapsed": Definition(
        "○",
        "outputs are nearly alike whatever the input",
        "In the last third of the training the median of the output's diversity is below "
        f"{MIN_DIVERSITY:g} of that of real faces, halfway between a network that draws one picture "
        "whatever its input (0) and one that draws two at even odds (0.5); and it is not on its way up, by "
        f"more than {MIN_DIVERSITY_GROWTH:g} from the first three samples of that third to the last three.",
    ),
    "no gain": Definition(
        "▁",
        "ended no better than untrained",
        "Quality ended (median of the last three samples) no better than the untrained network's.",
    ),
    "oscillating": Definition(
        "∿",
        "swings, or fell back, by more than a fifth of what it had gained",
        f"Quality ended more than {MAX_OSCILLATION:.0%} of the gain below its best, or it swings by more "
        f"than {MAX_OSCILLATION:.0%} of the gain around a straight line through the last third (2√2 "
        "standard deviations, which is a sine wave's height from trough to crest).",
    ),
    "worse than bicubic": Definition(
        "▽",
        "ended no better than bicubic enlargement",
        "Quality ended (median of the last three samples) no better than bicubic enlargement of the same "
        "faces. Where the figures of bicubic enlargement were not recorded, and for noise input, which "
        "cannot be enlarged, this word is not used.",
    ),
    "no adversary": Definition(
        "∅",
        "its critic has hardly any say in what the generator learns",
        "In the median over the samples after batch 0 the critic's share of the gradient on the generator's "
        f"output is below {MIN_GRADIENT_SHARE:.0%}: the other terms of its loss train it alone. Not used for "
        "controls, nor where that share was not recorded. Added after the trainings of the first study "
        "“stability” had begun.",
    ),
    "improving": Definition(
        "↗",
        "still getting better at the end: the training was too short",
        f"That line rises by more than {MAX_CHANGE:.0%} of the gain: the training was too short.",
    ),
    "converged": Definition(
        "●",
        "level at the end, and near its best",
        f"That line rises or falls by at most {MAX_CHANGE:.0%} of the gain, and quality ended at most "
        f"{MAX_DROP:.0%} of the gain below its best.",
    ),
    "undecided": Definition(
        "?",
        "getting worse at the end, by less than a fifth of what it had gained",
        "None of these: within the limits of oscillating, and getting worse.",
    ),
}
GAIN = (
    "The gain is the best level of quality (the largest median of three samples in a row) minus that of the "
    "untrained network."
)
STABLE = ("improving", "converged")
UNSTABLE = ("diverged", "collapsed", "no gain", "oscillating")  # the other words are neither
MIXED = "mixed"  # a cell's verdict where its seeds disagree
AGREEMENT = (2, 3)  # more than this share of the seeds, as a ratio of whole numbers, makes a cell's verdict


class Verdict(NamedTuple):
    """A word of VERDICTS, and in words the figures that led to it."""

    word: str
    reason: str


class Limits(NamedTuple):
    """Limits of verdicts that may be tried at other values.

    oscillation: the largest swing, and drop, of a training that does not oscillate, as shares of the gain.
    gradient_share: the smallest of the critic in the gradient on the output, without "no adversary".
    """

    oscillation: float = MAX_OSCILLATION
    gradient_share: float = MIN_GRADIENT_SHARE


RULE = Limits()


def verdict(
    exit_code: int,
    quality: Curve,
    diversity: Curve = EMPTY_CURVE,
    losses: Sequence[float] = (),
    bicubic: float = np.nan,
    gradient_share: float = np.nan,
    limits: Limits = RULE,
) -> Verdict:
    """The first verdict of VERDICTS whose definition a finished training meets.

    quality: finite levels over batches. diversity: of the output over batches, 1 as in real faces. losses:
    values that must be finite. bicubic: the level of bicubic enlargement; gradient_share: of the critic in
    the gradient on the output, 0 to 1; either nan where it is not known or does not matter.
    """
    if exit_code == EXIT_DIVERGED:
        return Verdict("diverged", f"exit code {EXIT_DIVERGED}")
    if not np.isfinite(losses).all():
        return Verdict("diverged", "a loss was not finite")
    s = shape(quality)
    if s is None:
        count = len(last_third(quality)[0])
        return Verdict("too short", f"{count} samples in the last third, {MIN_TAIL_SAMPLES} are needed")
    _, late_diversity = last_third(finite(diversity))
    if _is_collapsed(late_diversity):
        return Verdict("collapsed", f"diversity {np.median(late_diversity):.2f} in the last third")
    if s.final_gain <= 0:
        return Verdict("no gain", "ended no better than the untrained network")
    if s.drop > limits.oscillation:
        return Verdict("oscillating", f"fell back by {s.drop:z.0%} of the gain")
    if s.oscillation > limits.oscillation:
        return Verdict("oscillating", f"swings by {s.oscillation:.0%} of the gain")
    if last_value(quality) <= bicubic:
        return Verdict("worse than bicubic", "ended no better than bicubic enlargement")
    found = _course(s)
    if gradient_share < limits.gradient_share:
        share = f"the critic has {gradient_share:.1%} of the gradient on the output"
        return Verdict("no adversary", f"{share}; otherwise {found.word}")
    return found


def _course(s: Shape) -> Verdict:
    """The verdict of a training with which nothing is wrong."""
    if s.change > MAX_CHANGE:
        return Verdict("improving", f"{s.change:+z.0%} of the gain in the last third")
    if s.change >= -MAX_CHANGE and s.drop <= MAX_DROP:
        return Verdict(
            "converged", f"{s.change:+z.1%} of the gain in the last third, {s.drop:z.1%} below its best"
        )
    return Verdict(
        "undecided", f"{s.change:+z.0%} of the gain in the last third, {s.drop:z.0%} below its best"
    )


def _is_collapsed(diversity: np.ndarray) -> bool:
    """Whether the diversity of a training's last samples [N] is low and does not rise."""
    if not len(diversity) or np.median(diversity) >= MIN_DIVERSITY:
        return False
    growth = np.median(diversity[-MEDIAN_WINDOW:]) - np.median(diversity[:MEDIAN_WINDOW])
    return bool(growth <= MIN_DIVERSITY_GROWTH)


def consensus(words: Sequence[str]) -> str:
    """The word that more than two thirds of a cell's trainings share, else MIXED."""
    part, whole = AGREEMENT
    return next((word for word in words if whole * list(words).count(word) > part * len(words)), MIXED)
