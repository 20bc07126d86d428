"""What is done at every batch, and for every line of figures, keeps no memory."""

import contextlib
import ctypes
import dataclasses
import itertools
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import tensorflow as tf
from helpers import ROOT
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG

import srez.training.record as record_module
import srez_train
from srez.options.config import Config
from srez.runs.figures import FIGURES
from srez.training.budget import Budget
from srez.training.record import Due, Record
from srez.training.replicas import Replicas
from srez_model import LOSSES

TIMES = 60_000  # TensorFlow keeps half a kB of every Python number that becomes a tensor: 30 MB
ALLOWED = 8.0


def resident() -> float:
    """MB of this process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def growth(work, times: int) -> float:
    """MB that `work`, given a number that is always new, adds in so many calls.

    Three times the least of three parts: what is kept grows in each of them, what earlier tests left free and
    is taken up again does not.
    """
    for i in range(200):
        work(10**6 + i)
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # what earlier tests have freed would be used first, and nothing seen to grow
    marks = [resident()]
    for part in range(3):
        for i in range(part * times // 3, (part + 1) * times // 3):
            work(2 * 10**6 + i)
        marks.append(resident())
    return 3 * min(after - before for before, after in itertools.pairwise(marks))


ALONE = """
import runpy, sys
import tensorflow as tf
here = runpy.run_path(sys.argv[1])
print(here["growth"](tf.constant, here["TIMES"]))
"""


def test_the_measure_finds_what_tensorflow_keeps():
    """In a process of its own: one that has run other tests has memory to give before it grows."""
    command = [sys.executable, "-c", ALONE, __file__]
    paths = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=paths, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 2 * ALLOWED


def test_a_batch_keeps_nothing():
    gan = types.SimpleNamespace(
        config=Config(learning_rate_half_life=1),  # a new rate every batch
        replicas=Replicas(),
        step=lambda label, feature, number, rate: {"number": number},
    )
    stream = iter(lambda: types.SimpleNamespace(label=None, feature=None), None)
    assert int(srez_train.train_batch(gan, stream, 7)["number"]) == 7
    assert growth(lambda i: srez_train.train_batch(gan, stream, i % 10**5), TIMES) < ALLOWED


def test_a_line_of_figures_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(record_module, "Quality", lambda *_: None)  # no sample is taken
    config = Config(run="train", summary_dir=str(tmp_path))
    run = types.SimpleNamespace(
        log=lambda figures: None, drop_metrics_after=lambda batch: None, make_again=lambda: []
    )
    dataset = types.SimpleNamespace(test_batch=lambda: None)
    record, budget = Record(config, run, dataset, types.SimpleNamespace(parts={})), Budget(config, 1, 0.0)
    due = Due(lines=[], sample=False, checkpoint=False, spent=False, interrupted=False)
    names = [*LOSSES, *(name for name, figure in FIGURES.items() if figure.group == "quality")][:12]

    def line(i: int) -> None:
        budget.advance(i)
        losses = {i: {name: i + k / 16 for k, name in enumerate(names)}}
        record.write(dataclasses.replace(due, lines=[i]), budget, losses)

    with contextlib.closing(record), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        record.begin(budget)
        assert growth(line, TIMES // len(names)) < ALLOWED
    (written,) = tmp_path.glob("events*")
    values = [
        (event.step, value.tag, np.ravel(tf.make_ndarray(value.tensor))[0])
        for event in tf.compat.v1.train.summary_iterator(str(written))
        for value in event.summary.value
        if value.tag != SESSION_START_INFO_TAG
    ]
    assert values[0][:2] == (10**6, "speed/minutes")
    assert values[1] == (10**6, "generator_loss", np.float32(10**6))
    assert values[-1][:2] == (2 * 10**6 + TIMES // 12 - 1, "speed/images_per_second")
