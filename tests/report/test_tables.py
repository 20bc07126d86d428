"""Tables of a study for other programs: CSV files, TensorBoard's hyperparameters."""

import csv
from pathlib import Path

import numpy as np
import pytest
from fake_study import RUNS
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata

from srez.report.tables import EVENT_FILE


def test_results_csv(study):
    rows = {row["run"]: row for row in csv.DictReader((study / "results.csv").open())}
    assert list(rows) == RUNS
    row = rows["wgangp-resnet-s1"]
    assert (row["objective"], row["gen_architect"], row["seed"]) == ("wgan-gp", "resnet", "1")
    assert (row["verdict"], row["verdict_by_psnr"], row["exit"]) == ("converged", "converged", "0")
    assert [float(row[n]) for n in ("swd", "psnr", "batches", "minutes")] == [21, 23, 120, 12]
    # means of batches 95 and 100, 105 and 110, 115 and 120; the middle one
    assert float(row["generator_loss"]) == pytest.approx(2 - 1.075)
    assert rows["gan-resnet-s1"]["verdict"] == "diverged"
    assert rows["wgangp-deconv-s1"]["state"] == "under way"
    assert rows["gan-resnet-s1"]["swd"] == rows["wgangp-deconv-s1"]["swd"] == ""


def test_correlations_csv(study):
    rows = list(csv.DictReader((study / "correlations.csv").open()))
    assert not any("estimate" in r["indicator"] for r in rows if r["objective"] == "gan")
    row = next(
        r for r in rows
        if [r["run"], r["indicator"], r["truth"]] == ["wgangp-resnet-s0", "generator_loss", "psnr"]
    )  # fmt: skip
    # 12 samples; the loss falls all the way, quality rises to the sixth and then stays (ranks 9 each)
    assert (row["when"], row["pairs"]) == ("samples", "12")
    ranks = np.array([1, 2, 3, 4, 5, *[9] * 7])
    assert float(row["r"]) == pytest.approx(np.corrcoef(np.arange(12), ranks)[0, 1])
    assert np.tanh(float(row["z"])) == np.tanh(float(row["null_z"])) == pytest.approx(float(row["r"]))
    assert row["excess_z"] == "nan"  # of two seeds


def test_tensorboard_reads_the_hyperparameters(study):
    def events(folder: Path) -> dict:
        loaded = EventFileLoader(str(folder / EVENT_FILE)).Load()
        return {value.tag: value for event in loaded for value in event.summary.value}

    found = events(study / "hparams" / "wgangp-resnet-s1")
    content = found[metadata.SESSION_START_INFO_TAG].metadata.plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    told = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    assert told == {"objective": "wgan-gp", "gen_architect": "resnet", "seed": 1, "verdict": "converged"}
    assert found["swd"].tensor.float_val == [21]
    content = events(study / "hparams")[metadata.EXPERIMENT_TAG].metadata.plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert {"swd", "psnr", "generator_loss"} <= {info.name.tag for info in experiment.metric_infos}
    (psnr,) = (info for info in experiment.metric_infos if info.name.tag == "psnr")
    assert psnr.description.startswith("PSNR in dB, higher is better")
    assert not (study / "hparams" / "wgangp-deconv-s1").exists()  # not finished
