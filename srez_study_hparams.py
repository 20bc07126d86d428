"""A study's trainings for TensorBoard's HParams page: `tensorboard --logdir STUDY_DIR/hparams`.

One small file of events for each finished training and one for the experiment, made anew with every report.
What is used of TensorBoard is written in Python alone and does not bring TensorFlow along, as
tensorboard.plugins.hparams.api would.
"""

import io
import os

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hp
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

import srez_files
from srez_study_results import FINISHED, Result, Results

FOLDER = "hparams"
FILE = "events.out.tfevents.0.srez"  # one name, so that a new report replaces the old one's
VERSION = "brain.Event:2"


def write_hparams(results: Results, study_dir: str) -> None:
    """Write STUDY_DIR/hparams: axes, seed and verdict as hyperparameters, last figures as metrics."""
    finished = [r for r in results.results if r.state == FINISHED]
    if not finished:
        return
    folder = os.path.join(study_dir, FOLDER)
    told = [hparams(r) for r in finished]
    experiment = hp.hparams_config_pb(
        hparams=[hp.HParam(name, hp.Discrete(sorted({each[name] for each in told}))) for name in told[0]],
        metrics=[hp.Metric(name) for name in results.recorded],
        time_created_secs=0.0,
    )
    _write(folder, 0, [experiment])
    for r, each in zip(finished, told, strict=True):
        start = hp.hparams_pb(each, trial_id=r.run.name, start_time_secs=0.0)
        figures = [scalar_pb(name, value) for name, value in r.last.items()]
        _write(os.path.join(folder, r.run.name), r.batches, [start, *figures])


def hparams(r: Result) -> dict[str, str | int]:
    """What sets a training apart."""
    return {**r.run.cell.labels, "seed": r.run.seed, "verdict": r.verdict.word}


def _write(folder: str, step: int, summaries: list[Summary]) -> None:
    srez_files.make_folder(folder)
    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(Event(wall_time=0.0, file_version=VERSION).SerializeToString())
    for summary in summaries:
        writer.write(Event(wall_time=0.0, step=step, summary=summary).SerializeToString())
    srez_files.write_whole(os.path.join(folder, FILE), content.getvalue())
