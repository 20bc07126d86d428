"""Claim 2, that the Wasserstein distance tells a training's progress: an answer by written rules."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from srez.report.claims import FAILS, HOLDS, OPEN, Assessment, too_few_seeds, unfinished
from srez.report.correlations import (
    CLOCK,
    ESTIMATE,
    FRESH,
    HELDOUT,
    INDICATORS,
    MOMENTS,
    SIZE,
    TRANSPORT,
    WASSERSTEIN,
)
from srez.report.intervals import Spread
from srez.report.regret import MIN_POINTS, Across, across, last_moments
from srez.report.relations import Relation, Relations, at, does_not_count, validity
from srez.report.results import METRICS, CellResult, Results
from srez.report.text import hundredfold, interval, median_and_range, number, trainings

STRONG = 0.5  # a rank correlation from which on one may steer by an indicator
# which indicators get an answer; the first is the claim's
ANSWERED = (ESTIMATE, SIZE, HELDOUT, FRESH, TRANSPORT)
HALF = 0.5  # of the samples, at which an estimate of a distance must be more than 0
COMPARABLE = (FRESH, TRANSPORT)  # across trainings: their scale does not depend on the critic at hand
ANY_PENALTY = "whatever the penalty"
INDICATOR_RULES = {
    OPEN: "No Wasserstein objective was trained, a training with one is unfinished, there are fewer than "
    "three seeds, or no objective's estimate counts.",
    HOLDS: "For every Wasserstein objective whose estimate counts the 95% interval of r lies above "
    f"{STRONG:g}, and that of the excess above 0.",
    FAILS: f"For each of them the interval of r lies below {STRONG:g}, or that of the excess nowhere above "
    "0.",
    f"{OPEN}, too": "None of these: intervals are too wide, or objectives differ.",
}


def assess_indicator(relations: Relations) -> Assessment:
    """Claim 2: the Wasserstein distance is an effective measure of training progress."""
    results = relations.results
    objectives = {n: cells for n, cells in results.tested.items() if cells[0].loss_func in WASSERSTEIN}
    found = counting(relations, ESTIMATE, objectives)
    obstacle = unfinished(list(itertools.chain(*objectives.values()))) or too_few_seeds(results)
    if not objectives:
        obstacle = "no training here has a Wasserstein objective"
    elif not obstacle and not found:
        obstacle = "no objective's estimate counts"
    return Assessment(
        "Claim 2",
        "The Wasserstein distance is an effective measure of training progress.",
        OPEN if obstacle else answer(list(found.values())),
        f"because {obstacle}" if obstacle else _reason(list(found.values())),
        [
            *_estimate_evidence(results, objectives, found),
            *_at_moments(relations, objectives),
            *_other_answers(relations),
            *_across_evidence(relations),
        ],
    )


def _reason(found: Sequence[Relation]) -> str:
    """In how many objectives an estimate that counts tells quality, in words."""
    yes, no = (sum(map(test, found)) for test in (tells, does_not_tell))
    still_open = len(found) - yes - no
    return (
        f"the estimate counts in {len(found)} Wasserstein objective{'s' * (len(found) != 1)}: in "
        f"{yes or 'none'} it tells how good the pictures are (a rank correlation above {STRONG:g}, and more "
        f"than a clock's), in {no or 'none'} it does not"
        f"{f', in {still_open} that is not decided' if still_open else ''}"
    )


def counting(
    relations: Relations,
    indicator: str,
    objectives: dict[str, list[CellResult]],
    truth: str = "",
    any_penalty: bool = False,
    when: str = "",
) -> dict[str, Relation]:
    """Objective -> how an indicator goes with a truth, of the objectives in which it counts.

    truth: the quality that verdicts are read from where it is not given. any_penalty: it counts whatever the
    gradient penalty of its critic. when: the kind of samples; of those with it most where it is not given.
    """
    truth, when = truth or relations.results.quality, when or relations.kinds(indicator)[0]
    if not truth:
        return {}
    found = {
        name: relations.of(cells, indicator, truth, when, any_penalty) for name, cells in objectives.items()
    }
    return {name: relation for name, relation in found.items() if relation.r.runs}


def tells(relation: Relation) -> bool:
    """Whether an indicator tells quality, by its intervals."""
    return relation.r.low > STRONG and relation.excess.low > 0


def does_not_tell(relation: Relation) -> bool:
    """Whether an indicator does not tell quality, by its intervals."""
    return relation.r.high < STRONG or relation.excess.high <= 0


def answer(relations: Sequence[Relation]) -> str:
    """The answer for an indicator, by its relation with quality in every objective in which it counts."""
    if relations and all(map(tells, relations)):
        return HOLDS
    return FAILS if relations and all(map(does_not_tell, relations)) else OPEN


def _estimate_evidence(
    results: Results, objectives: dict[str, list[CellResult]], found: dict[str, Relation]
) -> Iterator[str]:
    """Sentences: how the estimate of every objective goes with quality, or why it does not count; and whether
    it can be one of a distance.
    """
    for name, cells in objectives.items():
        if one := found.get(name):
            yield (
                f"{name}: rank correlation with {METRICS[results.quality].short} {interval(one.r)}; with "
                "that of other trainings at the same batches, which share the clock alone, "
                f"{number(one.null, signed=True)}; what is left beyond that {interval(one.excess)}."
            )
        reasons = {cell.title: does_not_count(cell, ESTIMATE) for cell in cells if cell.finished}
        for title, reason in reasons.items():
            if reason:
                yield f"{title} does not count: {reason}."
        yield from _validity_evidence(name, cells)


def _validity_evidence(objective: str, cells: list[CellResult]) -> Iterator[str]:
    """A sentence: how often an objective's estimate is negative, and what part of fresh critics' it is."""
    own, heldout = (validity(cells, name) for name in (ESTIMATE, HELDOUT))
    if not np.isfinite(own.negative):
        return
    sentence = f"{objective}: {'' if own.positive > HALF else 'no estimate of a distance: '}negative at "
    sentence += f"{number(100 * own.negative, 0)}% of the samples"
    if own.of_fresh.runs:
        sentence += f"; at the end {share_of_fresh(own.of_fresh)} of what fresh critics find"
        if heldout.of_fresh.runs:
            sentence += f", on held-out faces {share_of_fresh(heldout.of_fresh)}"
        sentence += " (median and range of trainings)"
    yield f"{sentence}."


def share_of_fresh(found: Spread) -> str:
    """What part of fresh critics' estimate another is, in percent: median and range of trainings."""
    return median_and_range(hundredfold(found), 1, unit="%")


def _at_moments(relations: Relations, objectives: dict[str, list[CellResult]]) -> Iterator[str]:
    """A sentence: fresh critics', the own estimate's and the clock's correlation at the same few samples."""
    parts = []
    for name, cells in objectives.items() if relations.results.quality else ():
        fresh, own, clock = (
            relations.of(cells, indicator, relations.results.quality, MOMENTS, any_penalty=True).r
            for indicator in (FRESH, ESTIMATE, CLOCK)
        )
        if fresh.runs and own.runs:
            left_out = {does_not_count(cell, FRESH) for cell in cells} - {""}
            note = f" (does not count: {'; '.join(sorted(left_out))})" if left_out else ""
            parts.append(
                f"{name} fresh critics {interval(fresh)}{note}, its own estimate {interval(own)}, the batch "
                f"number alone {interval(clock)}"
            )
    if parts:
        runs = [r for cells in objectives.values() for cell in cells for r in cell.finished]
        count = max(len(at(r, FRESH, MOMENTS)[0]) for r in runs)
        yield f"At the moments, the {count} samples at which fresh critics were trained: {'; '.join(parts)}."


def told(found: Sequence[Relation]) -> str:
    """The answer for an indicator, and in how many of the objectives in which it counts it tells quality."""
    return f"{answer(found)} (tells it in {sum(map(tells, found))} of {len(found)} objectives)"


def _other_answers(relations: Relations) -> Iterator[str]:
    """Sentences: the answers by the same rule for the other estimates."""
    for indicator in ANSWERED[1:]:
        by_rule, all_of_them = (
            list(counting(relations, indicator, relations.results.objectives, any_penalty=any_one).values())
            for any_one in (False, True)
        )
        if all_of_them:
            title = INDICATORS[indicator].title
            others = f"; {ANY_PENALTY}, {told(all_of_them)}" if len(all_of_them) > len(by_rule) else ""
            first = told(by_rule) if by_rule else "it counts nowhere"
            yield f"{title[0].upper()}{title[1:]}, by the same rule: {first}{others}."


def comparisons(relations: Relations) -> Iterator[tuple[str, Across]]:
    """Title -> how an indicator goes with quality across trainings at the last moment; where it matters, also
    whatever the penalty.
    """
    for indicator in COMPARABLE if relations.results.quality else ():
        by_rule, all_of_them = (last_moments(relations, indicator, any_one) for any_one in (False, True))
        title = INDICATORS[indicator].title
        for name, points in ((title, by_rule), (f"{title}, {ANY_PENALTY}", all_of_them)):
            if len(points) >= MIN_POINTS and (points is by_rule or len(points) > len(by_rule)):
                yield name, across(points, indicator, relations.results.quality)


def _across_evidence(relations: Relations) -> Iterator[str]:
    """A sentence: the rank correlations across trainings."""
    parts = [
        f"{title}: {interval(found.trainings)} over {trainings(found.trainings.runs)} in "
        f"{found.trainings.cells} cells, {number(found.cells, signed=True)} over the means of cells, within "
        f"cells {median_and_range(found.within, signed=True)}"
        for title, found in comparisons(relations)
    ]
    if parts:
        yield (
            f"Across trainings, rank correlation with {METRICS[relations.results.quality].short} at the last "
            f"moment, for {'; '.join(parts)}. The intervals take trainings of a cell for independent, "
            "which they are not: they are too narrow."
        )
