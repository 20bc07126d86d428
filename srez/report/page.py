"""A study's results as one HTML page that needs nothing else: pictures inline, no network, no scripts."""

import base64
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np

from srez.report import curves, figures
from srez.report.claims import ESTIMATE, EXCEPTIONS, FAILS, HOLDS, OPEN, PARTLY, Claim, claims
from srez.report.correlations import INDICATORS, KINDS, WASSERSTEIN, over_seeds
from srez.report.curves import pooled_axes
from srez.report.faces import Gallery, gallery
from srez.report.figures import VERDICT_COLORS, Panel
from srez.report.method import SECTIONS
from srez.report.results import FIGURES, STATES, CellResult, Results
from srez.report.tables import correlation_rows, read, run_rows, write_csv, write_hparams
from srez.report.text import interval, mean, number, typeset
from srez.report.verdicts import LEVELS, UNSTABLE, VERDICTS
from srez.study.store import StudyStore
from srez.system import files

TEMPLATE = Path(__file__).resolve().with_suffix(".html")
TONES = {HOLDS: "holds", EXCEPTIONS: "part", PARTLY: "part", FAILS: "fails", OPEN: "open"}
BEST = 8  # cells in their table
FEW_SEEDS = 5  # below it the report says so


@dataclass
class Pictures:
    """All that is drawn: panels by figure, and the sample faces or None."""

    quality: dict[str, list[Panel]]
    correlation: dict[str, list[Panel]]
    scatter: list[Panel]
    losses: dict[str, list[Panel]]
    gallery: Gallery | None


def render(results: Results, claims: list[Claim], pictures: Pictures) -> str:
    """The page. Every text is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"base64": lambda data: base64.b64encode(data).decode(), "typeset": typeset}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    correlations = list(_correlations(results))
    best, note = _best(results)
    sections = {
        "claims": ("Claims", True),
        "outcomes": ("Outcomes", True),
        "best": ("Best cells", best),
        "curves": ("Quality", pictures.quality),
        "indicators": ("Estimate and quality", correlations),
        "losses": ("Losses", pictures.losses),
        "faces": ("Faces", pictures.gallery and pictures.gallery.rows),
        "trainings": ("All trainings", True),
        "method": ("How it is judged", True),
    }
    seeds = len(results.study.seeds)
    return template.render(
        name=results.study.name,
        title=results.study.title or results.study.name,
        question=results.study.question,
        states=[(state, results.count[state]) for state in STATES if results.count[state]],
        sections=[(key, title) for key, (title, shown) in sections.items() if shown],
        extent=_extent(results),
        claims=[claim._asdict() | {"tone": TONES[claim.answer]} for claim in claims],
        quality=FIGURES[results.quality] if results.quality else None,
        row_head=" / ".join(results.row_axes),
        columns=results.columns,
        grid=[
            {
                "title": results.row_title(row),
                "cells": [_outcome(results, results.at(row, c)) for c in results.columns],
            }
            for row in results.rows
        ],
        excluded=_excluded(results),
        best=best,
        best_note=note,
        best_figures=[FIGURES[name] for name in results.qualities],
        pooled=" and ".join(pooled_axes(results)),
        some_scattered=len(pictures.scatter) < sum(c.loss_func in WASSERSTEIN for c in results.live),
        curves=[(FIGURES[name], panels) for name, panels in pictures.quality.items()],
        kinds=[kind.title for kind in KINDS.values()],
        correlations=correlations,
        few_seeds=_in_words(seeds) if seeds < FEW_SEEDS else "",
        by_cell=list(_by_cell(results)),
        correlation_panels=pictures.correlation.get(results.quality, []),
        scatter_panels=pictures.scatter,
        losses=list(pictures.losses.items()),
        gallery=pictures.gallery,
        figures=[FIGURES[name] for name in _shown(results)],
        trainings=list(_trainings(results)),
        method=SECTIONS,
    )


def _in_words(count: int) -> str:
    return {1: "one", 2: "two", 3: "three", 4: "four"}[count]


def _shown(results: Results) -> list[str]:
    """The figures that have a column in tables."""
    return [name for name in FIGURES if name in results.recorded]


def _extent(results: Results) -> str:
    """How much was trained, in one line."""
    configs = [cell.cell.config(0) for cell in results.live]
    parts = [f"{len(configs)} cells, {len(results.study.seeds)} seeds"]
    for text, option in {
        "{} batches": "max_batches",
        "of {} pictures": "batch_size",
        "width {}": "width",
    }.items():
        found = sorted({getattr(config, option) for config in configs})
        parts.append(text.format(" or ".join(f"{value:,g}" for value in found)))
    return f"{parts[0]}, {parts[1]} {parts[2]}, {parts[3]}."


def _excluded(results: Results) -> dict[str, str]:
    """Why cells are left out -> which."""
    found: dict[str, list[str]] = {}
    for cell in results.cells:
        if cell.cell.excluded:
            found.setdefault(cell.cell.excluded.strip(), []).append(cell.title)
    return {reason: "; ".join(titles) for reason, titles in found.items()}


def _outcome(results: Results, cell: CellResult) -> dict[str, Any]:
    """A field of the grid."""
    word, count = cell.consensus
    lines = []
    if results.quality and np.isfinite(cell.mean(results.quality).mean):
        lines.append(mean(results.quality, cell.mean(results.quality)))
    others = Counter(r.verdict.word for r in cell.results if r.verdict.word != word)
    lines += [f"{number} {other}" for other, number in others.items()]
    return {
        "word": word,
        "symbol": VERDICTS[word].symbol if word in VERDICTS else "",
        "of": f"{count} of {len(cell.results)}" if cell.results else "",
        "color": VERDICT_COLORS.get(word, ""),
        "lines": lines,
    }


def _best(results: Results) -> tuple[list[dict[str, Any]], str]:
    """Rows of the best cells, best first, and what is to be said of the choice."""
    quality = results.quality
    having = [c for c in results.live if quality and np.isfinite(c.mean(quality).mean)]
    steady = [c for c in having if not set(c.words) & set(UNSTABLE)]
    chosen = [c for c in steady if c.mean(quality).count > 1] or steady or having
    chosen.sort(key=lambda c: -float(LEVELS[quality].of(np.array(c.mean(quality).mean))))
    if not chosen:
        return [], ""
    left = len(having) - len(chosen)
    note = (
        f"By the mean last {FIGURES[quality].title} over seeds, with the 95% interval of Student's t"
        f"{_seeds_note(results)}. The first of many looks better than it is, because it was chosen for that."
    )
    if left:
        note += f" Not listed: {left} with a training that was not stable, or with too few seeds so far."
    first = chosen[0].mean(quality)
    rows = [
        {
            "title": cell.title,
            "close": _close(cell, first, quality) if cell is not chosen[0] else "",
            "words": ", ".join(f"{n} {word}" for word, n in Counter(cell.words).items()),
            "figures": [mean(name, cell.mean(name)) for name in results.qualities],
            "minutes": number(float(np.mean([r.minutes for r in cell.finished])), 1),
        }
        for cell in chosen[:BEST]
    ]
    return rows, note


def _seeds_note(results: Results) -> str:
    seeds = len(results.study.seeds)
    return f", which {_in_words(seeds)} seeds leave wide" if 1 < seeds < FEW_SEEDS else ""


def _close(cell: CellResult, first: Any, quality: str) -> str:
    """Whether a cell's interval reaches into the best one's."""
    found = cell.mean(quality)
    if not np.isfinite(found.low) or not np.isfinite(first.low):
        return "too few seeds to compare"
    return (
        "its interval overlaps the first one's" if found.low <= first.high and first.low <= found.high else ""
    )


def _correlations(results: Results) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The table of correlations: an indicator of a group, and a row for each quality figure."""
    for indicator, about in INDICATORS.items():
        for group in results.groups:
            rows = []
            for quality in results.qualities:
                found = [results.correlation(group, indicator, quality, kind) for kind in KINDS]
                texts = [interval(each) for each in found]
                if found[0].runs:
                    rows.append({"quality": FIGURES[quality].short, "kinds": texts, "runs": found[0].runs})
            if rows:
                yield f"{about.title}, {group}", rows


def _by_cell(results: Results) -> Iterator[dict[str, Any]]:
    """The estimate's correlations with the figure that verdicts are read from, cell by cell."""
    for cell in results.live:
        found = [r.correlations.get((ESTIMATE, results.quality)) for r in cell.finished]
        found = [each for each in found if each]
        if found:
            intervals = [over_seeds([[each[kind] for each in found]]) for kind in KINDS]
            kinds = [interval(each) for each in intervals]
            yield {"title": cell.title, "kinds": kinds, "runs": intervals[0].runs}


def _trainings(results: Results) -> Iterator[dict[str, Any]]:
    """Rows of the table of all trainings, cell by cell."""
    for r in (r for cell in results.live for r in cell.results):
        word = r.verdict.word
        yield {
            "name": r.run.name,
            "word": word,
            "symbol": VERDICTS[word].symbol if word in VERDICTS else "",
            "reason": r.verdict.reason,
            "figures": [number(r.last.get(n, np.nan), FIGURES[n].decimals) for n in _shown(results)],
            "batches": f"{r.batches:,}",
            "minutes": number(r.minutes, 1),
        }


PAGE, TABLE, CORRELATIONS, PICTURES = "report.html", "results.csv", "correlations.csv", "figures"


def write_report(study_dir: str, faces: bool = True) -> str:
    """Write the report of a study; the path of its page.

    STUDY_DIR/report.html, results.csv, correlations.csv, figures/*.svg, figures/*.png and hparams/. Without
    `faces` the page holds no picture of any face: plots only, to be published. Raises UserError where the
    folder holds no study, OSError where it cannot be written.
    """
    results = read(study_dir)
    with matplotlib.rc_context(figures.STYLE):
        outcomes = figures.outcome_panel(results)
        pictures = Pictures(
            _full({n: curves.quality_panels(results, n) for n in FIGURES if n in results.recorded}),
            _full({quality: figures.correlation_panels(results, quality) for quality in results.qualities}),
            list(figures.scatter_panels(results, ESTIMATE)),
            _full({about.title: curves.indicator_panels(results, n) for n, about in INDICATORS.items()}),
            gallery(results, StudyStore(study_dir)) if faces else None,
        )
    _save_figures(study_dir, outcomes, pictures)
    write_csv(os.path.join(study_dir, TABLE), run_rows(results))
    write_csv(os.path.join(study_dir, CORRELATIONS), correlation_rows(results))
    write_hparams(results, study_dir)
    path = os.path.join(study_dir, PAGE)
    files.write_whole(path, render(results, claims(results), pictures).encode())
    return path


def _full(panels: dict) -> dict[str, list[Panel]]:
    """Panels by name, of those names that have any."""
    found = {name: list(those) for name, those in panels.items()}
    return {name: those for name, those in found.items() if those}


def _save_figures(study_dir: str, outcomes: Panel, pictures: Pictures) -> None:
    folder = os.path.join(study_dir, PICTURES)
    files.make_folder(folder)
    named = (pictures.quality, pictures.losses, pictures.correlation)
    groups = [pictures.scatter, *(panels for group in named for panels in group.values())]
    for panel in [outcomes, *(panel for group in groups for panel in group)]:
        for ending, data in {"svg": panel.svg, "png": panel.png}.items():
            files.write_whole(os.path.join(folder, f"{panel.name}.{ending}"), data)
