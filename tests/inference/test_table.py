"""The table of an evaluation: means with their uncertainty, every row on the screen."""

import csv
import json

import numpy as np
import pytest

from srez.inference.table import Row, lines, with_intervals, write
from srez.metrics.pictures import EVAL_METRICS


def test_intervals():
    values = np.random.default_rng(0).normal(5, 2, (400, 1))
    ((mean, low, high),) = with_intervals(values)
    assert mean == pytest.approx(values.mean())
    wide = 1.96 * values.std() / 20
    assert mean - low == pytest.approx(wide, rel=0.1)
    assert high - mean == pytest.approx(wide, rel=0.1)
    assert with_intervals(values) == [(mean, low, high)]
    assert with_intervals(np.full((30, 1), 0.25)) == [(0.25, 0.25, 0.25)]
    ((mean, low, high),) = with_intervals(np.array([[3.0], [5.0]]))
    assert (mean, np.isnan(low), np.isnan(high)) == (4.0, True, True)


def test_intervals_hold_the_truth_in_about_19_of_20():
    random = np.random.default_rng(1)
    found = with_intervals(random.normal(0, 1, (60, 200)))
    assert 0.88 < np.mean([low <= 0 <= high for _, low, high in found]) < 0.99


def test_lines_show_every_row():
    figures = dict.fromkeys(EVAL_METRICS, (1.0, 0.5, 1.5))
    distances = {"alexnet_frechet": 7.25, "alexnet_recall": 0.5, "swd_64": 1.0, "swd": 2.0}
    rows = [
        Row("", "bicubic", figures, distances),
        Row("srez-7", "generator", figures, distances),
        Row("srez-9", "generator, 2 rounds", figures, distances),
        Row("", "others", {}, {"alexnet_frechet": 3.0, "swd_64": 5.0, "swd": 6.0}),
        Row("", "true faces", {"lone": (14.25, np.nan, np.nan)}),
    ]
    first, second, third, alexnet, swd = (
        part.splitlines() for part in "\n".join(lines(rows, 240)).split("\n\n")
    )
    assert first[:2] == [
        "                                           LPIPS ↓          PSNR dB ↑                SSIM ↑",
        "bicubic                       1.000 [0.500, 1.500]  1.00 [0.50, 1.50]  1.000 [0.500, 1.500]",
    ]
    assert second[0].endswith("  consistency dB ↑     lone pixels             L1 x 1000 ↓")
    assert second[-1].split() == ["true", "faces", "14.2"]
    assert second[2].endswith("  1.00 [0.50, 1.50]  1.0 [0.5, 1.5]  1000.0 [500.0, 1500.0]")
    assert [line.split("  ")[0] for line in first[1:]] == [
        "bicubic",
        "generator (srez-7)",
        "generator, 2 rounds (srez-9)",
    ]
    assert third == ["Distances of sets: 240 pictures to as many faces"]
    assert [alexnet[0].split(), alexnet[1].split()] == [
        ["in", "features", "of", "AlexNet", "Frechet", "↓", "recall", "↑"],
        ["bicubic", "7.25", "0.50"],
    ]
    assert alexnet[-1].split() == ["others", "3.00"]
    assert swd[-1].split() == ["others", "5.00", "6.00"]


@pytest.mark.parametrize("checkpoints", [["generator.float16.weights.h5"], ["srez-90000", "srez-100000"]])
def test_100_columns_hold_a_usual_table(checkpoints):
    values = {"psnr": 25.59, "ssim": 0.826, "consistency": 50.22, "l1": 0.0312, "mse": 0.00312, "lone": 12.3}
    values["lpips"] = 0.329
    figures = {name: (value, value, value) for name, value in values.items()}
    distances = dict.fromkeys(("swd_64", "swd_32", "swd_16", "swd"), 100.25)
    distances |= {f"alexnet_{name}": 270.123 for name in ("frechet", "kernel")}
    distances |= dict.fromkeys((f"alexnet_{n}" for n in ("precision", "recall", "density", "coverage")), 0.5)
    rows = [Row("", "nearest", figures | {"consistency": (100.0, 100.0, 100.0)}, distances)]
    rows += [Row(checkpoint, "generator, 2 rounds", figures, distances) for checkpoint in checkpoints]
    assert 85 < max(map(len, lines(rows, 2048))) + 10 * (len(checkpoints) == 1) <= 100


def test_two_pictures_have_no_intervals(tmp_path, capsys):
    figures = dict.fromkeys(EVAL_METRICS, (0.5, np.nan, np.nan))
    rows = [Row("", "bicubic", figures, {"swd": 1.0})]
    assert next(line for line in lines(rows, 2) if "bicubic" in line).split() == [
        "bicubic",
        "0.500",
        "0.50",
        "0.500",
    ]
    write(rows, {}, str(tmp_path))
    (result,) = json.loads((tmp_path / "eval.json").read_text())["results"]
    assert result["psnr"] == {"mean": 0.5, "low": None, "high": None}
    (row,) = csv.DictReader((tmp_path / "eval.csv").open())
    assert (row["psnr"], row["psnr_low"]) == ("0.5", "")
