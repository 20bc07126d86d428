"""Sample faces of a study's cells, side by side at equal batches, cut from their trainings' pictures."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from srez.images import layout, picture
from srez.images.layout import GRID_NAME, STRIP_NAME
from srez.report.results import FINISHED, Results, RunResult
from srez.study.store import StudyStore
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


def gallery(results: Results, store: StudyStore) -> Gallery:
    """The faces of every cell's first seed at two common batches; no rows where there are no pictures."""
    runs = [cell.runs[0] for cell in results.included]
    strips = {r.run.name: _strips(store, r.run.name) for r in runs}
    batches = _common_batches(runs, strips)
    rows = []
    for cell in results.included if batches else []:
        name = cell.runs[0].run.name
        faces = {batch: _faces(cell.runs[0], strips[name].get(batch)) for batch in batches}
        rows.append((cell.title, faces))
    return Gallery(batches, rows, _references(runs, store, batches))


def _strips(store: StudyStore, run: str) -> dict[int, str]:
    """The paths of a training's strips of faces, by batch."""
    pattern = re.escape(STRIP_NAME).replace(re.escape("{:06d}"), r"(\d{6,})")
    matches = (re.fullmatch(pattern, name) for name in files.names(store.run(run, "train")))
    return {int(match[1]): store.run(run, "train", match[0]) for match in matches if match}


def _common_batches(runs: list[RunResult], strips: dict[str, dict[int, str]]) -> list[int]:
    """Batches that all trainings have which went to their end; before any has, all that have begun."""
    begun = [r for r in runs if strips[r.run.name]]
    ended = [r for r in begun if r.state == FINISHED and r.verdict.word != "diverged"]
    batches = [set(strips[r.run.name]) for r in ended or begun]
    common = set.intersection(*batches) - {0} if batches else set()
    return sorted({min(common, key=lambda b: abs(b - part * max(common))) for part in SHOWN_AT if common})


def _faces(r: RunResult, path: str | None) -> bytes | str:
    """The first faces of a training's strip [S, 10 S, 3] as PNG, or why there are none."""
    if path is None:
        return f"diverged at batch {r.batches:,}" if r.verdict.word == "diverged" else r.state
    try:
        strip = picture.decode(files.read_bytes(path))
    except ValueError:
        return f"{r.state}; the picture is damaged"
    return layout.png(np.ascontiguousarray(strip[:, : FACES_SHOWN * len(strip)]))


def _references(runs: list[RunResult], store: StudyStore, batches: list[int]) -> dict[str, bytes]:
    """What the faces are made from, and the truth, where all trainings have the same; else nothing."""
    strips = list(_reference_strips(runs, store, batches[-1])) if batches else []
    if not strips or any(not np.array_equal(strips[0]["truth"], other["truth"]) for other in strips):
        return {}
    return {name: layout.png(strip) for name, strip in strips[0].items()}


def _reference_strips(
    runs: list[RunResult], store: StudyStore, batch: int
) -> Iterator[dict[str, np.ndarray]]:
    """The REFERENCES [S, 5 S, 3] of every training, from its grid of a batch; noise input has none."""
    for r in runs:
        config = r.run.cell.config(r.run.seed)
        path = store.run(r.run.name, "train", GRID_NAME.format(batch))
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
