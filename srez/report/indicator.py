"""Claim 2, that the Wasserstein distance tells a training's progress: an answer by written rules."""

from collections.abc import Iterator, Sequence

from srez.report.claims import FAILS, HOLDS, OPEN, Assessment, too_few_seeds, unfinished
from srez.report.correlations import (
    ESTIMATE,
    FRESH,
    HELDOUT,
    INDICATORS,
    TRANSPORT,
    WASSERSTEIN,
)
from srez.report.relations import Relation, Relations, does_not_count
from srez.report.results import METRICS, CellResult, Results
from srez.report.text import interval, number

STRONG = 0.5  # a rank correlation from which on one may steer by an indicator
ANSWERED = (ESTIMATE, HELDOUT, FRESH, TRANSPORT)  # which indicators get an answer; the first is the claim's
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
    tested = {n: [c for c in cells if not c.control] for n, cells in results.objectives.items()}
    objectives = {n: cells for n, cells in tested.items() if cells and cells[0].loss_func in WASSERSTEIN}
    found = counting(relations, ESTIMATE, objectives)
    obstacle = _obstacle(results, [cell for cells in objectives.values() for cell in cells])
    if not obstacle and not found:
        obstacle = "no objective's estimate counts"
    yes, no = ([name for name, one in found.items() if test(one)] for test in (tells, does_not_tell))
    objectives_in_words = f"{len(found)} Wasserstein objective{'s' * (len(found) != 1)}"
    reason = f"the estimate counts in {objectives_in_words}; it tells quality in {len(yes)}, not in {len(no)}"
    return Assessment(
        "Claim 2",
        "The Wasserstein distance is an effective measure of training progress.",
        OPEN if obstacle else answer(list(found.values())),
        f"because {obstacle}" if obstacle else reason,
        [*_estimate_evidence(results, objectives, found), *_other_answers(relations)],
    )


def counting(
    relations: Relations, indicator: str, objectives: dict[str, list[CellResult]], truth: str = ""
) -> dict[str, Relation]:
    """Objective -> how an indicator goes with a truth, of the objectives in which it counts.

    truth: the quality that verdicts are read from where it is not given.
    """
    truth, when = truth or relations.results.quality, relations.kinds(indicator)[0]
    if not truth:
        return {}
    found = {name: relations.of(cells, indicator, truth, when) for name, cells in objectives.items()}
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


def _obstacle(results: Results, cells: list[CellResult]) -> str:
    """Why claim 2 cannot be judged by these cells with a Wasserstein objective; '' if it can."""
    if not cells:
        return "no training here has a Wasserstein objective"
    return unfinished(cells) or too_few_seeds(results)


def _estimate_evidence(
    results: Results, objectives: dict[str, list[CellResult]], found: dict[str, Relation]
) -> Iterator[str]:
    """Sentences: how the estimate of every objective goes with quality, or why it does not count."""
    for name, cells in objectives.items():
        if name in found:
            yield f"{name}: {in_words(found[name], METRICS[results.quality].short)}."
        reasons = {cell.title: does_not_count(cell, ESTIMATE) for cell in cells if cell.finished}
        for title, reason in reasons.items():
            if reason:
                yield f"{title} does not count: {reason}."


def in_words(relation: Relation, truth: str) -> str:
    """A relation in words: its correlation, that of other trainings, what is left."""
    return (
        f"rank correlation with {truth} {interval(relation.r)}, with that of other trainings "
        f"{number(relation.null, signed=True)}, beyond that {interval(relation.excess)}"
    )


def _other_answers(relations: Relations) -> Iterator[str]:
    """Sentences: the answers by the same rule for the other estimates."""
    for indicator in ANSWERED[1:]:
        found = counting(relations, indicator, relations.results.objectives)
        if found:
            title = INDICATORS[indicator].title
            yield (
                f"{title[0].upper()}{title[1:]}, by the same rule: {answer(list(found.values()))} "
                f"(tells quality in {sum(map(tells, found.values()))} of {len(found)} objectives)."
            )
