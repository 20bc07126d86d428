"""The tables of a report about claim 1: every way to count it, and the objectives beside the controls."""

import itertools
from typing import Any

from srez.report.claims import COUNTED_WORDS, STABLE, every_count
from srez.report.controls import control_rows
from srez.report.results import METRICS, Results
from srez.report.text import interval, percent, points


def count_rows(results: Results) -> list[dict[str, Any]]:
    """Rows of the table of every way to count: by quality and by what counts as stable, each for both units.

    None without a training with WGAN-GP that is finished.
    """
    counts = [one for one in every_count(results) if one.share.runs]
    rows = []
    for (quality, stable), units in itertools.groupby(counts, lambda one: (one.quality, one.stable)):
        rows.append(
            {
                "quality": METRICS[quality].short,
                "stable": stable,
                "is_rule": quality == results.quality and COUNTED_WORDS[stable] == STABLE,
                "units": [(percent(one.share), points(one.lead), one.answer) for one in units],
            }
        )
    return rows


def control_table(results: Results) -> list[dict[str, Any]]:
    """Rows of the table of controls and objectives, figures in words."""
    quality = METRICS[results.quality] if results.quality else None
    return [
        {
            "title": row.title,
            "is_control": row.is_control,
            "trainings": f"{row.runs} in {row.cells}" if row.runs else "",
            "figures": [
                interval(row.figures[name], METRICS[name].decimals, signed=False)
                if name in row.figures
                else ""
                for name in results.metrics
            ],
            "beyond_l1": interval(row.beyond_l1, quality.decimals) if quality and row.beyond_l1.runs else "",
        }
        for row in control_rows(results)
    ]
