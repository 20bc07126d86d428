"""Sample faces of trainings, side by side at equal batches, cut from their pictures."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from srez.images import layout, picture
from srez.images.layout import GRID_NAME, STRIP_NAME
from srez.report.results import FINISHED, Results, RunResult
from srez.system import files

FACES_SHOWN = 5  # of a strip
SHOWN_AT = (1 / 3, 1)  # parts of the trainings' length at which faces are shown
REFERENCES = {"input": 0, "bicubic": 1, "truth": 3}  # columns of a grid


class Gallery(NamedTuple):
    """Sample faces at some batches: a row per cell, and what the faces are made from, by name.

    A row has the cell's title, and by batch a PNG or why there is none.
    """

    batches: list[int]
    rows: list[tuple[str, dict[int, bytes | str]]]
    references: dict[str, bytes]


def gallery(
    results: Results, folder_of: Callable[[str], str], shown_at: Sequence[float] = SHOWN_AT
) -> Gallery:
    """The faces of every cell's first seed at common batches; no rows where there are no pictures.

    folder_of: the folder of a training's grids, by its name. shown_at: parts of the trainings' length.
    """
    runs = [cell.runs[0] for cell in results.included]
    strips = {r.run.name: _strips(folder_of(r.run.name)) for r in runs}
    batches = _common_batches(runs, strips, shown_at)
    rows = [
        (cell.title, {batch: _faces(r, strips[r.run.name].get(batch)) for batch in batches})
        for cell, r in zip(results.included, runs, strict=True)
        if batches
    ]
    return Gallery(batches, rows, _references(runs, folder_of, batches))


def _strips(folder: str) -> dict[int, str]:
    """The paths of a training's strips of faces, by batch."""
    pattern = re.escape(STRIP_NAME).replace(re.escape("{:06d}"), r"(\d{6,})")
    matches = (re.fullmatch(pattern, name) for name in files.names(folder))
    return {int(match[1]): files.join(folder, match[0]) for match in matches if match}


def _common_batches(
    runs: list[RunResult], strips: dict[str, dict[int, str]], shown_at: Sequence[float]
) -> list[int]:
    """Batches that all trainings have which went to their end; before any has, all that have begun."""
    begun = [r for r in runs if strips[r.run.name]]
    ended = [r for r in begun if r.state == FINISHED and r.verdict.word != "diverged"]
    batches = [set(strips[r.run.name]) for r in ended or begun]
    common = set.intersection(*batches) - {0} if batches else set()
    return sorted({min(common, key=lambda b: abs(b - part * max(common))) for part in shown_at if common})


def _faces(r: RunResult, path: str | None) -> bytes | str:
    """The first faces of a training's strip [S, 10 S, 3] as PNG, or why there are none."""
    if path is None:
        if r.verdict.word == "diverged":
            return f"diverged at batch {r.batches:,}"
        return "no picture" if r.state == FINISHED else r.state
    try:
        strip = picture.decode(files.read_bytes(path))
    except ValueError:
        return f"{r.state}; the picture is damaged"
    return layout.png(np.ascontiguousarray(strip[:, : FACES_SHOWN * len(strip)]))


def _references(
    runs: list[RunResult], folder_of: Callable[[str], str], batches: list[int]
) -> dict[str, bytes]:
    """What the faces are made from, and the truth, as far as all trainings have the same."""
    strips = list(_reference_strips(runs, folder_of, batches[-1])) if batches else []
    return {
        name: layout.png(strip)
        for name, strip in (strips[0].items() if strips else ())
        if all(np.array_equal(strip, other[name]) for other in strips)
    }


def _reference_strips(
    runs: list[RunResult], folder_of: Callable[[str], str], batch: int
) -> Iterator[dict[str, np.ndarray]]:
    """The REFERENCES [S, 5 S, 3] of every training, from its grid of a batch; noise input has none."""
    for r in runs:
        config = r.run.cell.config(r.run.seed)
        path = files.join(folder_of(r.run.name), GRID_NAME.format(batch))
        if config.noise_input or not files.exists(path):
            continue
        try:
            grid = picture.decode(files.read_bytes(path))
        except ValueError:
            continue  # a damaged picture cannot serve as reference; others can
        side = config.sample_size
        rows = grid[: FACES_SHOWN * side].reshape(-1, side, grid.shape[1] // side, side, 3)
        yield {
            name: np.ascontiguousarray(np.concatenate(list(rows[:, :, column]), axis=1))
            for name, column in REFERENCES.items()
        }
