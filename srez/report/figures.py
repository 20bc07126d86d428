"""The figures of a study's report, with matplotlib: small panels that stand alone and side by side."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from srez.report.correlations import INDICATORS, KINDS, pairs
from srez.report.results import FIGURES, CellResult, Results
from srez.report.text import MINUS, interval, number
from srez.report.verdicts import mean_over_seeds
from srez.study.cells import slug

WIDTH, HEIGHT = 4.0, 2.7  # inches: legible as wide as a telephone
DPI = 160
MOST_SCATTERED = 12  # panels of the estimate against quality, before some are left out
# Okabe and Ito's colours, which people tell apart whatever they see of colour
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A00")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1, 1.5)))
MARKS = ("o", "s", "^", "D", "v", "P")
VERDICT_COLORS = {
    "converged": "#bcd9ef",
    "improving": "#ddecf7",
    "undecided": "#f3f3f3",
    "too short": "#f3f3f3",
    "oscillating": "#fbdc9a",
    "no gain": "#d9d3c7",
    "collapsed": "#e6bfd6",
    "diverged": "#f2ae8c",
}
NO_COLOR = "#ffffff"
STYLE = {
    "font.size": 9,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.9,
    "lines.linewidth": 1.5,
    "svg.fonttype": "path",
    "svg.hashsalt": "srez",  # the same figure is the same file
}


@dataclass
class Panel:
    """A figure as SVG and PNG; name: of its files; alt: what it shows, for whoever cannot see it."""

    name: str
    alt: str
    svg: bytes
    png: bytes


def make_panel(name: str, alt: str, figure: Figure) -> Panel:
    """A figure drawn in both formats; laid out once, which takes as long as drawing."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    contents = {}
    for kind, metadata in {"svg": {"Date": None}, "png": {"Software": None}}.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
        contents[kind] = buffer.getvalue()
    return Panel(name, alt, contents["svg"], contents["png"])


def new_axes(title: str, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with a title and one pair of axes; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def add_legend(figure: Figure, axes: Axes) -> None:
    """What the lines are, below."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, columnspacing=1.2)


def file_name(*parts: str) -> str:
    """Parts of a file name."""
    return "_".join(filter(None, (slug(part.replace("_", "")) for part in parts)))


# ---- outcomes --------------------------------------------------------------------------------------


def outcome_panel(results: Results) -> Panel:
    """The grid of outcomes: a coloured field per cell with its verdict's sign and word."""
    rows, columns = results.rows, results.columns
    graph = Figure(figsize=(1.9 + 1.55 * len(columns), 0.8 + 0.56 * len(rows)), layout="constrained")
    axes = graph.subplots()
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            cell = results.at(row, column)
            word, count = cell.consensus
            excluded = not cell.results
            axes.add_patch(
                matplotlib.patches.Rectangle(
                    (x + 0.03, y + 0.05),
                    0.94,
                    0.9,
                    facecolor=VERDICT_COLORS.get(word, NO_COLOR),
                    edgecolor="#999999",
                    linewidth=0.6,
                    linestyle="-" if word in VERDICT_COLORS else (0, (3, 2)),
                )
            )
            text = word if excluded else f"{word}\n{count} of {len(cell.results)}"
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color="#777" if excluded else "#111")
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.set_xlabel(results.column_axis, loc="left")
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(rows)) + 0.5, [results.row_title(row) for row in rows])
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return make_panel("outcomes", "The grid of outcomes; the table above holds the same.", graph)


# ---- indicators ------------------------------------------------------------------------------------


def correlation_panels(results: Results, quality: str) -> Iterator[Panel]:
    """A panel per kind of correlation with a quality figure: runs as dots, the mean with its interval."""
    rows = [
        (group, indicator)
        for indicator in INDICATORS
        for group in results.groups
        if results.correlation(group, indicator, quality, "within_run").runs
    ]
    if not rows:
        return
    for kind, about in KINDS.items():
        graph, axes = new_axes(f"{FIGURES[quality].short}: {about.title}", height=1.0 + 0.34 * len(rows))
        said = []
        for y, (group, indicator) in enumerate(rows):
            values = [v for cell in results.values(group, indicator, quality, kind) for v in cell]
            found = results.correlation(group, indicator, quality, kind)
            color = COLORS[list(INDICATORS).index(indicator)]
            axes.plot(values, np.full(len(values), y), "o", color=color, alpha=0.35, markersize=4, mew=0)
            axes.plot([found.low, found.high], [y, y], color=color, linewidth=2.4)
            axes.plot(found.mean, y, "D", color=color, markersize=5.5, mec="white", mew=0.7)
            said.append(f"{INDICATORS[indicator].title} of {group} {interval(found)}")
        axes.axvline(0, color="#444444", linewidth=0.8)
        axes.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.5, -0.5), xlabel="rank correlation with quality")
        axes.set_xticks([-1, -0.5, 0, 0.5, 1], [f"{MINUS}1", f"{MINUS}0.5", "0", "0.5", "1"])
        axes.set_yticks(range(len(rows)), [f"{INDICATORS[i].short}, {group}" for group, i in rows])
        axes.tick_params(axis="y", length=0)
        alt = f"Correlation with {FIGURES[quality].title}, {about.title}: {'; '.join(said)}."
        yield make_panel(file_name("correlation", quality, kind), alt, graph)


def scatter_panels(results: Results, indicator: str) -> Iterator[Panel]:
    """The estimate against quality at every sample: a panel per Wasserstein cell, a mark per seed."""
    for cell in _scattered(results, indicator):
        yield _scatter(results, indicator, cell)


def _correlation(results: Results, indicator: str, cell: CellResult) -> float:
    """The mean over seeds of a cell's correlation; nan where it has none."""
    found = [r.correlations.get((indicator, results.quality)) for r in cell.finished]
    return mean_over_seeds([each["within_run"] for each in found if each]).mean


def _scattered(results: Results, indicator: str) -> list[CellResult]:
    """The cells that are shown: all, or of each objective the weakest, the median and the strongest."""
    found = {}
    for group, cells in results.groups.items():
        those = [c for c in cells if np.isfinite(_correlation(results, indicator, c))]
        found[group] = sorted(those, key=lambda c: _correlation(results, indicator, c))
    if sum(map(len, found.values())) > MOST_SCATTERED:
        found = {g: [c[0], c[len(c) // 2], c[-1]] if len(c) > 3 else c for g, c in found.items()}
    names = {cell.cell.name for cells in found.values() for cell in cells}
    return [cell for cell in results.live if cell.cell.name in names]


def _scatter(results: Results, indicator: str, cell: CellResult) -> Panel:
    quality, about = results.quality, INDICATORS[indicator]
    runs = [r for r in cell.finished if (indicator, quality) in r.correlations]
    graph, axes = new_axes(cell.title)
    for r, mark in zip(runs, MARKS * len(runs), strict=False):
        batch, goodness, _ = pairs(indicator, r.curves[indicator], quality, r.curves[quality])
        sampled = dict(zip(*r.curves[quality], strict=True))
        shown = [sampled[b] for b in batch]
        style = {"c": batch, "cmap": "viridis", "marker": mark, "s": 16, "linewidth": 0}
        points = axes.scatter(about.direction * goodness, shown, **style)
    bar = graph.colorbar(points, ax=axes, label="batch", aspect=30)
    bar.outline.set_visible(False)
    axes.set(xlabel=about.title, ylabel=FIGURES[quality].short)
    found = (r.correlations[indicator, quality]["within_run"] for r in runs)
    text = f"rank correlation by seed: {', '.join(number(value, signed=True) for value in found)}"
    axes.set_title(text, loc="left", fontsize=8.5)
    alt = f"{about.title} against {FIGURES[quality].title}, {cell.title}; {text}."
    return make_panel(file_name("scatter", cell.cell.name), alt, graph)
