"""A study's results as one HTML page that needs nothing else: pictures inline, no network, no scripts."""

import base64
import itertools
import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import jinja2
import matplotlib
import numpy as np

from srez.report import claims, curves, figures, indicator_figures, stability_tables
from srez.report.best import best_cells, mean_in_words
from srez.report.controls import control_rows, missing_controls
from srez.report.correlations import CRITIC_LOSS, GENERATOR_LOSS
from srez.report.counting import UNITS, WGAN_GP, architecture, cells_with
from srez.report.faces import Gallery, gallery
from srez.report.figures import VERDICT_COLORS, Panel
from srez.report.indicator import STRONG, assess_indicator
from srez.report.indicator_tables import claim_2
from srez.report.method import SECTIONS
from srez.report.relations import MAX_PENALTY, Relations
from srez.report.results import L1_ONLY, METRICS, STATES, CellResult, Results, grouped
from srez.report.tables import correlation_rows, read_results, run_rows, write_csv, write_hparams
from srez.report.text import interval, number, percent, points, typeset
from srez.report.verdicts import MIXED, STABLE, VERDICTS
from srez.study.store import StudyStore
from srez.system import files

ANSWER_CLASSES = {claims.HOLDS: "holds", claims.FAILS: "fails", claims.OPEN: "open"}


@dataclass
class Pictures:
    """All that is drawn: panels, by metric or by title where there are several figures, and sample faces."""

    stability: Panel | None
    outcomes: Panel
    quality: dict[str, list[Panel]]
    relations: list[Panel]
    signals: list[Panel]
    across: list[Panel]
    losses: dict[str, list[Panel]]
    gallery: Gallery | None


def fill(template: str, **values: Any) -> str:
    """A page as HTML, from a template of this folder. Every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    environment.filters |= {f.__name__: f for f in (interval, number, percent, points, typeset)}
    return environment.get_template(template).render(values)


def render(results: Results, relations: Relations, pictures: Pictures) -> str:
    """The page of a study as HTML."""
    indicators = claim_2(relations)
    best, best_note = best_cells(results)
    counts = Counter(r.state for r in results.runs)
    # claim 1 asks for a variety of them, and cannot be answered with one
    architectures = set(map(architecture, cells_with(results, WGAN_GP)))
    sections = {
        "claims": ("Claims", True),
        "outcomes": ("Outcomes", True),
        "controls": ("Controls", True),
        "best": ("Best cells", best),
        "indicators": ("Loss and quality", pictures.relations),
        "curves": ("Quality", pictures.quality),
        "losses": ("Losses", pictures.losses),
        "faces": ("Faces", pictures.gallery and pictures.gallery.rows),
        "trainings": ("All trainings", True),
        "method": ("How it is judged", True),
    }
    return fill(
        "page.html",
        results=results,
        pictures=pictures,
        metrics=METRICS,
        states=[(state, counts[state]) for state in STATES if counts[state]],
        sections=[(key, title) for key, (title, shown) in sections.items() if shown],
        extent=_extent(results),
        assessments=[claims.assess_stability(results), assess_indicator(relations)],
        answer_classes=ANSWER_CLASSES,
        quality=METRICS[results.quality] if results.quality else None,
        row_head=" / ".join(results.row_axes),
        grid=[
            (results.row_title(row), [_outcome(results, results.cell_at(row, c)) for c in results.columns])
            for row in results.rows
        ],
        symbols={word: definition.symbol for word, definition in VERDICTS.items()},
        colors=VERDICT_COLORS,
        excluded=_excluded(results),
        counts=stability_tables.count_rows(results),
        limits=stability_tables.limit_rows(results),
        pairs=stability_tables.pairing_rows(results),
        architectures=stability_tables.architecture_rows(results),
        architecture_columns=stability_tables.architecture_columns(results),
        units=UNITS,
        controls=control_rows(results),
        missing_controls=missing_controls(results),
        best=best,
        best_note=best_note,
        l1_only=L1_ONLY,
        mixed=MIXED,
        stable=STABLE[::-1],
        enough=f"{claims.ENOUGH:.0%}",
        strong=f"{STRONG:g}",
        max_penalty=f"{MAX_PENALTY:g}",
        words=_words(results),
        pooled=" and ".join(curves.pooled_axes(results)),
        indicators=indicators,
        claim_2_leads=bool(pictures.relations) and len(architectures) == 1,
        nan=np.nan,
        method=SECTIONS,
    )


def _words(results: Results) -> dict[str, str]:
    """The verdicts that this study has, each in half a sentence."""
    there = {word for cell in results.included for word in (*cell.verdicts, cell.consensus[0])}
    short = {word: about.short for word, about in VERDICTS.items()} | {MIXED: "its trainings differ"}
    return {word: text for word, text in short.items() if word in there}


def _extent(results: Results) -> str:
    """How much was trained, in one line."""
    configs = [cell.cell.config(0) for cell in results.included]

    def values(option: str) -> str:
        return " or ".join(f"{value:,g}" for value in sorted({getattr(config, option) for config in configs}))

    return (
        f"{len(configs)} cells (a cell: one combination of what is varied, trained once for each seed), "
        f"{len(results.study.seeds)} seeds, {values('max_batches')} batches of {values('batch_size')} "
        f"pictures, width {values('width')}.{_critic_steps(results)}"
    )


def _critic_steps(results: Results) -> str:
    """A sentence with the critic steps of each objective; '' where all have as many."""
    found = grouped(
        (steps, name)
        for name, cells in results.objectives.items()
        for steps in {cell.cell.config(0).critic_iters for cell in cells}
    )
    if len(found) < 2:
        return ""
    parts = [f"{steps} in {', '.join(names)}" for steps, names in sorted(found.items())]
    return f" Critic steps for each step of the generator (n): {'; '.join(parts)}."


def _excluded(results: Results) -> dict[str, str]:
    """Why cells are left out -> which."""
    titles = grouped((c.cell.excluded.strip(), c.title) for c in results.cells if c.cell.excluded)
    return {reason: "; ".join(cells) for reason, cells in titles.items()}


def _outcome(results: Results, cell: CellResult) -> dict[str, Any]:
    """A field of the grid of outcomes: its verdict, how many seeds share it, and lines below."""
    word, count = cell.consensus
    lines = []
    if results.quality and np.isfinite(cell.mean(results.quality).mean):
        lines.append(mean_in_words(cell, results.quality))
    others = Counter(r.verdict.word for r in cell.runs if r.verdict.word != word)
    lines += [f"{count} {other}" for other, count in others.items()]
    return {"word": word, "of": f"{count} of {len(cell.runs)}" if count else "", "lines": lines}


def write_report(study_dir: str, faces: bool = True) -> str:
    """Write the report of a study; the path of its page.

    STUDY_DIR/report.html, results.csv, correlations.csv, figures/*.svg, figures/*.png and hparams/. Without
    `faces` the page holds no picture of any face: plots only, to be published. Raises UserError where the
    folder holds no study, OSError where it cannot be written.
    """
    results, store = read_results(study_dir), StudyStore(study_dir)
    relations = Relations(results)
    with matplotlib.rc_context(figures.STYLE):
        pictures = Pictures(
            figures.stability_panel(results),
            figures.outcome_panel(results),
            {name: list(curves.quality_panels(results, name)) for name in results.metrics},
            list(indicator_figures.relation_panels(relations)),
            list(indicator_figures.curve_panels(results)),
            list(indicator_figures.across_panels(relations)),
            curves.panels_by_title(results, (GENERATOR_LOSS, CRITIC_LOSS)),
            gallery(results, lambda run: store.run(run, "train")) if faces else None,
        )
    _save_figures(os.path.join(study_dir, "figures"), pictures)
    write_csv(os.path.join(study_dir, "results.csv"), run_rows(results))
    write_csv(os.path.join(study_dir, "correlations.csv"), correlation_rows(relations))
    write_hparams(results, study_dir)
    path = os.path.join(study_dir, "report.html")
    files.write_whole(path, render(results, relations, pictures).encode())
    return path


def _save_figures(folder: str, pictures: Pictures) -> None:
    """Write every panel into a folder, as SVG and as PNG."""
    files.make_folder(folder)
    panels = [pictures.outcomes, *([pictures.stability] if pictures.stability else [])]
    panels += [*pictures.relations, *pictures.signals, *pictures.across]
    for by_name in (pictures.quality, pictures.losses):
        panels += itertools.chain(*by_name.values())
    for panel in panels:
        files.write_whole(os.path.join(folder, f"{panel.name}.svg"), panel.svg)
        files.write_whole(os.path.join(folder, f"{panel.name}.png"), panel.png)
