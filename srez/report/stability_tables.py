"""The tables of a report about claim 1: ways to count it, the GAN beside it, architectures."""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from srez.report.claims import BEFOREHAND, COUNTED_WORDS, Count, counts_by_limits, every_count
from srez.report.counting import ARCHITECTURE_OPTIONS, Way, architecture, generator, pairings, titles
from srez.report.results import L1_ONLY, METRICS, CellResult, Results
from srez.report.text import DASH, number, points
from srez.report.verdicts import RULE


def count_rows(results: Results) -> list[dict[str, Any]]:
    """Rows of the table of every way to count: by quality and by what counts as stable, each for every unit.

    None without a training with WGAN-GP that is finished.
    """
    counts = [one for one in every_count(results) if one.share.runs]
    names = {words: name for name, words in COUNTED_WORDS.items()}
    return [
        {
            "quality": METRICS[quality].short,
            "stable": names[words],
            "is_rule": (quality, words) == Way(results.quality)[:2],
            "counts": list(units),
        }
        for (quality, words), units in itertools.groupby(counts, lambda one: one.way[:2])
    ]


def limit_rows(results: Results) -> list[dict[str, Any]]:
    """Rows of the table of other limits of verdicts; none without a finished training with WGAN-GP."""
    return [
        {"title": _limits_in_words(one), "is_rule": one.way.limits == RULE, "count": one}
        for one in counts_by_limits(results)
        if one.share.runs
    ]


def _limits_in_words(one: Count) -> str:
    title = f"{one.way.limits.oscillation:.0%}"
    if one.way.limits == RULE:
        return f"{title} (rule)"
    return f"{title}, without “no adversary”" if one.way.limits == BEFOREHAND else title


def pairing_rows(results: Results) -> list[tuple[str, ...]]:
    """Rows of the table of WGAN-GP beside the GAN, architecture by architecture, figures in words."""
    return [
        (
            one.title,
            str(one.architectures),
            f"{number(100 * one.share, 0)}%",
            f"{number(100 * one.gan, 0)}%",
            points(one.lead),
            "; ".join(one.differences),
        )
        for one in pairings(results, Way(results.quality))
    ]


def architecture_rows(results: Results) -> list[tuple[str, list[str]]]:
    """Each architecture with the verdicts of every objective, and last of L1 only with its generator."""
    tested = [cell for cells in results.tested.values() for cell in cells]
    alone = results.controls.get(L1_ONLY, [])
    rows = []
    for key, title in titles(map(architecture, tested), ARCHITECTURE_OPTIONS).items():
        those = [[c for c in cells if architecture(c) == key] for cells in results.tested.values()]
        if alone:
            made = {generator(cell) for cell in tested if architecture(cell) == key}
            those.append([cell for cell in alone if generator(cell) in made])
        rows.append((title, [_verdicts_in_words(cells) for cells in those]))
    return rows


def architecture_columns(results: Results) -> list[str]:
    """What the columns of `architecture_rows` are."""
    return [*results.tested, *([f"{L1_ONLY} (control)"] if L1_ONLY in results.controls else [])]


def _verdicts_in_words(cells: Iterable[CellResult]) -> str:
    """The verdicts of some cells' finished trainings: '2 converged, 1 oscillating'; a dash for none."""
    found = Counter(word for cell in cells for word in cell.verdicts)
    return ", ".join(f"{count} {word}" for word, count in found.most_common()) or DASH
