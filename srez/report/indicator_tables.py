"""The tables of a report about claim 2: what its page shows of the relations of indicators and quality."""

from collections.abc import Iterator
from typing import Any

from srez.report.correlations import INDICATORS
from srez.report.relations import Relations
from srez.report.text import interval, number

WHEN = {"samples": "all samples", "moments": "moments"}  # kinds of samples, in words


def relation_rows(relations: Relations, truth: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An indicator's title and its rows: how it goes with a truth, by objective and kind of samples."""
    for indicator, about in INDICATORS.items():
        if indicator == truth:
            continue
        rows = []
        for objective, cells in relations.results.objectives.items():
            for when in relations.kinds(indicator):
                found = relations.of(cells, indicator, truth, when)
                if found.r.runs:
                    rows.append(
                        {
                            "objective": objective,
                            "when": WHEN[when],
                            "r": interval(found.r),
                            "null": number(found.null, signed=True),
                            "excess": interval(found.excess),
                            "runs": found.r.runs,
                        }
                    )
        if rows:
            yield about.title, rows
