"""The tables of a report about claim 2, as texts for its page."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from srez.report.claims import COUNTED_QUALITIES
from srez.report.correlations import (
    CLOCK,
    ESTIMATE,
    HELDOUT,
    INDICATORS,
    LATE,
    MOMENTS,
    SAMPLES,
    TRANSPORT,
    indicator_applies,
)
from srez.report.indicator import ANSWERED, ANY_PENALTY, answer, comparisons, counting, share_of_fresh, tells
from srez.report.intervals import Spread
from srez.report.regret import regret
from srez.report.relations import CEILING, Relation, Relations, does_not_count, validity
from srez.report.results import METRICS
from srez.report.text import DASH, interval, median_and_range, number

# kinds of samples, in words
KINDS = {SAMPLES: "all samples", MOMENTS: "moments", LATE: "second half (added later)"}


def title_of(truth: str) -> str:
    """A truth in words."""
    return METRICS[truth].short if truth in METRICS else INDICATORS[truth].title


class Group(NamedTuple):
    """Rows of a table under one heading."""

    title: str
    rows: list[list[str]]


def relation_groups(relations: Relations, truth: str) -> Iterator[Group]:
    """By indicator: objective, kind of samples, r, null, excess and number of trainings with a truth.

    Where an indicator does not count because of its critic's penalty alone, it has a row that says so.
    """
    for indicator, about in INDICATORS.items():
        rows = []
        kinds = (
            relations.tabled(indicator) if indicator in (ESTIMATE, CLOCK) else relations.kinds(indicator)[:1]
        )
        for objective, cells in relations.results.objectives.items():
            for when in kinds if indicator != truth else ():
                found, of_all = (relations.of(cells, indicator, truth, when, each) for each in (False, True))
                if found.r.runs:
                    rows.append([objective, KINDS[when], *_figures(found)])
                if of_all.r.runs > found.r.runs:
                    rows.append([f"{objective}, {ANY_PENALTY}", KINDS[when], *_figures(of_all)])
        if rows:
            yield Group(about.title, rows)


def _figures(found: Relation) -> list[str]:
    """r, null, excess and number of trainings."""
    excess = interval(found.excess) if abs(found.null) <= CEILING else f"{DASH} (ceiling)"
    return [interval(found.r), number(found.null, signed=True), excess, str(found.r.runs)]


def left_out(relations: Relations) -> Iterator[tuple[str, str]]:
    """Indicator and cell, and why it does not count there, but for controls, in which none can."""
    for indicator, about in INDICATORS.items():
        for cell in relations.results.included:
            measured = any(indicator in r.curves for r in cell.finished)
            reason = does_not_count(cell, indicator)
            if measured and reason and indicator_applies(indicator, cell.loss_func) and not cell.control:
                yield f"{about.short} of {cell.title}", reason


def every_way(relations: Relations) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Columns, and rows: the answer for each estimate by the rule of claim 2, with each truth, with the rule
    about the gradient penalty and without it.
    """
    wanted = (*COUNTED_QUALITIES, TRANSPORT)
    truths = [name for name in relations.truths if name in wanted]
    rows = []
    for indicator in ANSWERED:
        for any_penalty in (False, True) if INDICATORS[indicator].penalty else (False,):
            words = [_answer_in_words(relations, indicator, truth, any_penalty) for truth in truths]
            if set(words) != {DASH}:
                when = KINDS[relations.kinds(indicator)[0]]
                rule = ANY_PENALTY if any_penalty else "by the rule"
                rows.append((INDICATORS[indicator].title, [when, rule, *words]))
    return [title_of(truth) for truth in truths], rows


def _answer_in_words(relations: Relations, indicator: str, truth: str, any_penalty: bool) -> str:
    """An answer and in how many objectives it tells the truth; a dash where there is none."""
    if indicator == truth:
        return DASH
    found = list(counting(relations, indicator, relations.results.objectives, truth, any_penalty).values())
    return f"{answer(found)} ({sum(map(tells, found))} of {len(found)})" if found else DASH


def validity_rows(relations: Relations) -> list[list[str]]:
    """Objective, estimate, percent of samples below 0, percent of fresh critics', trainings."""
    rows = []
    for objective, cells in relations.results.objectives.items():
        for indicator in (ESTIMATE, HELDOUT):
            found = validity(cells, indicator)
            if indicator_applies(indicator, cells[0].loss_func) and np.isfinite(found.negative):
                title = f"{objective} (control)" if cells[0].control else objective
                figures = number(100 * found.negative, 0), share_of_fresh(found.of_fresh)
                rows.append([title, INDICATORS[indicator].title, *figures, str(found.of_fresh.runs)])
    return rows


def regret_groups(relations: Relations) -> tuple[list[str], list[Group]]:
    """Objectives, and by kind of samples the regret of every indicator in each, and of a sample at random;
    then the same as more than the last sample's.
    """
    objectives, groups = relations.results.objectives, []
    for when in (SAMPLES, MOMENTS):
        stopped, more = [], []
        for indicator, about in INDICATORS.items():
            found = [regret(relations, cells, indicator, when) for cells in objectives.values()]
            if when not in relations.kinds(indicator) or not any(one.stopped.runs for one in found):
                continue
            if indicator == CLOCK:
                stopped.append(["the last sample (clock)", *(_cost(one.stopped) for one in found)])
                stopped.append(["a sample at random", *(_cost(one.at_random) for one in found)])
            else:
                stopped.append([about.title, *(_cost(one.stopped) for one in found)])
                more.append([about.title, *(_cost(one.more_than_last, signed=True) for one in found)])
        titles = KINDS[when], f"{KINDS[when]}, more than the last sample costs"
        groups += [Group(title, rows) for title, rows in zip(titles, (stopped, more), strict=True) if rows]
    return list(objectives), groups


def _cost(found: Spread, signed: bool = False) -> str:
    text = median_and_range(found, 1, signed)
    return f"{text}, {found.runs}" if found.runs else text


def across_rows(relations: Relations) -> list[list[str]]:
    """Indicator, trainings and cells, rank correlation over trainings, over means of cells, within cells."""
    return [
        [
            title,
            f"{found.trainings.runs} in {found.trainings.cells}",
            interval(found.trainings),
            number(found.cells, signed=True),
            median_and_range(found.within, signed=True),
        ]
        for title, found in comparisons(relations)
    ]


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
        "validity": validity_rows(relations),
        "truths": ways,
        "answers": rows,
        "objectives": objectives,
        "regrets": regrets,
        "across": across_rows(relations),
    }
