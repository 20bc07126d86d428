"""Claim 1 of the 2017 paper, that WGAN-GP trains stably: an answer by written rules, counted in every way."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from srez.report.correlations import INDICATORS, WASSERSTEIN, has_fallen
from srez.report.intervals import (
    Cells,
    Interval,
    difference,
    likeness,
    share_difference,
    share_of_independent,
    share_over_cells,
)
from srez.report.results import FINISHED, METRICS, CellResult, Results
from srez.report.text import interval, number, percent, share, trainings
from srez.report.verdicts import STABLE, UNSTABLE

HOLDS, PARTLY, FAILS, OPEN = (
    "holds here",
    "holds here in part",
    "does not hold here",
    "not decided here",
)
WGAN_GP, GAN = "wgangp", "dcgan"  # values of --loss_func
ARCHITECTURE_OPTIONS = ("input", "gen_architect", "gen_norm", "critic_norm", "width", "back_projection")
ENOUGH = 0.8  # of the trainings with WGAN-GP, stable: four of five
MIN_SEEDS = 3
NO_PROGRESS = ("too short", "no gain", "collapsed", "diverged")
STRONG_CORRELATION = 0.5  # a rank correlation from which on one may steer by an indicator
MAX_NAMED = 6  # trainings in a list of names
ESTIMATE = "wasserstein_estimate"

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
    "or improving (the rule)": STABLE,
    "or worse than bicubic": (*STABLE, "worse than bicubic"),
    "or undecided": (*STABLE, "worse than bicubic", "undecided"),
}
SAMPLE, INDEPENDENT = "cells as a sample", "trainings as independent"
INDICATOR_RULES = {
    OPEN: "No Wasserstein objective was trained, a training with one is unfinished, there are fewer than "
    f"{MIN_SEEDS} seeds, most of these trainings made no progress (too short, no gain, collapsed or "
    "diverged), or none has enough samples.",
    HOLDS: f"For every Wasserstein objective and quality figure the interval of the correlation lies above "
    f"{STRONG_CORRELATION:g}, and that of the changes above 0.",
    PARTLY: "For at least half of them the interval of the correlation lies above 0.",
    FAILS: f"For more than half of them it does not, and ends below {STRONG_CORRELATION:g}.",
    f"{OPEN}, too": "None of these.",
}


GRADES = {
    "follows": "the estimate follows quality, also from sample to sample",
    "trend": "it shares quality's trend, no more is proved",
    "opposes": "it goes against quality",
    "weak": "it hardly goes with quality",
    "unclear": "the interval is too wide to say",
}


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
        reason = (
            f"of {trainings(main.share.runs)} with WGAN-GP in {main.share.cells} cells {percent(main.share)} "
            f"are stable (95% interval, cells as a sample); the claim is asked for {ENOUGH:.0%}"
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
    tested = [[c for c in those if not c.control] for those in results.objectives.values()]
    alike = likeness([_outcomes(those, quality, words) for those in tested])

    def share_of(cells: list[CellResult]) -> Interval:
        outcomes = _outcomes(cells, quality, words)
        return share_of_independent(outcomes) if unit == INDEPENDENT else share_over_cells(outcomes, alike)

    wgan_gp, gan = _cells(results, WGAN_GP), _cells(results, GAN)
    share = share_of(wgan_gp)
    shared = {_architecture(cell) for cell in wgan_gp} & {_architecture(cell) for cell in gan}
    lead = share_difference(*(share_of([c for c in g if _architecture(c) in shared]) for g in (wgan_gp, gan)))
    stable = next((name for name, those in COUNTED_WORDS.items() if those == words), "")
    return Count(quality, stable, unit, share, lead, stability_answer(share))


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
            f"Beyond the GAN on the same architectures: {percent(main.lead, signed=True)}, in points; a "
            f"difference of less than {main.lead.half_width:.0%} could not have been seen."
        )
    # WGAN-GP before all others
    by_objective = sorted(results.objectives.items(), key=lambda item: item[1][0].loss_func != WGAN_GP)
    for objective, cells in by_objective:
        words = _verdicts(cells)
        if words:
            stable = share(share_over_cells(_outcomes(cells, results.quality, STABLE)))
            neither = len(words) - sum(word in (*STABLE, *UNSTABLE) for word in words)
            others = f", {neither} neither stable nor unstable" if neither else ""
            yield f"{objective}: stable {stable}, {words.count('converged')} of them converged{others}."
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


def assess_indicator(results: Results) -> Assessment:
    """Claim 2: the Wasserstein distance is an effective measure of training progress."""
    objectives = [name for name, cells in results.objectives.items() if cells[0].loss_func in WASSERSTEIN]
    pairs = itertools.product(objectives, results.qualities)
    grades = [grade(*_estimate_correlations(results, *pair)) for pair in pairs]
    grades = [word for word in grades if word]
    obstacle = _indicator_obstacle(results, [c for name in objectives for c in results.objectives[name]])
    if not obstacle and not grades:
        obstacle = "no training has enough samples"
    counts = [f"in {grades.count(word)} {text}" for word, text in GRADES.items() if word in grades]
    reason = f"of {len(grades)} pairs of objective and quality figure, {'; '.join(counts)}"
    return Assessment(
        "Claim 2",
        "The Wasserstein distance is an effective measure of training progress.",
        OPEN if obstacle else indicator_answer(grades),
        f"because {obstacle}" if obstacle else reason,
        [*_estimate_evidence(results, objectives), *_control_evidence(results, objectives)],
    )


def grade(within: Interval, changes: Interval) -> str:
    """A word of GRADES for an indicator with two intervals; '' where there is no interval.

    within: of its correlation with quality over the training. changes: of that of their changes.
    """
    if not np.isfinite(within.low):
        return ""
    if within.low > STRONG_CORRELATION and changes.low > 0:
        return "follows"
    if within.low > 0:
        return "trend"
    if within.high < 0:
        return "opposes"
    return "weak" if within.high < STRONG_CORRELATION else "unclear"


def indicator_answer(grades: list[str]) -> str:
    """The answer to claim 2, by the grade of every pair of Wasserstein objective and quality metric."""
    half = len(grades) / 2
    if not grades:
        return OPEN
    if all(word == "follows" for word in grades):
        return HOLDS
    if sum(word in ("follows", "trend") for word in grades) >= half:
        return PARTLY
    return FAILS if sum(word in ("opposes", "weak") for word in grades) > half else OPEN


def _indicator_obstacle(results: Results, cells: list[CellResult]) -> str:
    """Why claim 2 cannot be judged by these cells with a Wasserstein objective; '' if it can."""
    if not cells:
        return "no training here has a Wasserstein objective"
    if obstacle := unfinished(cells) or too_few_seeds(results):
        return obstacle
    words = _verdicts(cells)
    count = sum(word in NO_PROGRESS for word in words)
    if count > len(words) / 2:
        return f"{count} of its {trainings(len(words))} made no progress that could be told"
    return ""


def _estimate_correlations(results: Results, objective: str, quality: str) -> tuple[Interval, Interval]:
    """Correlations of an objective's Wasserstein estimate with quality: over the training, and of changes."""
    key = (objective, ESTIMATE, quality)
    return results.mean_correlation(*key, "within_run"), results.mean_correlation(*key, "of_changes")


def _estimate_evidence(results: Results, objectives: list[str]) -> Iterator[str]:
    """Sentences: how the estimate of each Wasserstein objective goes with quality."""
    for objective in objectives:
        found = {name: _estimate_correlations(results, objective, name) for name in results.qualities}
        found = {name: (within, changes) for name, (within, changes) in found.items() if within.runs}
        if not found:
            continue
        quality, (within, changes) = next(iter(found.items()))
        text = (
            f"{objective}: rank correlation of estimate and {METRICS[quality].short} {interval(within)}, "
            f"of their changes {interval(changes)}"
        )
        if len(found) > 1:
            means = [within.mean for within, _ in found.values()]
            low, high = number(min(means), signed=True), number(max(means), signed=True)
            text += f"; over all {len(found)} quality figures {low} to {high}"
        runs = [r for cell in results.objectives[objective] for r in cell.finished if ESTIMATE in r.curves]
        fallen = [fell for r in runs if (fell := has_fallen(r.curves[ESTIMATE])) is not None]
        if fallen:
            count = f"{sum(fallen)} of {trainings(len(fallen))}"
            text += f"; the estimate's last third was lower than its first in {count}"
        yield f"{text}."


def _control_evidence(results: Results, objectives: list[str]) -> Iterator[str]:
    """Sentences: how the losses of the GAN go with quality, and which objectives' estimates beat them."""
    controls = [name for name, cells in results.objectives.items() if cells[0].loss_func == GAN]
    if not controls:
        yield "Control: no GAN was trained here, so nothing says whether its losses would do as well."
    for control, loss in itertools.product(controls, ("generator_loss", "discriminator_tot_loss")):
        correlation = results.mean_correlation(control, loss, results.quality, "within_run")
        if not correlation.runs:
            continue
        text = f"{INDICATORS[loss].title} and {METRICS[results.quality].short} {interval(correlation)}"
        leads = []
        for objective in objectives:
            estimates = results.correlations(objective, ESTIMATE, results.quality, "within_run")
            losses = results.correlations(control, loss, results.quality, "within_run")
            lead = difference(estimates, losses)
            if lead.runs:
                leads.append(f"{objective} by {interval(lead)}")
        if leads:
            text += f"; ahead of it are the estimates of {', '.join(leads)}"
        yield f"Control, {control}: {text}."
