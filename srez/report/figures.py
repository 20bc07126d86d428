"""The figures of a study's report, with matplotlib: small panels that stand alone and side by side."""

import io
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from srez.report.claims import ENOUGH
from srez.report.counting import Way, stable_share
from srez.report.results import Results, grouped
from srez.report.text import share
from srez.report.verdicts import STABLE, UNSTABLE
from srez.study.cells import slug

WIDTH, HEIGHT = 4.0, 2.7  # inches: legible as wide as a telephone
DPI = 160
# Okabe and Ito's colours, which people tell apart whatever they see of colour
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A00")
LINE_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1, 1.5)))
VERDICT_COLORS = {
    "converged": "#bcd9ef",
    "improving": "#ddecf7",
    "worse than bicubic": "#c9c3e0",
    "no adversary": "#c5e0d8",
    "undecided": "#f3f3f3",
    "too short": "#f3f3f3",
    "oscillating": "#fbdc9a",
    "no gain": "#d9d3c7",
    "collapsed": "#e6bfd6",
    "diverged": "#f2ae8c",
    "mixed": "#e6ebcb",
}
# in which a bar of trainings is stacked: what is stable, what is neither, what is unstable
STACKED = (*STABLE[::-1], "worse than bicubic", "no adversary", "undecided", "too short", *UNSTABLE[::-1])
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


def new_axes(title: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with a title and one pair of axes; its height is in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def add_legend(figure: Figure, axes: Axes) -> None:
    """A legend below the axes, if any line has a label."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, columnspacing=1.2)


def file_name(*parts: str) -> str:
    """A file name without ending, of parts that may hold any character; empty parts are left out."""
    return "_".join(filter(None, (slug(part.replace("_", "")) for part in parts)))


def stability_panel(results: Results) -> Panel | None:
    """The headline: what became of each objective's trainings, and the interval of the stable share.

    A stacked bar per objective, stable verdicts first; controls below. None before any training is finished.
    """
    groups = results.tested | {f"control: {name}": cells for name, cells in results.controls.items()}
    verdicts = grouped((name, word) for name, cells in groups.items() for c in cells for word in c.verdicts)
    if not verdicts:
        return None
    figure, axes = new_axes("Which share of the trainings is stable?", height=1.35 + 0.5 * len(verdicts))
    words = [word for word in STACKED if any(word in found for found in verdicts.values())]
    shares = {name: stable_share(results, groups[name], Way(results.quality)) for name in verdicts}
    for y, (name, found) in enumerate(verdicts.items()):
        left = 0.0
        for word in words:
            width = 100 * found.count(word) / len(found)
            axes.barh(y, width, 0.62, left, color=VERDICT_COLORS[word], edgecolor="#999999", linewidth=0.5)
            left += width
        stable = shares[name]
        axes.plot([100 * stable.low, 100 * stable.high], [y, y], color="#111111", linewidth=1.6)
        axes.plot(100 * stable.mean, y, "D", color="#111111", markersize=4.5, clip_on=False)
    for word in words:
        axes.bar(0, 0, color=VERDICT_COLORS[word], edgecolor="#999999", linewidth=0.5, label=word)
    axes.axvline(100 * ENOUGH, color="#444444", linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 100), ylim=(len(verdicts) - 0.5, -0.5), xlabel="percent of the finished trainings")
    labels = [f"{name}\n{round(s.mean * s.runs)} of {s.runs} stable" for name, s in shares.items()]
    axes.set_yticks(range(len(shares)), labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    add_legend(figure, axes)
    texts = "; ".join(f"{name} {share(s)}" for name, s in shares.items())
    alt = f"Stable trainings by objective with 95% intervals, cells as a sample: {texts}."
    return make_panel("stability", alt, figure)


def outcome_panel(results: Results) -> Panel:
    """The grid of outcomes: a coloured field per cell with its verdict's sign and word."""
    rows, columns = results.rows, results.columns
    figure = Figure(figsize=(1.9 + 1.55 * len(columns), 0.8 + 0.56 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            cell = results.cell_at(row, column)
            word, count = cell.consensus
            style = {"facecolor": VERDICT_COLORS.get(word, "white"), "edgecolor": "#999999", "linewidth": 0.6}
            dash = "-" if word in VERDICT_COLORS else (0, (3, 2))
            axes.add_patch(Rectangle((x + 0.03, y + 0.05), 0.94, 0.9, linestyle=dash, **style))
            text, color = (f"{word}\n{count} of {len(cell.runs)}", "#111") if count else (word, "#777")
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=color)
    axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    axes.set_xlabel(results.column_axis, loc="left")
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(rows)) + 0.5, [results.row_title(row) for row in rows])
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return make_panel("outcomes", "The grid of outcomes; the table above holds the same.", figure)
