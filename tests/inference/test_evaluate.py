"""Evaluation: the right pictures, the right figures, the same whatever goes through at once."""

import csv
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from helpers import jpeg
from keras.src.legacy.saving import legacy_h5_format
from PIL import Image

from srez.data.dataset import open_dataset
from srez.errors import UserError
from srez.inference import evaluate as evaluation
from srez.inference.evaluate import Faces, Measure, other_faces
from srez.inference.network import Network, load
from srez.metrics import sets
from srez.metrics.pictures import EVAL_METRICS
from srez.options.config import Config
from srez.runs.trained import load_config


def evaluate(trained: str, output: Path, **options) -> int:
    usual = {"run": "eval", "back_projection": 2, "checkpoint_dir": trained, "output": str(output)}
    return evaluation.evaluate(Config(**usual | options))


def results(folder: Path) -> dict[tuple[str, str], dict]:
    content = json.loads((folder / "eval.json").read_text())
    return {(row["checkpoint"], row["method"]): row for row in content["results"]}


@pytest.fixture(scope="module")
def network(trained) -> Network:
    return load(trained)


@pytest.fixture(scope="module")
def held_out(trained) -> Faces:
    run = load_config(trained)
    return evaluation.held_out(open_dataset(run), run)


@pytest.fixture(scope="module")
def whole(srez, trained, tmp_path_factory) -> Path:
    """An evaluation of every checkpoint as a user runs it."""
    root = tmp_path_factory.mktemp("eval")
    done = srez("--run=eval", "--all_checkpoints", checkpoint_dir=trained, output="figures", cwd=root)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (root / "screen.txt").write_text(done.stdout)
    return root


# ---- the command -----------------------------------------------------------------------------------


def test_every_method_and_checkpoint_is_there(whole):
    generators = [(f"srez-{n}", m) for n in (3, 7) for m in ("generator", "generator, 2 rounds")]
    interpolations = [("", m) for m in ("nearest", "bicubic", "lanczos")]
    assert list(results(whole / "figures")) == [*interpolations, *generators, ("", "other real faces")]
    screen = (whole / "screen.txt").read_text()
    for text in (
        "6 held-out faces",
        "LPIPS",
        "Distances of sets: 6 pictures to as many faces",
        "\ntrue faces  ",
        "\nrounds: of back projection, ",
        "bicubic",
        "generator, 2 rounds (srez-7)",
        "no distances in AlexNet's features: they need 100 faces, here are 6",
        "no distances in Keras' InceptionV3's features: they need 2,000 faces, here are 6",
    ):
        assert text in screen


def test_figures_against_the_picture_files(whole, faces):
    """Nearest, from the last six files of the dataset by hand."""
    errors, absolute = [], []
    for path in sorted(Path(faces).iterdir())[-6:]:
        crop = np.asarray(Image.open(path))[60:188, 25:153] / 255
        label = crop.reshape(64, 2, 64, 2, 3).mean((1, 3))
        output = label.reshape(16, 4, 16, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)
        errors.append(np.square(output - label).mean())
        absolute.append(np.abs(output - label).mean())
    row = results(whole / "figures")["", "nearest"]
    assert row["mse"]["mean"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert row["l1"]["mean"] == pytest.approx(np.mean(absolute), rel=1e-4)
    assert row["psnr"]["mean"] == pytest.approx(np.mean(-10 * np.log10(errors)), rel=1e-4)
    assert row["consistency"]["mean"] == pytest.approx(100, abs=1e-3)
    assert row["lone"]["mean"] == 0  # pixels are blocks of 4x4


def test_lone_pixels_of_the_true_faces():
    label = np.full((3, 64, 64, 3), 0.5, np.float32)
    label[2, 30, 30] = label[2, 40, 9] = 0.7
    faces = Faces(["a", "b", "c"], label, label[:, ::4, ::4], "faces")
    for at_once in (2, 32):
        assert Measure(faces, None, at_once).lone_pixels_of_labels() == pytest.approx(2 / 3)


def test_back_projection_lifts_consistency(whole):
    found = results(whole / "figures")
    plain, projected = found["srez-7", "generator"], found["srez-7", "generator, 2 rounds"]
    assert projected["consistency"]["low"] > plain["consistency"]["high"]
    assert found["srez-3", "generator"]["psnr"] != plain["psnr"]


def test_intervals_and_set_distances(whole):
    for row in results(whole / "figures").values():
        for value in row.values():
            if isinstance(value, dict):
                assert value["low"] <= value["mean"] <= value["high"]
        assert row["swd"] == pytest.approx(np.mean([row[f"swd_{side}"] for side in (64, 32, 16)]))
        assert not any(name.startswith(("alexnet", "inceptionv3")) for name in row)  # of six faces
    assert "psnr" not in results(whole / "figures")["", "other real faces"]


def test_csv_says_the_same(whole):
    found = results(whole / "figures")
    with open(whole / "figures" / "eval.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found)
    for row in rows:
        expected = found[row["checkpoint"], row["method"]]
        assert float(row["swd_64"]) == expected["swd_64"]
        if "ssim" in expected:
            assert [float(row[f"ssim{end}"]) for end in ("", "_low", "_high")] == list(
                expected["ssim"].values()
            )


def test_protocol_is_stated(whole):
    content = json.loads((whole / "figures" / "eval.json").read_text())
    text = json.dumps(content["protocol"])
    for part in ("RGB", "border", "sigma 1.5", "lanczos3", "128 patches", "bootstrap", "clipped"):
        assert part in text
    assert (content["count"], content["skipped"], content["rounds_in_training"]) == (6, [], 0)


def test_picture_of_best_median_and_worst(whole, network, held_out):
    picture = np.asarray(Image.open(whole / "figures" / "eval.png"))
    # three interpolations, two generators, the truth, 256 pixels each and 8 apart, between two lines of text
    assert picture.shape == (28 + 3 * 264 - 8 + 28, 6 * 264 - 8, 3)
    assert all((picture[:28, 264 * i : 264 * i + 256] < 128).any() for i in range(6))
    assert (picture[-28:] < 128).any()
    values = EVAL_METRICS["psnr"](
        tf.clip_by_value(network.infer(held_out.feature, 2), 0, 1), tf.constant(held_out.label), None
    )
    order = np.argsort(-values.numpy())
    for row, index in enumerate((order[0], order[2], order[5])):
        truth = picture[28 + 264 * row :, -256:][:256:4, ::4] / 255
        np.testing.assert_allclose(truth, held_out.label[index], atol=0.51 / 255)


# ---- parts -----------------------------------------------------------------------------------------


def test_figures_do_not_depend_on_what_goes_through_at_once(network, held_out):
    found = []
    for at_once in (1, 4, 32):
        measure = Measure(held_out, None, at_once)
        row = measure.row("", "generator", lambda feature: network.infer(feature, 2))
        found.append([*np.ravel(list(row.figures.values())), *row.distances.values()])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-4)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-4)


def test_batch_size_changes_nothing(trained, tmp_path):
    for size in (1, 5):
        assert evaluate(trained, tmp_path / str(size), batch_size=size) == 0
    assert results(tmp_path / "1") == results(tmp_path / "5")


def test_inception_measures_are_of_its_features_and_of_enough_faces(held_out, monkeypatch):
    measure = Measure(held_out, lambda pictures: pictures.mean((1, 2)).astype(np.float64))
    assert "inceptionv3_frechet" not in measure.distances(held_out.label)
    monkeypatch.setattr(evaluation, "MIN_FOR_INCEPTION", 6)
    same = measure.distances(held_out.label)
    assert same["inceptionv3_frechet"] == pytest.approx(0, abs=1e-9)
    moved = measure.distances(held_out.label + 0.5)
    assert moved["inceptionv3_frechet"] == pytest.approx(3 * 0.5**2, rel=1e-4)  # three channels moved by 0.5
    assert moved["inceptionv3_kernel"] > same["inceptionv3_kernel"]
    assert "inceptionv3_frechet" not in Measure(held_out, None).distances(held_out.label)


def test_alexnet_measures_of_faces_beside_themselves_and_their_enlargement(held_out, monkeypatch):
    monkeypatch.setattr(evaluation, "MIN_FOR_ALEXNET", 6)
    measure = Measure(held_out, None)
    same = measure.distances(held_out.label)
    assert same["alexnet_frechet"] == pytest.approx(0, abs=1e-4)
    assert [same[f"alexnet_{name}"] for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    nearest = measure.distances(held_out.feature.repeat(4, axis=1).repeat(4, axis=2))
    assert nearest["alexnet_frechet"] > 50
    assert nearest["alexnet_kernel"] > 1
    assert nearest["alexnet_density"] < same["alexnet_density"]


def test_other_faces_are_training_faces(trained):
    run = load_config(trained)
    dataset = open_dataset(run)
    found = other_faces(dataset, run, 4)
    assert found.shape == (4, 64, 64, 3)
    held = dataset.test_batch().label.numpy()
    assert min(np.abs(a - b).mean() for a in found for b in held) > 0.01


def test_trained_rounds_are_shown_too(network, monkeypatch):
    names = list(evaluation.generators(network, Config(back_projection=5)))
    assert names == ["generator", "generator, 5 rounds"]


def test_images_of_the_user(trained, tmp_path, capsys):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg(9))
    Image.open(folder / "a.jpg").convert("CMYK").resize((356, 436)).save(folder / "b.tif")
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    (folder / "broken.jpg").write_bytes(jpeg(9)[:1000])
    (folder / "film.MOV").write_bytes(b"")
    assert evaluate(trained, tmp_path / "out", images=(str(folder), "missing.png")) == 2
    content = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert content["count"] == 2
    assert {Path(p).name for p in content["skipped"]} == {"one.png", "broken.jpg", "missing.png"}
    captured = capsys.readouterr()
    assert captured.err.count("srez: skipped") == 3
    assert "64 are needed" in captured.err
    assert f"{folder}: 1 other file passed over (1 .mov)\n" in captured.out


def test_portraits_without_the_dataset_have_no_floor(trained, tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(jpeg(9))
    options = {"images": (str(tmp_path / "a.jpg"),), "dataset": str(tmp_path / "gone")}
    assert evaluate(trained, tmp_path / "out", **options) == 0
    assert "no floor" in capsys.readouterr().out
    assert ("", "other real faces") not in results(tmp_path / "out")
    with pytest.raises(UserError, match="gone"):
        evaluate(trained, tmp_path / "out", dataset=str(tmp_path / "gone"))


def test_another_dataset_is_told(trained, whole, tmp_path, capsys):
    told = "' is not what the network was trained on, or has changed since"
    assert evaluate(trained, tmp_path / "out", dataset="synthetic") == 0
    assert f"'synthetic{told}" in capsys.readouterr().out
    assert told not in (whole / "screen.txt").read_text()


def test_networks_that_cannot_be_evaluated(srez, trained, tmp_path):
    content = json.loads((Path(trained) / "config.json").read_text())
    content["options"]["input"] = "noise"
    (tmp_path / "config.json").write_text(json.dumps(content))
    for file in Path(trained).glob("srez-*"):
        shutil.copy(file, tmp_path)
    done = srez("--run=eval", checkpoint_dir=tmp_path)
    assert done.returncode == 2
    assert "--input=noise" in done.stderr
    for file in tmp_path.glob("srez-*"):
        file.unlink()
    with pytest.raises(UserError, match="none"):
        evaluate(str(tmp_path), tmp_path / "out", all_checkpoints=True)


# ---- InceptionV3 -----------------------------------------------------------------------------------


def test_inception_without_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert sets.inception("cache") is None
    with pytest.raises(UserError, match="--inception_weights=nothing"):
        sets.inception("nothing.h5")


@pytest.mark.slow
def test_inception_from_cache_and_file(monkeypatch, tmp_path):
    network = sets.keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    path = tmp_path / "models" / sets.WEIGHTS_FILE
    path.parent.mkdir()
    with h5py.File(path, "w") as file:  # published weights are in the format of Keras 2
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    pictures = np.random.default_rng(0).random((3, 64, 64, 3), np.float32)
    large = tf.image.resize(pictures, [299, 299])
    expected = network(2 * large - 1)
    for weights in ("cache", str(path)):
        np.testing.assert_allclose(sets.inception(weights)(pictures), expected, atol=1e-4)
