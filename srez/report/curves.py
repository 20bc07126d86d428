"""Curves of a study over its trainings' batches: means over seeds with bands, as panels."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from srez.report.controls import bicubic_figures
from srez.report.correlations import INDICATORS, indicator_applies
from srez.report.figures import COLORS, LINE_STYLES, Panel, add_legend, file_name, make_panel, new_axes
from srez.report.relations import PENALIZED
from srez.report.results import METRICS, CellResult, Results, format_labels, grouped
from srez.report.text import number
from srez.report.verdicts import Curve, finite

MAX_POINTS = 120  # of a curve as it is drawn
MAX_PANELS, MAX_LINES = 12, len(COLORS)  # of a figure and of a panel; beyond it cells are pooled

# title and short title of what indicator_panels draws
TITLES = {name: (about.title, about.short) for name, about in INDICATORS.items()} | {
    "gradient_penalty": ("gradient penalty", "gradient penalty"),
    "heldout_gradient_penalty": ("gradient penalty on held-out faces", "gradient penalty"),
}

Band = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # batches, mean, smallest, largest; [N] each


def align_curves(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Curves as one table: batches [N], values [curves, N], nan where a curve has none.

    Long curves as means of at most 120 stretches, which end at the same batches for all.
    """
    curves = [finite(curve) for curve in curves]
    ends = np.unique(np.concatenate([batch for batch, _ in curves] or [[]]))
    if len(ends) > MAX_POINTS:
        ends = ends[np.linspace(0, len(ends) - 1, MAX_POINTS).round().astype(int)]
    table = np.full((len(curves), len(ends)), np.nan)
    for row, (batch, values) in zip(table, curves, strict=True):
        place = np.searchsorted(ends, batch)
        count = np.bincount(place, minlength=len(ends))
        total = np.bincount(place, values, minlength=len(ends))
        row[count > 0] = total[count > 0] / count[count > 0]
    return ends, table


def band(batches: np.ndarray, table: np.ndarray) -> Band:
    """Mean and range over aligned curves [curves, N], where two or more have values, or the only one."""
    enough = np.isfinite(table).sum(axis=0) >= min(2, max(1, len(table)))
    batches, table = batches[enough], table[:, enough]
    if not len(batches):
        return (batches,) * 4
    return batches, np.nanmean(table, axis=0), np.nanmin(table, axis=0), np.nanmax(table, axis=0)


def pool_cells(
    cells: Sequence[CellResult], axes: Sequence[str], most: int
) -> dict[tuple[str, ...], list[CellResult]]:
    """Groups of cells by their labels on the first of `axes`: all that give at most `most` groups, or one."""
    for length in range(len(axes), -1, -1):
        pools = grouped((tuple(cell.cell.labels[axis] for axis in axes[:length]), cell) for cell in cells)
        if len(pools) <= most or length <= 1:
            break
    return pools


def pooled_axes(results: Results) -> list[str]:
    """The axes whose cells are pooled in the panels of quality."""
    pools = pool_cells(results.included, results.row_axes, MAX_PANELS)
    return results.row_axes[len(next(iter(pools), ())) :]


def _draw_band(axes: Axes, cells: Sequence[CellResult], metric: str, label: str, style: int) -> list[float]:
    """Draw the band of some cells' trainings, with a cross where one diverged; the bounds of the band."""
    runs = [r for cell in cells for r in cell.runs if metric in r.curves]
    batches, table = align_curves([r.curves[metric] for r in runs])
    batch, middle, low, high = band(batches, table)
    color = COLORS[style % len(COLORS)]
    dash = LINE_STYLES[(style + style // len(COLORS)) % len(LINE_STYLES)]  # no pair of both comes twice soon
    if not len(batch):
        return []
    axes.fill_between(batch, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(batch, middle, color=color, linestyle=dash, label=label)
    for r, values in zip(runs, table, strict=True):
        measured = np.flatnonzero(np.isfinite(values))
        alone = measured[batches[measured] >= batch[-1]]  # goes on where the others have ended
        axes.plot(batches[alone], values[alone], color=color, linestyle=dash, linewidth=0.7)
        if r.verdict.word == "diverged" and len(measured):
            end = measured[-1]
            axes.plot(batches[end], values[end], "x", color=color, markersize=7, markeredgewidth=2)
    return [*low, *high]


def _axis_limits(values: Sequence[float], references: Sequence[float] = ()) -> tuple[float, float] | None:
    """Where almost all values lie and all references, with a margin.

    A loss that runs away does not press the others flat.
    """
    if not len(values):
        return None
    low, high = np.percentile(values, [1, 99])
    low, high = min([low, *references]), max([high, *references])
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def quality_panels(results: Results, metric: str) -> Iterator[Panel]:
    """Curves of a quality metric: a panel per row of the grid, a line per column; the same scale in all.

    Bicubic enlargement of the same faces is a dashed line.
    """
    about = METRICS[metric]
    values: list[float] = []
    drawn = []
    cells = [cell for cell in results.included if cell.has(metric)]
    bicubic = bicubic_figures(results).get(metric)
    for row, pool in pool_cells(cells, results.row_axes, MAX_PANELS).items():
        figure, axes = new_axes(results.row_title(row) or f"{about.title} {about.arrow}".rstrip())
        last_means = []
        for style, column in enumerate(results.columns):
            line = [c for c in pool if column in ("", c.cell.labels.get(results.column_axis))]
            values += _draw_band(axes, line, metric, column or about.title, style)
            if line:
                last_means.append(f"{column or 'all'} {_last_mean(line, metric)}")
        if bicubic is not None:
            axes.axhline(bicubic, color="#666666", linewidth=0.9, linestyle=(0, (4, 3)), label="bicubic")
        axes.set(xlabel="batch", ylabel=", ".join(filter(None, (about.short, about.unit))))
        drawn.append((row, figure, axes, ", ".join(last_means)))
    for row, figure, axes, last_means in drawn:
        axes.set_ylim(_axis_limits(values, [] if bicubic is None else [bicubic]))
        add_legend(figure, axes)
        title = f"{about.title} ({about.better}) over batches"
        title = ", ".join(filter(None, (title, results.row_title(row))))
        yield make_panel(file_name("curves", metric, *row), f"{title}. Last means: {last_means}.", figure)


def _last_mean(cells: Sequence[CellResult], metric: str) -> str:
    """The mean over cells of a metric's last values, of the cells that have any."""
    means = [mean for mean in (cell.mean(metric).mean for cell in cells) if np.isfinite(mean)]
    return number(float(np.mean(means)) if means else np.nan, METRICS[metric].decimals)


def indicator_panels(
    results: Results, indicator: str, groups: Mapping[str, Sequence[CellResult]] | None = None
) -> Iterator[Panel]:
    """Curves of a loss, an estimate or a gradient penalty: a panel per group, each on its own scale.

    groups: cells of one --loss_func by their title; those of each objective where they are not given. A line
    per cell, in the style that it has in the panels of quality where that tells the cells apart.
    """
    title, short = TITLES[indicator]
    for name, all_cells in (groups or results.objectives).items():
        cells = [cell for cell in all_cells if cell.has(indicator)]
        if not cells or not _applies(indicator, cells[0].loss_func):
            continue
        figure, axes = new_axes(name)
        values: list[float] = []
        differing = [axis for axis in results.study.axes if len({c.cell.labels[axis] for c in cells}) > 1]
        pools = pool_cells(cells, differing, MAX_LINES)
        columns = _columns_of(results, list(pools.values()))
        for place, (labels, pool) in enumerate(pools.items()):
            column = columns[place] if columns else ""
            label = format_labels(dict(zip(differing, labels, strict=False))) or column or name
            style = results.columns.index(column) if columns else place
            values += _draw_band(axes, pool, indicator, label, style)
        axes.set(xlabel="batch", ylabel=short, ylim=_axis_limits(values))
        add_legend(figure, axes)
        yield make_panel(file_name("curves", indicator, name), f"{title} over batches, {name}.", figure)


def panels_by_title(
    results: Results, indicators: Sequence[str], groups: Mapping[str, Sequence[CellResult]] | None = None
) -> dict[str, list[Panel]]:
    """Title -> what `indicator_panels` draws of some indicators; without those of which it draws none."""
    drawn = {TITLES[name][0]: list(indicator_panels(results, name, groups)) for name in indicators}
    return {title: panels for title, panels in drawn.items() if panels}


def _applies(indicator: str, loss_func: str) -> bool:
    """Whether an indicator, or a gradient penalty, has a meaning under an objective."""
    return indicator_applies(indicator, loss_func) if indicator in INDICATORS else loss_func in PENALIZED


def _columns_of(results: Results, pools: Sequence[Sequence[CellResult]]) -> list[str]:
    """The column of each pool, where each has one of its own; else none."""
    columns = [{cell.cell.labels.get(results.column_axis, "") for cell in pool} for pool in pools]
    alone = all(len(found) == 1 for found in columns) and len(set().union(*columns)) == len(pools)
    return [found.pop() for found in columns] if alone else []
