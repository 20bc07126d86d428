"""Claim 1 of the 2017 paper, that WGAN-GP trains stably: an answer by written rules, counted in every way."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from srez.report.intervals import (
    Cells,
    Interval,
    likeness,
    share_difference,
    share_of_independent,
    share_over_cells,
)
from srez.report.results import FINISHED, METRICS, CellResult, Results
from srez.report.text import number, percent, points, share, trainings
from srez.report.verdicts import STABLE, UNSTABLE

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "not decided here"
WGAN_GP, GAN = "wgangp", "dcgan"  # values of --loss_func
ARCHITECTURE_OPTIONS = ("input", "gen_architect", "gen_norm", "critic_norm", "width", "back_projection")
ENOUGH = 0.8  # of the trainings with WGAN-GP, stable: four of five
MIN_SEEDS = 3
MAX_NAMED = 6  # trainings in a list of names

STABILITY_RULES = {
    OPEN: "WGAN-GP was not trained, a training with it is unfinished or too short for a verdict, or there "
    f"are fewer than two architectures or {MIN_SEEDS} seeds.",
    HOLDS: f"The whole interval lies above {ENOUGH:.0%}.",
    FAILS: f"The whole interval lies below {ENOUGH:.0%}.",
    f"{OPEN}, too": f"The interval holds {ENOUGH:.0%}.",
}
COUNTED_QUALITIES = ("lpips", "alexnet_frechet", "ssim", "psnr")  # as far as they were recorded
COUNTED_WORDS = {  # what may count as stable, from the strictest to the mildest
    "converged alone": ("converged",),
    "or improving (rule)": STABLE,
    "or worse than bicubic": (*STABLE, "worse than bicubic"),
    "or undecided": (*STABLE, "worse than bicubic", "undecided"),
}
SAMPLE, INDEPENDENT = "cells as a sample", "trainings as independent"


class Assessment(NamedTuple):
    """A claim of the paper with its answer, the reason in one sentence, and the figures behind it."""

    name: str
    text: str
    answer: str
    reason: str
    evidence: list[str]


class Count(NamedTuple):
    """One way to count: by which quality, what counts as stable, what the unit is; and what comes of it.

    share: of WGAN-GP's trainings that are stable. lead: that minus the GAN's, on the same architectures.
    """

    quality: str
    stable: str
    unit: str
    share: Interval
    lead: Interval
    answer: str


def assess_stability(results: Results) -> Assessment:
    """Claim 1: WGAN-GP trains stably and converges on a variety of architectures."""
    cells = _cells(results, WGAN_GP)
    main = count(results, results.quality, STABLE)
    if obstacle := _stability_obstacle(results, cells):
        answer, reason = OPEN, f"because {obstacle}"
    else:
        answer = main.answer
        words = _verdicts(cells)
        stable, unstable = (sum(word in those for word in words) for those in (STABLE, UNSTABLE))
        reason = (
            f"of {trainings(len(words))} with WGAN-GP in {len(cells)} cells {percent(main.share)} are stable "
            f"({stable}; {unstable} are unstable, {len(words) - stable - unstable} neither), with the 95% "
            f"interval for cells as a sample; the claim is asked for {ENOUGH:.0%}"
        )
    return Assessment(
        "Claim 1",
        "WGAN-GP trains stably and converges on a variety of architectures.",
        answer,
        reason,
        list(_stability_evidence(results, main)),
    )


def count(results: Results, quality: str, words: Sequence[str], unit: str = SAMPLE) -> Count:
    """Count WGAN-GP's trainings whose verdict by a quality is one of `words`, and the GAN's beside them."""
    way = (quality, words, unit)
    wgan_gp, gan = _cells(results, WGAN_GP), _cells(results, GAN)
    share = stable_share(results, wgan_gp, *way)
    shared = {_architecture(cell) for cell in wgan_gp} & {_architecture(cell) for cell in gan}
    matched = [[cell for cell in cells if _architecture(cell) in shared] for cells in (wgan_gp, gan)]
    lead = share_difference(*(stable_share(results, cells, *way) for cells in matched))
    stable = next((name for name, those in COUNTED_WORDS.items() if those == words), "")
    return Count(quality, stable, unit, share, lead, stability_answer(share))


def stable_share(
    results: Results, cells: list[CellResult], quality: str, words: Sequence[str] = STABLE, unit: str = SAMPLE
) -> Interval:
    """The share of some cells' finished trainings whose verdict by a quality is one of `words`."""
    outcomes = _outcomes(cells, quality, words)
    if unit == INDEPENDENT:
        return share_of_independent(outcomes)
    alike = likeness([_outcomes(those, quality, words) for those in results.tested.values()])
    return share_over_cells(outcomes, alike)


def every_count(results: Results) -> list[Count]:
    """Every way to count claim 1: by each quality, by what counts as stable, and by unit."""
    qualities = [name for name in COUNTED_QUALITIES if name in results.qualities]
    ways = itertools.product(qualities, COUNTED_WORDS.values(), (SAMPLE, INDEPENDENT))
    return [count(results, *way) for way in ways]


def stability_answer(stable: Interval) -> str:
    """The answer to claim 1, by the share of stable trainings."""
    if stable.low > ENOUGH:
        return HOLDS
    return FAILS if stable.high < ENOUGH else OPEN


def _cells(results: Results, loss_func: str) -> list[CellResult]:
    """The cells with an objective that are no controls."""
    return [cell for cell in results.included if cell.loss_func == loss_func and not cell.control]


def _architecture(cell: CellResult) -> tuple:
    config = cell.cell.config(0)
    return tuple(getattr(config, option) for option in ARCHITECTURE_OPTIONS)


def _outcomes(cells: list[CellResult], quality: str, words: Sequence[str]) -> Cells:
    """Whether the verdict by a quality is one of `words`, of the finished trainings of each cell."""
    return [[r.verdict_by(quality).word in words for r in cell.finished] for cell in cells]


def _verdicts(cells: list[CellResult]) -> list[str]:
    return [word for cell in cells for word in cell.verdicts]


def unfinished(cells: list[CellResult]) -> str:
    """How many trainings of these cells are unfinished, in words; '' if all have finished."""
    runs = [r for cell in cells for r in cell.runs]
    count = sum(r.state != FINISHED for r in runs)
    verb = "has" if count == 1 else "have"
    return f"{count} of its {trainings(len(runs))} {verb} not finished" if count else ""


def too_few_seeds(results: Results) -> str:
    """How many seeds a study has, in words, if they are too few to judge a claim; else ''."""
    count = len(results.study.seeds)
    return f"{count} seeds are fewer than {MIN_SEEDS}" if count < MIN_SEEDS else ""


def _stability_obstacle(results: Results, cells: list[CellResult]) -> str:
    """Why claim 1 cannot be judged by these cells with WGAN-GP; '' if it can."""
    if not cells:
        return "no training here uses WGAN-GP"
    if some := unfinished(cells):
        return some
    if short := _verdicts(cells).count("too short"):
        return f"{trainings(short)} had too few samples for a verdict"
    if len(set(map(_architecture, cells))) < 2:
        return "all its WGAN-GP trainings share one architecture"
    return too_few_seeds(results)


def _stability_evidence(results: Results, main: Count) -> Iterator[str]:
    """Sentences: the lead on the GAN, stability by objective, unstable trainings with WGAN-GP, spread."""
    if np.isfinite(main.lead.mean):
        yield (
            f"Above the GAN on the same architectures by {points(main.lead)} percentage points; a difference "
            f"of less than {100 * main.lead.half_width:.0f} could not have been seen."
        )
    # WGAN-GP before all others
    tested = sorted(results.tested.items(), key=lambda item: item[1][0].loss_func != WGAN_GP)
    controls = [(f"Control, {name}", cells) for name, cells in results.controls.items()]
    for title, cells in [*tested, *controls]:
        words = _verdicts(cells)
        if words:
            stable = share(stable_share(results, cells, results.quality))
            neither = len(words) - sum(word in (*STABLE, *UNSTABLE) for word in words)
            others = f", {neither} neither stable nor unstable" if neither else ""
            yield f"{title}: stable {stable}; {words.count('converged')} converged{others}."
    unstable = [r for c in _cells(results, WGAN_GP) for r in c.finished if r.verdict.word in UNSTABLE]
    if unstable:
        names = [f"{r.run.name} ({r.verdict.word}: {r.verdict.reason})" for r in unstable[:MAX_NAMED]]
        if len(unstable) > MAX_NAMED:
            names.append(f"{len(unstable) - MAX_NAMED} more")
        yield f"Unstable with WGAN-GP: {'; '.join(names)}."
    yield from _deviations(results)


def _deviations(results: Results) -> Iterator[str]:
    """A sentence with the standard deviation of quality over seeds, by objective; none without quality."""
    medians = []
    for objective, cells in results.objectives.items():
        values = [cell.last(results.quality) for cell in cells]
        deviations = [np.std(by_seed, ddof=1) for by_seed in values if len(by_seed) > 1]
        if deviations:
            median = number(float(np.median(deviations)), METRICS[results.quality].decimals)
            medians.append(f"{objective} {median}")
    if medians:
        short = METRICS[results.quality].short
        yield f"Standard deviation of the last {short} over seeds, median of cells: {', '.join(medians)}."
