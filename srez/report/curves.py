"""Curves of a study over its trainings' batches: means over seeds with bands, as panels."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes

from srez.report.correlations import INDICATORS, applies
from srez.report.figures import COLORS, DASHES, Panel, add_legend, file_name, make_panel, new_axes
from srez.report.results import FIGURES, CellResult, Results, titled
from srez.report.text import number
from srez.report.verdicts import Curve, finite

POINTS = 120  # a curve is drawn with at most that many
PANELS, LINES = 12, len(COLORS)  # of a figure and of a panel; beyond it cells are pooled

Band = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # batches, mean, smallest, largest; [N] each


def table_of(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Curves as one table: batches [N], values [curves, N], nan where a curve has none.

    Long ones as means of at most 120 stretches, which end at the same batches for all.
    """
    curves = [finite(curve) for curve in curves]
    ends = np.unique(np.concatenate([batch for batch, _ in curves] or [[]]))
    if len(ends) > POINTS:
        ends = ends[np.linspace(0, len(ends) - 1, POINTS).round().astype(int)]
    table = np.full((len(curves), len(ends)), np.nan)
    for row, (batch, values) in zip(table, curves, strict=True):
        place = np.searchsorted(ends, batch)
        count = np.bincount(place, minlength=len(ends))
        total = np.bincount(place, values, minlength=len(ends))
        row[count > 0] = total[count > 0] / count[count > 0]
    return ends, table


def band(batches: np.ndarray, table: np.ndarray) -> Band:
    """Mean and range over curves, where at least two go on, or the only one."""
    enough = np.isfinite(table).sum(axis=0) >= min(2, max(1, len(table)))
    batches, table = batches[enough], table[:, enough]
    if not len(batches):
        return (batches,) * 4
    return batches, np.nanmean(table, axis=0), np.nanmin(table, axis=0), np.nanmax(table, axis=0)


def pooled(
    cells: Sequence[CellResult], axes: Sequence[str], most: int
) -> dict[tuple[str, ...], list[CellResult]]:
    """Cells by their labels on the first of `axes`, as many axes as give at most `most` groups, but one."""
    for length in range(len(axes), -1, -1):
        found: dict[tuple[str, ...], list[CellResult]] = {}
        for cell in cells:
            found.setdefault(tuple(cell.cell.labels[axis] for axis in axes[:length]), []).append(cell)
        if len(found) <= most or length <= 1:
            return found
    return {}


def pooled_axes(results: Results) -> list[str]:
    """The axes whose cells are pooled in the panels of quality."""
    facets = pooled(results.live, results.row_axes, PANELS)
    return results.row_axes[len(next(iter(facets), ())) :]


def _draw(axes: Axes, cells: Sequence[CellResult], figure: str, label: str, style: int) -> list[float]:
    """Mean and band of trainings; where some diverged, a cross. The band's values."""
    runs = [r for cell in cells for r in cell.results if figure in r.curves]
    batches, table = table_of([r.curves[figure] for r in runs])
    batch, middle, low, high = band(batches, table)
    color, dash = COLORS[style % len(COLORS)], DASHES[style % len(DASHES)]
    if not len(batch):
        return []
    axes.fill_between(batch, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(batch, middle, color=color, linestyle=dash, label=label)
    for r, values in zip(runs, table, strict=True):
        there = np.flatnonzero(np.isfinite(values))
        alone = there[batches[there] >= batch[-1]]  # goes on where the others have ended
        axes.plot(batches[alone], values[alone], color=color, linestyle=dash, linewidth=0.7)
        if r.verdict.word == "diverged" and len(there):
            end = there[-1]
            axes.plot(batches[end], values[end], "x", color=color, markersize=7, markeredgewidth=2)
    return [*low, *high]


def _limits(values: Sequence[float]) -> tuple[float, float] | None:
    """Where almost all values lie, with a margin; a loss that runs away does not press the others flat."""
    if not len(values):
        return None
    low, high = np.percentile(values, [1, 99])
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def quality_panels(results: Results, figure: str) -> Iterator[Panel]:
    """Curves of a quality figure: a panel per row of the grid, a line per column; the same scale in all."""
    about = FIGURES[figure]
    everything: list[float] = []
    drawn = []
    having = [cell for cell in results.live if any(figure in r.curves for r in cell.results)]
    for facet, cells in pooled(having, results.row_axes, PANELS).items():
        graph, axes = new_axes(results.row_title(facet) or about.title)
        shown = {c: [cell for cell in cells if c in ("", _column(results, cell))] for c in results.columns}
        for style, (column, those) in enumerate(shown.items()):
            everything += _draw(axes, those, figure, column or about.title, style)
        axes.set(xlabel="batch", ylabel=", ".join(filter(None, (about.short, about.unit))))
        drawn.append((facet, graph, axes, shown))
    for facet, graph, axes, shown in drawn:
        axes.set_ylim(_limits(everything))
        add_legend(graph, axes)
        ends = ", ".join(f"{c or 'all'} {_last(those, figure)}" for c, those in shown.items() if those)
        alt = f"{about.title} ({about.better}) over batches, {results.row_title(facet)}. Last means: {ends}."
        yield make_panel(file_name("curves", figure, *facet), alt, graph)


def _column(results: Results, cell: CellResult) -> str:
    return cell.cell.labels.get(results.column_axis, "")


def _last(cells: Sequence[CellResult], figure: str) -> str:
    found = [m for m in (cell.mean(figure).mean for cell in cells) if np.isfinite(m)]
    return number(float(np.mean(found)) if found else np.nan, FIGURES[figure].decimals)


def indicator_panels(results: Results, figure: str) -> Iterator[Panel]:
    """Curves of a loss or estimate: a panel per objective, a line per cell; each on its own scale."""
    about = INDICATORS[figure]
    for group, cells in results.groups.items():
        having = [cell for cell in cells if any(figure in r.curves for r in cell.results)]
        if not having or not applies(figure, cells[0].loss_func):
            continue
        graph, axes = new_axes(group)
        values: list[float] = []
        differing = [
            axis for axis in results.study.axes if len({cell.cell.labels[axis] for cell in having}) > 1
        ]
        for style, (labels, those) in enumerate(pooled(having, differing, LINES).items()):
            label = titled(dict(zip(differing, labels, strict=False))) or group
            values += _draw(axes, those, figure, label, style)
        axes.set(xlabel="batch", ylabel=about.short, ylim=_limits(values))
        add_legend(graph, axes)
        yield make_panel(file_name("curves", figure, group), f"{about.title} over batches, {group}.", graph)
