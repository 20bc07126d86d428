"""The figures of claim 2: how far indicators tell quality, their curves beside it, and across trainings."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from srez.report.correlations import (
    ESTIMATE,
    FRESH,
    HELDOUT,
    INDICATORS,
    MOMENTS,
    TRANSPORT,
    indicator_applies,
    since_last_sample,
)
from srez.report.figures import COLORS, WIDTH, Panel, add_legend, file_name, make_panel, new_axes
from srez.report.indicator import COMPARABLE, STRONG, counting
from srez.report.regret import MIN_POINTS, across, last_moments
from srez.report.relations import Relation, Relations
from srez.report.results import METRICS, CellResult, Results
from srez.report.text import MINUS, interval, median_and_range, number
from srez.report.verdicts import finite

TICKS = ([-1, -0.5, 0, 0.5, 1], [f"{MINUS}1", f"{MINUS}0.5", "0", "0.5", "1"])
IN_CURVES = (ESTIMATE, FRESH, TRANSPORT)  # below the quality that they should tell
THIN = {"linewidth": 0.9, "alpha": 0.75}


def relation_panels(relations: Relations) -> Iterator[Panel]:
    """Two panels of all indicators and objectives: what is beyond the null, and r beside the null."""
    rows = _headline_rows(relations) if relations.results.quality else []
    if not rows:
        return
    short = METRICS[relations.results.quality].short
    beyond = f"rank correlation with {short} beyond that\nwith other trainings, which share the clock"
    yield _row_panel(relations, rows, "excess", f"Does it tell {short} better than a clock?", beyond)
    beside = "within a training (dot), and with\nother trainings, which share the clock (bar)"
    yield _row_panel(relations, rows, "r", f"Rank correlation with {short}", beside)


Row = tuple[str, dict[str, Relation]]  # a label, and relations by objective


def _headline_rows(relations: Relations) -> list[Row]:
    """A row for each indicator that was measured: at most of its samples, the own estimate at moments too."""
    rows = []
    for indicator, about in INDICATORS.items():
        for when in relations.kinds(indicator)[: 2 if indicator == ESTIMATE else 1]:
            found = counting(relations, indicator, relations.results.objectives, when=when)
            if found:
                rows.append((about.short + ("\nat moments" if when == MOMENTS else ""), found))
    return rows


def _row_panel(relations: Relations, rows: list[Row], kind: str, title: str, xlabel: str) -> Panel:
    """A panel with a row for each indicator and a mark for each objective; kind: excess or r."""
    objectives = list(relations.results.objectives)
    step = 0.8 / max(3, len(objectives))
    figure, axes = new_axes(title, height=1.25 + len(rows) * max(0.36, 0.11 * len(objectives)))
    texts = []
    for y, (label, found) in enumerate(rows):
        for objective, relation in found.items():
            i = objectives.index(objective)
            color = COLORS[i % len(COLORS)]
            place = y + (i - (len(objectives) - 1) / 2) * step
            mean = getattr(relation, kind)
            axes.plot([mean.low, mean.high], [place] * 2, color=color, linewidth=1.8, solid_capstyle="butt")
            fill = color if np.isfinite(mean.low) else "white"  # hollow without an interval
            axes.plot(mean.mean, place, "o", color=color, markerfacecolor=fill, markersize=4.2, mew=1)
            if kind == "r":
                axes.plot(relation.null, place, "|", color=color, markersize=7, mew=1.6)
            texts.append(f"{' '.join(label.split())} of {objective} {interval(mean)}")
    axes.axvline(0, color="#444444", linewidth=0.8)
    if kind == "r":
        axes.axvline(STRONG, color="#444444", linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlabel(xlabel, loc="right")
    axes.set_xticks(*TICKS)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    for y in range(1, len(rows)):
        axes.axhline(y - 0.5, color="#e3e3e3", linewidth=0.6)
    handles = [
        Line2D([], [], color=COLORS[i % len(COLORS)], marker="o", markersize=4, label=objective)
        for i, objective in enumerate(objectives)
        if any(objective in found for _, found in rows)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.2)
    return make_panel(file_name("indicators", kind), f"{title}: {'; '.join(texts)}.", figure)


def curve_panels(results: Results) -> Iterator[Panel]:
    """A panel for each objective: quality, estimates and transport below it, a line for each training."""
    if not results.quality:
        return
    for objective, cells in results.objectives.items():
        applying = [name for name in IN_CURVES if indicator_applies(name, cells[0].loss_func)]
        rows = [n for n in (results.quality, *applying) if any(cell.has(n) for cell in cells)]
        if len(rows) < 2 or rows[0] != results.quality:
            continue
        figure = Figure(figsize=(WIDTH, 0.75 + 0.95 * len(rows)), layout="constrained")
        figure.suptitle(objective, x=0.01, horizontalalignment="left")
        for axes, name in zip(figure.subplots(len(rows), sharex=True), rows, strict=True):
            _draw_runs(axes, cells, name)
        axes.set(xlabel="batch (logarithmic)", xscale="log")
        first = min((line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())), default=1)
        axes.xaxis.set_major_locator(FixedLocator(first * 2.0 ** np.arange(30)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        titles = ", ".join(_row_title(name) for name in rows)
        yield make_panel(file_name("signals", objective), f"{titles} over batches, {objective}.", figure)


def _row_title(name: str) -> str:
    return METRICS[name].short if name in METRICS else INDICATORS[name].short


def _draw_runs(axes: Axes, cells: list[CellResult], name: str) -> None:
    """A thin line for each training, after batch 0; the held-out estimate dashed beside the own one."""
    styles = {name: "-"} | ({HELDOUT: (0, (3, 1.5))} if name == ESTIMATE else {})
    for r in (r for cell in cells for r in cell.runs):
        for part, dash in styles.items():
            batch = r.sampled_batches
            if part in r.curves:
                batch, values = finite((batch, since_last_sample(r.curves[part], batch)))
                color = COLORS[r.run.seed % len(COLORS)]
                axes.plot(batch[batch > 0], values[batch > 0], color=color, linestyle=dash, **THIN)
    axes.set_ylabel(_row_title(name).replace(" ", "\n"), rotation=0, ha="right", va="center")
    axes.locator_params(axis="y", nbins=4)
    axes.tick_params(labelsize=8)


def across_panels(relations: Relations) -> Iterator[Panel]:
    """Indicators against quality at the last moment, a mark for each training."""
    quality = relations.results.quality
    objectives = list(relations.results.objectives)
    for indicator in COMPARABLE if quality else ():
        points = last_moments(relations, indicator)
        if len(points) < MIN_POINTS:
            continue
        about, found = INDICATORS[indicator], across(points, indicator, quality)
        figure, axes = new_axes(about.short.capitalize())
        for i, objective in enumerate(objectives):
            pairs = [(p.indicator, p.quality) for p in points if p.objective == objective]
            if pairs:
                color = COLORS[i % len(COLORS)]
                axes.plot(*zip(*pairs, strict=True), "o", color=color, markersize=4.5, label=objective)
        text = (
            f"all trainings {interval(found.trainings)}, means of cells {number(found.cells, signed=True)},\n"
            f"within cells {median_and_range(found.within, signed=True)}"
        )
        axes.set_title(text, loc="left", fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set(xlabel=f"{about.title} at the last moment", ylabel=METRICS[quality].short)
        add_legend(figure, axes)
        alt = f"{about.title} against {METRICS[quality].title} at the last moment; rank correlations: "
        alt += f"{' '.join(text.split())}."
        yield make_panel(file_name("across", indicator), alt, figure)
