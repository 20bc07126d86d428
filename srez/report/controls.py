"""What the objectives reach beside the controls: bicubic enlargement, the L1 term alone, a frozen critic."""

from typing import NamedTuple

from srez.report.counting import generator
from srez.report.intervals import NOTHING, Interval, difference, over_seeds
from srez.report.results import CONTROLS, L1_ONLY, METRICS, CellResult, Results

BICUBIC_TITLE = "bicubic enlargement"
MISSING = {
    BICUBIC_TITLE: "the figures of bicubic enlargement, so that the verdict “worse than bicubic” is not used",
    **{control: f"trainings with the control “{control}”" for control in CONTROLS},
}


class ControlRow(NamedTuple):
    """A row of the table: a control or an objective with its last figures over cells.

    figures: metric -> mean over fixed cells. beyond_l1: the quality that verdicts are read from, minus that
    of the L1 term alone with the same generators.
    """

    title: str
    is_control: bool
    cells: int
    runs: int
    figures: dict[str, Interval]
    beyond_l1: Interval


def control_rows(results: Results) -> list[ControlRow]:
    """Controls, then objectives; those of which nothing is finished are left out."""
    rows = []
    if bicubic := bicubic_figures(results):
        figures = {name: NOTHING._replace(mean=value) for name, value in bicubic.items()}
        rows.append(ControlRow(BICUBIC_TITLE, True, 0, 0, figures, NOTHING))
    groups = [(name, True, cells) for name, cells in results.controls.items()]
    groups += [(name, False, cells) for name, cells in results.tested.items()]
    for title, is_control, cells in groups:
        runs = sum(len(cell.finished) for cell in cells)
        if runs:
            figures = {name: _mean(cells, name) for name in results.metrics}
            beyond = NOTHING if title == L1_ONLY else _beyond_l1(results, cells)
            rows.append(ControlRow(title, is_control, len(cells), runs, figures, beyond))
    return rows


def bicubic_figures(results: Results) -> dict[str, float]:
    """The figures of bicubic enlargement of the held-out faces; nothing where they were not recorded."""
    return next(filter(None, (r.bicubic for r in results.runs)), {})


def missing_controls(results: Results) -> str:
    """One sentence that says which controls a study does not have; '' if it has all."""
    there = {*results.controls, *([BICUBIC_TITLE] if bicubic_figures(results) else [])}
    missing = [text for name, text in MISSING.items() if name not in there]
    return f"This study does not have {'; nor '.join(missing)}." if missing else ""


def _mean(cells: list[CellResult], metric: str) -> Interval:
    """The mean over fixed cells of a metric's last values."""
    return over_seeds([cell.last(metric) for cell in cells], METRICS[metric].bounds)


def _beyond_l1(results: Results, cells: list[CellResult]) -> Interval:
    """The quality of some cells minus that of the L1 term alone, with the generators that both have."""
    controls = results.controls.get(L1_ONLY, [])
    shared = {generator(cell) for cell in cells} & {generator(cell) for cell in controls}
    return difference(
        *([c.last(results.quality) for c in group if generator(c) in shared] for group in (cells, controls))
    )
