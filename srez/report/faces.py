"""Sample faces of a study's cells, side by side at equal batches, cut from their trainings' pictures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from srez.images import layout, picture
from srez.images.layout import GRID, STRIP
from srez.report.results import FINISHED, CellResult, Result, Results
from srez.study.store import StudyStore
from srez.system import files

SHOWN = 5  # faces of a strip
TIMES = (1 / 3, 1)  # of the trainings' length: when the faces are shown
REFERENCES = {"input": 0, "bicubic": 1, "truth": 3}  # columns of a grid


@dataclass
class Row:
    """Faces of a cell: a PNG per batch, or why there is none."""

    title: str
    faces: dict[int, bytes | str] = field(default_factory=dict)


@dataclass
class Gallery:
    """All that is shown: batches, one row of faces per cell, and what the faces are made from, by name."""

    batches: list[int]
    rows: list[Row]
    references: dict[str, bytes]
    seed: int


def gallery(results: Results, store: StudyStore) -> Gallery:
    """The faces of every cell's first seed at two common batches; no rows where there are no pictures."""
    firsts = [(cell, cell.results[0]) for cell in results.live]
    there = {r.run.name: _strips(store, r.run.name) for _, r in firsts}
    seed = results.study.seeds[0]
    batches = _common(firsts, there)
    rows = [_row(cell, r, there[r.run.name], batches, store) for cell, r in firsts] if batches else []
    return Gallery(batches, rows, _references(firsts, store, batches), seed)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(re.escape("{:06d}"), r"(\d{6,})"))


def _strips(store: StudyStore, run: str) -> set[int]:
    """The batches of which a training has a strip of faces."""
    found = map(_pattern(STRIP).fullmatch, files.names(store.run(run, "train")))
    return {int(match[1]) for match in found if match}


def _common(firsts: list[tuple[CellResult, Result]], there: dict[str, set[int]]) -> list[int]:
    """Batches that all trainings have which went to their end; before any has, all that have begun."""
    begun = [(r, there[r.run.name]) for _, r in firsts if there[r.run.name]]
    ended = [batches for r, batches in begun if r.state == FINISHED and r.verdict.word != "diverged"]
    common = set.intersection(*(ended or [batches for _, batches in begun] or [set()])) - {0}
    if not common:
        return []
    return sorted({min(common, key=lambda b: abs(b - time * max(common))) for time in TIMES})


def _row(cell: CellResult, r: Result, there: set[int], batches: list[int], store: StudyStore) -> Row:
    row = Row(cell.title)
    for batch in batches:
        if batch in there:
            row.faces[batch] = _cut(store.run(r.run.name, "train", STRIP.format(batch)), r.state)
        elif r.verdict.word == "diverged":
            row.faces[batch] = f"diverged at batch {r.batches:,}"
        else:
            row.faces[batch] = r.state
    return row


def _cut(path: str, otherwise: str) -> bytes | str:
    """The first faces of a strip [S, 10 S, 3] as PNG."""
    try:
        strip = picture.decode(files.read_bytes(path))
    except ValueError:
        return f"{otherwise}; the picture is damaged"
    side = strip.shape[0]
    return layout.png(np.ascontiguousarray(strip[:, : SHOWN * side]))


def _references(
    firsts: list[tuple[CellResult, Result]], store: StudyStore, batches: list[int]
) -> dict[str, bytes]:
    """What the faces are made from, and the truth, where every cell has the same; else nothing."""
    found = list(_strips_of_grids(firsts, store, batches[-1])) if batches else []
    if not found or any(not np.array_equal(found[0]["truth"], other["truth"]) for other in found):
        return {}
    return {name: layout.png(strip) for name, strip in found[0].items()}


def _strips_of_grids(
    firsts: list[tuple[CellResult, Result]], store: StudyStore, batch: int
) -> Iterator[dict[str, np.ndarray]]:
    """The references [S, 5 S, 3] of every cell, from its grid of a batch; noise input has none."""
    for cell, r in firsts:
        config, path = cell.cell.config(r.run.seed), store.run(r.run.name, "train", GRID.format(batch))
        if config.noise_input or not files.exists(path):
            continue
        try:
            grid = picture.decode(files.read_bytes(path))
        except ValueError:
            continue  # a damaged picture cannot serve as reference; others can
        side = config.sample_size
        faces = grid[: SHOWN * side].reshape(-1, side, grid.shape[1] // side, side, 3)
        yield {
            name: np.ascontiguousarray(np.concatenate(list(faces[:, :, column]), axis=1))
            for name, column in REFERENCES.items()
        }
