"""The tables of a report about claim 2, as texts for its page."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from srez.report.claims import COUNTED_QUALITIES
from srez.report.correlations import CLOCK, INDICATORS, MOMENTS, SAMPLES, TRANSPORT, indicator_applies
from srez.report.indicator import ANSWERED, answer, counting, tells
from srez.report.indicator_figures import shown_kinds
from srez.report.regret import Regret, regret
from srez.report.relations import Relations, does_not_count
from srez.report.results import METRICS
from srez.report.text import DASH, interval, number

KINDS = {SAMPLES: "all samples", MOMENTS: "moments"}  # of samples, in words


def title_of(truth: str) -> str:
    """A truth in words."""
    return METRICS[truth].short if truth in METRICS else INDICATORS[truth].title


class Group(NamedTuple):
    """Rows of a table under one heading."""

    title: str
    rows: list[list[str]]


def relation_groups(relations: Relations, truth: str) -> Iterator[Group]:
    """By indicator: objective, kind of samples, r, null, excess and number of trainings with a truth."""
    for indicator, about in INDICATORS.items():
        rows = []
        for objective, cells in relations.results.objectives.items():
            for when in shown_kinds(relations, indicator) if indicator != truth else ():
                found = relations.of(cells, indicator, truth, when)
                if found.r.runs:
                    figures = [interval(found.r), number(found.null, signed=True), interval(found.excess)]
                    rows.append([objective, KINDS[when], *figures, str(found.r.runs)])
        if rows:
            yield Group(about.title, rows)


def left_out(relations: Relations) -> Iterator[tuple[str, str]]:
    """Indicator and cell, and why it does not count there, but for controls, in which none can."""
    for indicator, about in INDICATORS.items():
        for cell in relations.results.included:
            measured = any(indicator in r.curves for r in cell.finished)
            reason = does_not_count(cell, indicator)
            if measured and reason and indicator_applies(indicator, cell.loss_func) and not cell.control:
                yield f"{about.short} of {cell.title}", reason


def every_way(relations: Relations) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Columns, and rows: the answer for each estimate by the rule of claim 2, with each truth."""
    wanted = (*COUNTED_QUALITIES, TRANSPORT)
    truths = [name for name in relations.truths if name in wanted]
    rows = []
    for indicator in ANSWERED:
        words = []
        for truth in truths:
            found = (
                counting(relations, indicator, relations.results.objectives, truth)
                if indicator != truth
                else {}
            )
            told = f"{sum(map(tells, found.values()))} of {len(found)}"
            words.append(f"{answer(list(found.values()))} ({told})" if found else DASH)
        if set(words) != {DASH}:
            when = KINDS[relations.kinds(indicator)[0]]
            rows.append((INDICATORS[indicator].title, [when, *words]))
    return [title_of(truth) for truth in truths], rows


def regret_groups(relations: Relations) -> tuple[list[str], list[Group]]:
    """Objectives, and by kind of samples the regret of every indicator in each, and of a sample at random."""
    objectives, groups = relations.results.objectives, []
    for when, title in KINDS.items():
        rows = []
        for indicator, about in INDICATORS.items():
            if when in relations.kinds(indicator):
                found = [regret(relations, cells, indicator, when) for cells in objectives.values()]
                if any(one.stopped.runs for one in found):
                    name = "the last sample (clock)" if indicator == CLOCK else about.title
                    rows.append([name, *map(_regret_in_words, found)])
                    if indicator == CLOCK:
                        rows.append(["a sample at random", *(number(one.at_random, 1) for one in found)])
        if rows:
            groups.append(Group(title, rows))
    return list(objectives), groups


def _regret_in_words(found: Regret) -> str:
    return interval(found.stopped, 1, signed=False)


def claim_2(relations: Relations) -> dict[str, Any]:
    """What the page shows of claim 2 in tables; empty where no training has figures of quality."""
    if not relations.results.quality:
        return {}
    by_truth = [t for t in (relations.results.quality, TRANSPORT) if t in relations.truths]
    groups = {title_of(truth): list(relation_groups(relations, truth)) for truth in by_truth}
    ways, rows = every_way(relations)
    objectives, regrets = regret_groups(relations)
    return {
        "relations": {truth: found for truth, found in groups.items() if found},
        "left_out": list(left_out(relations)),
        "truths": ways,
        "answers": rows,
        "objectives": objectives,
        "regrets": regrets,
    }
