"""A study's folder: its trainings read, its tables written. Needs no TensorFlow."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

import srez_files
from srez_cells import StudyRun
from srez_config import EXIT_DIVERGED, EXIT_DONE
from srez_study_results import (
    FAILED,
    FIGURES,
    FINISHED,
    LOGGED,
    NORMS,
    NOT_BEGUN,
    UNDER_WAY,
    Result,
    Results,
)
from srez_study_store import StudyStore
from srez_verdict import Curve

GOOD_EXITS = (EXIT_DONE, EXIT_DIVERGED)  # of these one that is not finished was made longer since


def read(study_dir: str) -> Results:
    """Everything of a study so far. Raises UserError where it has no study.toml that can be read."""
    store = StudyStore(study_dir)
    study = store.load()
    return Results(study, [_result(run, store) for run in study.runs()])


def _result(run: StudyRun, store: StudyStore) -> Result:
    try:
        outcome = store.outcome(run.name) or {}
        lines = store.metrics(run.name)
        curves = _curves(lines)
        finished = store.finished(run)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Result(run, FAILED, f"its files are damaged ({type(error).__name__}: {error})")
    state = UNDER_WAY if lines else NOT_BEGUN
    if outcome and (finished or outcome["exit"] not in GOOD_EXITS):
        state = FINISHED if finished else FAILED
    batches = int(lines[-1]["batch"]) if lines else 0
    minutes = next((line["minutes"] for line in reversed(lines) if "minutes" in line), np.nan)
    return Result(
        run,
        state,
        str(outcome.get("message", "")),
        outcome.get("exit"),
        float(outcome.get("minutes", minutes)),
        int(outcome.get("batches", batches)),
        curves,
    )


def _curves(lines: list[dict[str, float]]) -> dict[str, Curve]:
    points: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name in (*FIGURES, *LOGGED, *NORMS):
            if name in line:
                points.setdefault(name, []).append((line["batch"], line[name]))
    return {name: tuple(np.array(those, float).T) for name, those in points.items()}


# ---- as a table ------------------------------------------------------------------------------------


def run_rows(results: Results) -> Iterator[dict[str, Any]]:
    """results.csv: a row per training, last figures and verdicts by every quality figure."""
    for r in results.results:
        row: dict[str, Any] = {"run": r.run.name} | r.run.cell.labels | {"seed": r.run.seed, "state": r.state}
        row |= {"verdict": r.verdict.word, "reason": r.verdict.reason}
        row |= {f"verdict_by_{name}": r.verdict_by(name).word for name in results.qualities}
        row |= {"exit": r.exit, "batches": r.batches, "minutes": round(r.minutes, 3)}
        yield row | {name: r.last.get(name) for name in results.recorded}


def correlation_rows(results: Results) -> Iterator[dict[str, Any]]:
    """correlations.csv: a row per training, indicator and quality figure."""
    for r in results.results:
        for (indicator, quality), found in r.correlations.items():
            where = {"run": r.run.name} | r.run.cell.labels | {"seed": r.run.seed}
            yield where | {"indicator": indicator, "quality": quality} | found


def write_csv(path: str, rows: Iterable[dict[str, Any]]) -> None:
    """Rows of one kind as CSV, whole or not at all; a file without content where there are none."""
    rows, text = list(rows), io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), restval="")
        writer.writeheader()
        writer.writerows(rows)
    srez_files.write_whole(path, text.getvalue().encode())
