"""What TensorBoard is told of a training."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from srez.images.picture import decode
from srez.options.config import Config
from srez.report.results import ALL_METRICS
from srez.runs.figures import FIGURES
from srez.training.board import Board

COLUMNS = [np.full((10, 64, 64, 3), level, np.float32) for level in (0.2, 0.4, 1.2, 0.8)]


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> EventAccumulator:
    """Two lines of figures and a sample."""
    config = Config(loss_func="wgan-gp", width=0.5, summary_dir=str(tmp_path_factory.mktemp("summary")))
    with contextlib.closing(Board(config)) as board:
        for batch in (10, 20):
            board.figures({"batch": batch, "generator_loss": batch / 8, "psnr": batch + 0.5})
        board.faces(20, COLUMNS)
    return EventAccumulator(config.summary_dir).Reload()


def test_figures_have_groups_and_descriptions(events):
    for name, tag in (("generator_loss", "generator_loss"), ("psnr", "quality/psnr")):
        assert events.SummaryMetadata(tag).summary_description == FIGURES[name].text
    found = [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors("quality/psnr")]
    assert found == [(10, 10.5), (20, 20.5)]


def test_a_description_is_written_once(events):
    (file,) = Path(events.path).glob("events*")
    assert file.read_bytes().count(FIGURES["psnr"].text.encode()) == 1


def test_input_bicubic_and_truth_stand_beside_the_output(events):
    ((_, _, *outputs),) = (e.tensor_proto.string_val for e in events.Tensors("generator_output"))
    assert len(outputs) == 10
    assert (decode(outputs[9]) == 255).all()
    ((_, _, picture),) = (e.tensor_proto.string_val for e in events.Tensors("quality/faces"))
    faces = decode(picture)
    assert faces.shape == (28 + 4 * 132 - 4, 4 * 132 - 4, 3)
    for column, level in enumerate((51, 102, 255, 204)):
        assert (faces[28:156, 132 * column : 132 * column + 128] == level).all()
    assert "input, bicubic, output, truth" in events.SummaryMetadata("quality/faces").summary_description


def test_options_are_hyperparameters(events):
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    told = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    assert (told["loss_func"], told["width"], told["batch_size"]) == ("wgan-gp", 0.5, 16)
    assert "train_dir" not in told


def test_whatever_a_report_reads_has_a_description():
    assert set(ALL_METRICS) <= set(FIGURES)
    assert {figure.group for figure in FIGURES.values()} == {"", "loss", "quality", "critic", "speed"}
