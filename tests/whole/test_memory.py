"""What is done at every batch, and for every line of figures, keeps no memory."""

import types
from pathlib import Path

import numpy as np
import tensorflow as tf

import srez_train
from srez.options.config import Config
from srez.training.record import Report
from srez.training.replicas import Replicas

TIMES = 60_000  # TensorFlow keeps half a kB of every Python number that becomes a tensor: 30 MB
ALLOWED = 8.0


def resident() -> float:
    """MB of this process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def growth(work, times: int) -> float:
    """MB that `work`, given a number that is always new, adds in so many calls."""
    for i in range(200):
        work(10**6 + i)
    before = resident()
    for i in range(times):
        work(2 * 10**6 + i)
    return resident() - before


def test_the_measure_finds_what_tensorflow_keeps():
    assert growth(lambda i: tf.constant(i), TIMES) > 2 * ALLOWED


def test_a_batch_keeps_nothing():
    trainer = types.SimpleNamespace(
        config=Config(learning_rate_half_life=1),  # a new rate every batch
        replicas=Replicas(),
        step=lambda label, feature, number, rate: {"number": number},
    )
    stream = iter(lambda: types.SimpleNamespace(label=None, feature=None), None)
    assert int(srez_train.train_batch(trainer, stream, 7)["number"]) == 7
    assert growth(lambda i: srez_train.train_batch(trainer, stream, i % 10**5), TIMES) < ALLOWED


def test_a_line_of_figures_keeps_nothing(tmp_path):
    report = Report.__new__(Report)
    report.config = types.SimpleNamespace(summary_dir=str(tmp_path))
    report.run = types.SimpleNamespace(log=lambda figures: None)
    report.reopen()
    names = [f"figure_{k}" for k in range(12)]

    def line(i: int) -> None:
        report.figures({"batch": i} | {name: i + k / 16 for k, name in enumerate(names)}, 0.5, None)

    assert growth(line, TIMES // len(names)) < ALLOWED
    report.writer.close()
    (written,) = tmp_path.glob("events*")
    values = [
        (event.step, value.tag, np.ravel(tf.make_ndarray(value.tensor))[0])
        for event in tf.compat.v1.train.summary_iterator(str(written))
        for value in event.summary.value
    ]
    assert values[0] == (10**6, "figure_0", np.float32(10**6))
    assert values[-1][:2] == (2 * 10**6 + TIMES // 12 - 1, "figure_11")
