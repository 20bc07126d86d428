"""A training that begins with a trained generator: --start_from."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import srez_network
from srez_config import Config
from srez_input import open_dataset
from srez_metrics import measure
from srez_run import read_metrics
from srez_step import Trainer

SAME = {"run": "train", "width": 0.125, "batch_size": 4, "test_vectors": 6, "train_time": 0}


def first_figures(folder: Path) -> dict[str, float]:
    """What is in metrics.jsonl of batch 0."""
    return read_metrics(str(folder / "checkpoint" / "metrics.jsonl"))[0]


def test_the_generator_and_its_average_are_the_same(trained):
    config = Config(start_from=trained, gene_ema=0.9, random_seed=5, **SAME)
    trainer, wanted = Trainer(config), srez_network.load(trained).generator.get_weights()
    srez_network.begin((trainer.generator, trainer.average), config)
    for network in (trainer.generator, trainer.average):
        for mine, its in zip(network.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(mine, its)


def test_it_begins_with_its_pictures_and_needs_it_no_more(srez, faces, trained, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(trained, source)
    options = SAME | {"dataset": faces, "start_from": str(source), "cwd": tmp_path}
    done = srez(max_batches=1, **options)
    assert done.returncode == 0, done.stderr
    network, test = (
        srez_network.load(trained),
        open_dataset(Config(dataset=faces, test_vectors=6)).test_batch(),
    )
    theirs = measure(network.upscale(test.feature.numpy(), 0), test.label, test.feature)
    begun = first_figures(tmp_path)
    assert begun["batch"] == 0
    assert begun["psnr"] == pytest.approx(theirs["psnr"], abs=1e-3)
    shutil.rmtree(source)
    assert "continuing after batch 1" in srez(max_batches=2, **options).stdout


def test_pretrained_is_what_comes_with_srez(srez, faces, tmp_path):
    options = SAME | {"width": 1.0, "dataset": faces, "start_from": "pretrained", "back_projection": 2}
    done = srez(max_batches=1, cwd=tmp_path, **options)
    assert done.returncode == 0, done.stderr
    assert first_figures(tmp_path)["psnr"] > 25.5  # bicubic 24.5, an untrained generator about 12


def test_another_network_is_refused_without_tensorflow(srez, faces, trained, tmp_path):
    done = srez(
        cwd=tmp_path, **(SAME | {"train_time": 1, "dataset": faces, "start_from": trained, "width": 0.25})
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"srez: --start_from={trained}: its generator has --width=0.125, not 0.25: give the same\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_weights_is_refused(srez, faces, trained, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text((Path(trained) / "config.json").read_text())
    for folder, words in (("empty", "no checkpoint"), ("gone", "has no config.json")):
        done = srez(cwd=tmp_path, **(SAME | {"train_time": 1, "dataset": faces, "start_from": folder}))
        assert (done.returncode, words in done.stderr, done.stderr.count("\n")) == (2, True, 1)
