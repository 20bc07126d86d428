"""A study's folder: its trainings read, its tables written. Needs no TensorFlow."""

import csv
import io
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hp
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from srez.errors import EXIT_DIVERGED, EXIT_DONE
from srez.report.correlations import MIN_PAIRS, CellCorrelation, indicator_applies
from srez.report.regret import losses_of_stopping
from srez.report.relations import Relations, does_not_count
from srez.report.results import ALL_METRICS, FAILED, FINISHED, NOT_BEGUN, UNDER_WAY, Results, RunResult
from srez.report.verdicts import Curve
from srez.runs.figures import FIGURES
from srez.study.cells import StudyRun
from srez.study.store import StudyStore
from srez.system import files

GOOD_EXITS = (EXIT_DONE, EXIT_DIVERGED)  # of these one that is not finished was made longer since
HPARAMS_FOLDER = "hparams"
EVENT_FILE = "events.out.tfevents.0.srez"  # one name, so that a new report replaces the old one's
REGRETS = ("regret", "regret_at_random")  # columns of correlations.csv
EVENT_VERSION = "brain.Event:2"


def read_results(study_dir: str) -> Results:
    """Everything of a study so far. Raises UserError where it has no study.toml that can be read."""
    store = StudyStore(study_dir)
    study = store.load()
    return Results(study, [_read_run(run, store) for run in study.runs()])


def _read_run(run: StudyRun, store: StudyStore) -> RunResult:
    try:
        outcome = store.outcome(run.name) or {}
        lines = store.metrics(run.name)
        curves = curves_of(lines)
        finished = store.finished(run)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return RunResult(run, FAILED, f"its files are damaged ({type(error).__name__}: {error})")
    state = UNDER_WAY if lines else NOT_BEGUN
    if outcome and (finished or outcome["exit"] not in GOOD_EXITS):
        state = FINISHED if finished else FAILED
    batches = int(lines[-1]["batch"]) if lines else 0
    minutes = next((line["minutes"] for line in reversed(lines) if "minutes" in line), np.nan)
    return RunResult(
        run,
        state,
        str(outcome.get("message", "")),
        outcome.get("exit"),
        float(outcome.get("minutes", minutes)),
        int(outcome.get("batches", batches)),
        curves,
    )


def curves_of(lines: list[dict[str, float]]) -> dict[str, Curve]:
    """Every metric that a report shows as a curve, from a training's lines of metrics.jsonl."""
    points: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name in ALL_METRICS:
            if name in line:
                points.setdefault(name, []).append((line["batch"], line[name]))
    return {name: tuple(np.array(pairs, float).T) for name, pairs in points.items()}


def run_rows(results: Results) -> Iterator[dict[str, Any]]:
    """Rows of results.csv: one per training, its last figures and its verdicts by every quality metric."""
    for r in results.runs:
        row: dict[str, Any] = {"run": r.run.name} | r.run.cell.labels | {"seed": r.run.seed, "state": r.state}
        row |= {"verdict": r.verdict.word, "reason": r.verdict.reason}
        row |= {f"verdict_by_{name}": r.verdict_by(name).word for name in results.qualities}
        row |= {"exit": r.exit, "batches": r.batches, "minutes": round(r.minutes, 3)}
        yield row | {name: r.last.get(name) for name in results.recorded}


def correlation_rows(relations: Relations) -> Iterator[dict[str, Any]]:
    """Rows of correlations.csv: one per finished training, indicator, truth and kind of samples.

    r: Spearman's; z: Fisher's of it; null_z: mean z with the cell's other trainings; excess_z: the
    jackknife's pseudo-values; regret: percent by which the truth is worse where the indicator is best than at
    the training's best sample; regret_at_random: mean of that over all samples; does_not_count: why the
    indicator is left out of means.
    """
    for cell in relations.results.included:
        for indicator, truth, when in relations.combinations():
            if not indicator_applies(indicator, cell.loss_func):
                continue
            found = relations.of_cell(cell, indicator, truth, when)
            for r, *values in zip(cell.finished, *found, strict=True):
                if values[0] >= MIN_PAIRS[when]:
                    row = {"run": r.run.name} | r.run.cell.labels | {"seed": r.run.seed}
                    row |= {"indicator": indicator, "truth": truth, "when": when}
                    row |= dict(zip(CellCorrelation._fields, values, strict=True))
                    row |= dict(zip(REGRETS, losses_of_stopping(r, indicator, truth, when), strict=True))
                    yield row | {"does_not_count": does_not_count(cell, indicator)}


def write_csv(path: str, rows: Iterable[dict[str, Any]]) -> None:
    """Rows of one kind as CSV, whole or not at all; a file without content where there are none."""
    rows, text = list(rows), io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), restval="")
        writer.writeheader()
        writer.writerows(rows)
    files.write_whole(path, text.getvalue().encode())


def write_hparams(results: Results, study_dir: str) -> None:
    """Write STUDY_DIR/hparams: axes, seed and verdict as hyperparameters, last figures as metrics."""
    finished = [r for r in results.runs if r.state == FINISHED]
    if not finished:
        return
    folder = os.path.join(study_dir, HPARAMS_FOLDER)
    hparams = [{**r.run.cell.labels, "seed": r.run.seed, "verdict": r.verdict.word} for r in finished]
    experiment = hp.hparams_config_pb(
        hparams=[hp.HParam(name, hp.Discrete(sorted({h[name] for h in hparams}))) for name in hparams[0]],
        metrics=[hp.Metric(name, description=FIGURES[name].text) for name in results.recorded],
        time_created_secs=0.0,
    )
    _write_events(folder, 0, [experiment])
    for r, values in zip(finished, hparams, strict=True):
        start = hp.hparams_pb(values, trial_id=r.run.name, start_time_secs=0.0)
        scalars = [scalar_pb(name, value) for name, value in r.last.items()]
        _write_events(os.path.join(folder, r.run.name), r.batches, [start, *scalars])


def _write_events(folder: str, step: int, summaries: list[Summary]) -> None:
    """Write the event file of a folder: summaries of one step, as TensorBoard reads them."""
    files.make_folder(folder)
    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(Event(wall_time=0.0, file_version=EVENT_VERSION).SerializeToString())
    for summary in summaries:
        writer.write(Event(wall_time=0.0, step=step, summary=summary).SerializeToString())
    files.write_whole(os.path.join(folder, EVENT_FILE), content.getvalue())
