"""The best cells of a study, each beside the first of them."""

from collections import Counter
from typing import Any

import numpy as np

from srez.report.intervals import difference
from srez.report.results import METRICS, CellResult, Results
from srez.report.text import interval, number
from srez.report.verdicts import LEVELS

MAX_BEST_CELLS = 8  # in the table of the best cells
FEW_SEEDS = {2: "two", 3: "three", 4: "four"}  # numbers of seeds that leave intervals wide


def mean_in_words(cell: CellResult, metric: str) -> str:
    """The mean of a metric's last values over a cell's seeds, with its interval."""
    return interval(cell.mean(metric), METRICS[metric].decimals, signed=False)


def best_cells(results: Results) -> tuple[list[dict[str, Any]], str]:
    """Rows of the best cells, best first, and what is to be said of the choice."""
    quality = results.quality
    measured = [c for c in results.included if np.isfinite(c.mean(quality).mean)]
    seeds = len(results.study.seeds)
    chosen = [c for c in measured if c.mean(quality).runs >= max(2, seeds / 2)] or measured
    if not chosen:
        return [], ""
    chosen.sort(key=lambda c: -float(LEVELS[quality].transform(np.array(c.mean(quality).mean))))
    wide = f", which {FEW_SEEDS[seeds]} seeds leave wide" if seeds in FEW_SEEDS else ""
    note = (
        f"By the mean last {METRICS[quality].title} over seeds (a training that diverged has none), with the "
        f"95% interval of Student's t{wide}. The first of many looks better than it is, because it was "
        "chosen for that."
    )
    if left_out := len(measured) - len(chosen):
        note += f" Not listed: {left_out} with figures of fewer than half of the seeds, or of one."
    rows = [
        {
            "title": f"{cell.title} (control)" if cell.control else cell.title,
            "comparison": _comparison(cell, chosen[0], quality) if cell is not chosen[0] else "",
            "words": ", ".join(f"{count} {word}" for word, count in Counter(cell.verdicts).items()),
            "figures": [mean_in_words(cell, name) for name in results.qualities],
            "minutes": number(float(np.mean([r.minutes for r in cell.finished])), 1),
        }
        for cell in chosen[:MAX_BEST_CELLS]
    ]
    return rows, note


def _comparison(cell: CellResult, best: CellResult, quality: str) -> str:
    """How much a cell's mean is from the best cell's, and whether that tells them apart, in words."""
    gap = difference([cell.last(quality)], [best.last(quality)])
    if not np.isfinite(gap.low):
        return "too few seeds to compare"
    apart = "" if gap.low > 0 or gap.high < 0 else ", not told apart"
    return f"{interval(gap, METRICS[quality].decimals)} from the first{apart}"
