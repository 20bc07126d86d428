"""A training that begins with a trained generator: --start_from."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from srez.data.dataset import open_dataset
from srez.errors import UserError
from srez.inference.network import load
from srez.metrics.pictures import measure
from srez.options.config import Config
from srez.runs.run import Run, read_metrics
from srez.runs.trained import start_weights
from srez.training import record
from srez.training.checkpoints import Checkpoints
from srez_model import Gan

SAME = {"run": "train", "width": 0.125, "batch_size": 4, "test_vectors": 6, "train_time": 0}


def first_figures(folder: Path) -> dict[str, float]:
    """What is in metrics.jsonl of batch 0."""
    return read_metrics(str(folder / "checkpoint" / "metrics.jsonl"))[0]


def test_the_generator_and_its_average_are_the_same(trained):
    config = Config(start_from=trained, gene_ema=0.9, random_seed=5, **SAME)
    gan, wanted = Gan(config), load(trained).generator.get_weights()
    record.load_start_weights((gan.generator, gan.average), config)
    for network in (gan.generator, gan.average):
        for mine, its in zip(network.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(mine, its)


def test_of_a_training_with_gene_ema_it_is_the_average(tmp_path):
    config = Config(gene_ema=0.9, checkpoint_dir=str(tmp_path / "checkpoint"), **SAME)
    gan = Gan(config)
    (tmp_path / "checkpoint").mkdir()
    Run(config).describe("", 60)
    for network, value in ((gan.generator, 1.0), (gan.average, 2.0)):
        for weight in network.weights:
            weight.assign(tf.fill(weight.shape, value))
    Checkpoints(config.checkpoint_dir, gan.parts).save(1, 0.0)
    new = Gan(Config(start_from=config.checkpoint_dir, **SAME))
    assert record.load_start_weights([new.generator], new.config) == f"{config.checkpoint_dir}/srez-1"
    for weight in new.generator.get_weights():
        np.testing.assert_array_equal(weight, np.full_like(weight, 2.0))


@pytest.mark.slow
def test_it_begins_with_its_pictures_and_needs_it_no_more(srez, faces, trained, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(trained, source)
    options = SAME | {"dataset": faces, "start_from": str(source), "cwd": tmp_path}
    done = srez(max_batches=1, **options)
    assert done.returncode == 0, done.stderr
    network, test = (
        load(trained),
        open_dataset(Config(dataset=faces, test_vectors=6)).test_batch(),
    )
    theirs = measure(network.upscale(test.feature.numpy(), 0), test.label, test.feature)
    begun = first_figures(tmp_path)
    assert begun["batch"] == 0
    assert begun["psnr"] == pytest.approx(theirs["psnr"], abs=1e-3)
    assert f"beginning with the generator of '{source}/srez-7'" in done.stdout
    shutil.rmtree(source)
    again = srez(max_batches=2, **options)
    assert "continuing after batch 1" in again.stdout
    assert "beginning with" not in again.stdout
    other = srez(max_batches=3, **(options | {"start_from": "scratch"}))
    assert (other.returncode, "start_from was" in other.stderr) == (2, True)


@pytest.mark.slow
def test_pretrained_is_what_comes_with_srez(srez, faces, tmp_path):
    options = SAME | {"width": 1.0, "dataset": faces, "start_from": "pretrained", "back_projection": 2}
    done = srez(max_batches=1, cwd=tmp_path, **options)
    assert done.returncode == 0, done.stderr
    assert first_figures(tmp_path)["psnr"] > 25.5  # bicubic 24.5, an untrained generator about 12


def test_of_what_comes_along_pretrained_is_sharp(trained):
    path, part = start_weights(Config(start_from="sharp"))
    assert path.endswith("srez/pretrained/sharp/generator.float16.weights.h5")
    assert start_weights(Config(start_from="pretrained")) == (path, part)
    with pytest.raises(UserError, match=r"'sharpe' has no config.json\): .* comes with srez \(.*sharp.*\)$"):
        start_weights(Config(start_from="sharpe"))


def test_a_folder_of_that_name_is_another(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sharp").symlink_to(trained)
    assert start_weights(Config(start_from="./sharp", width=0.125)) == ("./sharp/srez-7", "generator")
    folders = {"checkpoint_dir": "sharp", "train_dir": "train", "summary_dir": "summary"}
    with pytest.raises(UserError, match=r"has --width=1\.0, not 0\.125"):  # not: is also --checkpoint_dir
        Run(Config(start_from="sharp", width=0.125, resume=False, run="train", **folders)).open()


def refusal(srez, folder: Path, **options) -> str:
    """The one line with which a training that cannot begin ends."""
    done = srez(cwd=folder, **(SAME | {"train_time": 1} | options))
    assert (done.returncode, done.stderr.count("\n"), "Traceback" in done.stderr) == (2, 1, False)
    return done.stderr


def test_another_network_is_refused_before_anything_is_made(srez, faces, trained, tmp_path):
    assert refusal(srez, tmp_path, dataset=faces, start_from=trained, width=0.25) == (
        f"srez: --start_from={trained}: its generator has --width=0.125, not 0.25: give the same\n"
    )
    other = refusal(srez, tmp_path, dataset=faces, start_from=trained, scale_factor=2)
    assert "its generator enlarges 4 times, not 2" in other
    assert list(tmp_path.iterdir()) == []


def test_noise_has_no_scale_factor(trained, tmp_path):
    content = json.loads((Path(trained) / "config.json").read_text())
    content["options"] |= {"input": "noise", "scale_factor": 8}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "generator.weights.h5").touch()
    same = Config(start_from=str(tmp_path), width=0.125, input="noise")
    assert start_weights(same) == (str(tmp_path / "generator.weights.h5"), "generator")
    with pytest.raises(UserError, match="enlarges 16 times, not 8"):
        start_weights(dataclasses.replace(same, noise_dimension=8))


def test_what_holds_no_weights_is_refused(srez, faces, trained, tmp_path):
    for name, content in (("empty", (Path(trained) / "config.json").read_text()), ("damaged", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
    for folder, words in (
        ("empty", "has no checkpoint"),
        ("gone", "'gone' has no config.json"),
        ("damaged", "is damaged"),
    ):
        line = refusal(srez, tmp_path, dataset=faces, start_from=folder)
        assert line.startswith(f"srez: --start_from={folder} cannot be used (")
        assert words in line
        assert "--noresume" not in line


def test_its_own_folder_is_refused_and_left_alone(srez, faces, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "checkpoint")
    before = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    line = refusal(srez, tmp_path, dataset=faces, start_from="./checkpoint", resume=False)
    assert "is also --checkpoint_dir" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == before


def test_a_study_is_refused_before_it_begins(srez, faces, tmp_path):
    done = srez(run="study", study="smoke", dataset=faces, start_from="pretrained", cwd=tmp_path)
    assert (done.returncode, "its generator has --width=1.0" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []
