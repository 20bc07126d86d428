"""Claim 1 of the 2017 paper, that WGAN-GP trains stably: an answer by written rules, counted in every way."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from srez.report.counting import (
    ARCHITECTURES,
    GAN,
    GENERATOR_OPTIONS,
    UNITS,
    WGAN_GP,
    Way,
    architecture,
    cells_with,
    generator,
    outcomes,
    pairings,
    stable_likeness,
    stable_share,
    titles,
)
from srez.report.intervals import NOTHING, Interval, effective_number, exact_limits, share_difference
from srez.report.results import FINISHED, L1_ONLY, METRICS, CellResult, Results, grouped
from srez.report.text import number, percent, points, share, trainings
from srez.report.verdicts import MAX_OSCILLATION, RULE, STABLE, UNSTABLE, Limits

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "not decided here"
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
    "or worse than bicubic, or no adversary": (*STABLE, "worse than bicubic", "no adversary"),
    "or undecided": (*STABLE, "worse than bicubic", "no adversary", "undecided"),
}
BEFOREHAND = RULE._replace(gradient_share=0)  # the limits as they were before "no adversary" was a verdict
COUNTED_LIMITS = [Limits(oscillation) for oscillation in (0.15, MAX_OSCILLATION, 0.25, 0.3)] + [BEFOREHAND]


class Assessment(NamedTuple):
    """A claim of the paper with its answer, the reason in one sentence, and the figures behind it."""

    name: str
    text: str
    answer: str
    reason: str
    evidence: list[str]


class Count(NamedTuple):
    """What comes of a way to count.

    share: of WGAN-GP's trainings that are stable. lead: that minus the GAN's, on the same architectures.
    """

    way: Way
    share: Interval
    lead: Interval
    answer: str


def assess_stability(results: Results) -> Assessment:
    """Claim 1: WGAN-GP trains stably and converges on a variety of architectures."""
    cells = cells_with(results, WGAN_GP)
    main = count(results, Way(results.quality))
    evidence = list(_stability_evidence(results, main))
    if obstacle := _stability_obstacle(results, cells):
        answer, reason = OPEN, f"because {obstacle}"
    else:
        answer = main.answer
        evidence.insert(0, _what_it_takes(results, cells, main.way))
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
        evidence,
    )


def count(results: Results, way: Way) -> Count:
    """Count WGAN-GP's stable trainings, and the GAN's beside them.

    With architectures as the unit the lead is that of `pairings`, in which every architecture counts once.
    """
    wgan_gp, gan = cells_with(results, WGAN_GP), cells_with(results, GAN)
    share = stable_share(results, wgan_gp, way)
    if way.unit == ARCHITECTURES:
        lead = next((one.lead for one in pairings(results, way)[::-1]), NOTHING)
    else:
        shared = set(map(architecture, wgan_gp)) & set(map(architecture, gan))
        matched = ([cell for cell in cells if architecture(cell) in shared] for cells in (wgan_gp, gan))
        lead = share_difference(*(stable_share(results, cells, way) for cells in matched))
    return Count(way, share, lead, stability_answer(share))


def every_count(results: Results) -> list[Count]:
    """Every way to count claim 1: by each quality, by what counts as stable, and by unit."""
    qualities = [name for name in COUNTED_QUALITIES if name in results.qualities]
    ways = itertools.product(qualities, COUNTED_WORDS.values(), UNITS)
    return [count(results, Way(*way)) for way in ways]


def counts_by_limits(results: Results) -> list[Count]:
    """Claim 1 by the rule, but for the limits of verdicts: each of COUNTED_LIMITS."""
    return [count(results, Way(results.quality, limits=limits)) for limits in COUNTED_LIMITS]


def needed(trainings: int, effective: float) -> tuple[int | None, int | None]:
    """How many stable trainings an answer takes: the least for HOLDS, the most for FAILS.

    effective: the number of independent trainings that all are worth. None for what cannot come.
    """
    limits = [exact_limits(stable / trainings, effective) for stable in range(trainings + 1)]
    least = next((stable for stable, (low, _) in enumerate(limits) if low > ENOUGH), None)
    most = [stable for stable, (_, high) in enumerate(limits) if high < ENOUGH]
    return least, most[-1] if most else None


def stability_answer(stable: Interval) -> str:
    """The answer to claim 1, by the share of stable trainings."""
    if stable.low > ENOUGH:
        return HOLDS
    return FAILS if stable.high < ENOUGH else OPEN


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
    if len(set(map(architecture, cells))) < 2:
        return "all its WGAN-GP trainings share one architecture"
    return too_few_seeds(results)


def _stability_evidence(results: Results, main: Count) -> Iterator[str]:
    """Sentences: the lead on the GAN, stability by objective, unstable trainings with WGAN-GP, spread."""
    if np.isfinite(main.lead.mean):
        yield (
            "Above the GAN on the same architectures, as often as each was trained on, by "
            f"{points(main.lead)} percentage points; a difference of less than "
            f"{100 * main.lead.half_width:.0f} could not have been seen."
        )
    yield from _architecture_by_architecture(results, main.way)
    yield from _without_no_adversary(results, main.way)
    # WGAN-GP before all others
    tested = sorted(results.tested.items(), key=lambda item: item[1][0].loss_func != WGAN_GP)
    controls = [(f"Control, {name}", cells) for name, cells in results.controls.items()]
    for title, cells in [*tested, *controls]:
        words = _verdicts(cells)
        if words:
            stable = share(stable_share(results, cells, main.way))
            neither = len(words) - sum(word in (*STABLE, *UNSTABLE) for word in words)
            others = f", {neither} neither stable nor unstable" if neither else ""
            yield f"{title}: stable {stable}; {words.count('converged')} converged{others}."
    unstable = [r for c in cells_with(results, WGAN_GP) for r in c.finished if r.verdict.word in UNSTABLE]
    if unstable:
        names = [f"{r.run.name} ({r.verdict.word}: {r.verdict.reason})" for r in unstable[:MAX_NAMED]]
        if len(unstable) > MAX_NAMED:
            names.append(f"{len(unstable) - MAX_NAMED} more")
        yield f"Unstable with WGAN-GP: {'; '.join(names)}."
    yield from _controls_worse_than_bicubic(results)
    yield from _deviations(results)


def _what_it_takes(results: Results, cells: list[CellResult], way: Way) -> str:
    """A sentence: how many trainings would have had to be stable for either answer."""
    found, alike = outcomes(cells, way), stable_likeness(results, way)
    count = sum(map(len, found))
    least, most = needed(count, effective_number(found, alike))
    holds = "cannot come, even if all are stable" if least is None else f"takes {least} that are stable"
    fails = "cannot come, even if none is" if most is None else f"takes {most} or fewer"
    return (
        f"With {trainings(count)} in {len(found)} cells “{HOLDS}” {holds}, “{FAILS}” {fails}, if trainings "
        f"of one cell are as alike as they are here (intra-class correlation {number(alike)})."
    )


def _architecture_by_architecture(results: Results, way: Way) -> Iterator[str]:
    """A sentence with the paired leads on the GAN; none where there is no architecture with both."""
    leads = [
        f"{one.title} {points(one.lead)} on {one.architectures}"
        for one in pairings(results, way)
        if np.isfinite(one.lead.mean)
    ]
    if leads:
        yield (
            "Architecture by architecture, each counted once, percentage points above the GAN: "
            f"{'; '.join(leads)}."
        )


def _without_no_adversary(results: Results, way: Way) -> Iterator[str]:
    """A sentence with the answer without “no adversary”; none where no training has that verdict."""
    if "no adversary" in _verdicts([*cells_with(results, WGAN_GP), *cells_with(results, GAN)]):
        before = count(results, way._replace(limits=BEFOREHAND))
        yield (
            "By the rules as they were before “no adversary” was a verdict, which was after the first "
            f"trainings of the study “stability” had begun: {percent(before.share)} stable, "
            f"{points(before.lead)} points above the GAN, by the interval “{before.answer}”."
        )


def _controls_worse_than_bicubic(results: Results) -> Iterator[str]:
    """A sentence with the generators that end worse than bicubic by the L1 term alone; none without any."""
    names = titles(map(generator, results.included), GENERATOR_OPTIONS)
    alone = results.controls.get(L1_ONLY, [])
    words = grouped((names[generator(cell)], word) for cell in alone for word in cell.verdicts)
    worse = [
        f"{name} ({found.count('worse than bicubic')} of {len(found)})"
        for name, found in words.items()
        if "worse than bicubic" in found
    ]
    if worse:
        yield (
            f"The control “{L1_ONLY}” is itself worse than bicubic with {', '.join(worse)}: there the word "
            "tells what the generator can do in so many batches, not how stable an objective is."
        )


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
