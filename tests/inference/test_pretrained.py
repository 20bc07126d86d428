"""The generators that come with srez: small, as the card says, used by name and where there is no other."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT
from PIL import Image

import srez_main
from srez.data.drawn.faces import draw
from srez.data.samples import Batch
from srez.errors import UserError
from srez.inference import serve
from srez.inference.network import load
from srez.metrics.pictures import lone_pixels, measure
from srez.networks.build import build_generator, shrink
from srez.options import flags
from srez.options.config import Config, fields
from srez.runs import trained as trained_module
from srez.runs.trained import PRETRAINED_FOLDER, WEIGHTS, load_config, or_pretrained, pretrained_names

FOLDER = Path(PRETRAINED_FOLDER)
SAID = "holds nothing: taking the generator that comes with srez, sharp"
RECIPES = {"sharp": "hinge"}  # presets of another name than the generator that was trained with them
each = pytest.mark.parametrize("name", pretrained_names())
OF_THE_RECIPE = ("data", "networks", "objective", "optimizer")  # groups of options


@pytest.fixture
def portrait(tmp_path) -> Path:
    """An empty folder but for a drawn face."""
    Image.fromarray(draw(1)).save(tmp_path / "me.png")
    return tmp_path


@pytest.fixture
def two(trained, tmp_path, monkeypatch) -> Path:
    """A folder in place of the package's: `sharp` from there, and a network of width 0.125 as `faithful`."""
    folder = tmp_path / "pretrained"
    folder.mkdir()
    (folder / "README.md").touch()
    for name, target in (("sharp", FOLDER / "sharp"), ("faithful", trained)):
        (folder / name).symlink_to(target)
    for module in (trained_module, serve):
        monkeypatch.setattr(module, "PRETRAINED_FOLDER", str(folder))
    return folder


@each
def test_its_files_are_small_and_in_half_precision(name):
    assert sum(file.stat().st_size for file in (FOLDER / name).iterdir()) < 10e6
    (weights,) = (FOLDER / name).glob("*.weights.h5")
    kernels = []
    with h5py.File(weights) as file:
        file.visititems(lambda _, item: kernels.append(item) if getattr(item, "ndim", 0) == 4 else None)
        assert len(kernels) > 10
        assert {str(kernel.dtype) for kernel in kernels} == {"float16"}


@each
def test_the_recipe_is_what_it_was_trained_with(name):
    recipe = flags.read_preset(RECIPES.get(name, name)) | {"test_vectors": 240}
    trained = load_config(str(FOLDER / name))
    for field in fields():
        if field.metadata["group"] in OF_THE_RECIPE:
            assert getattr(trained, field.name) == recipe.get(field.name, field.default), field.name


def test_nothing_of_the_machine_is_in_it():
    for file in filter(Path.is_file, FOLDER.rglob("*")):
        for word in (b"/home", b"/work", b"/tmp", b"/root"):
            assert word not in file.read_bytes(), (file, word)


@each
def test_drawn_faces_become_sharper(name):
    """It never saw one. Bicubic: 24.5 dB, SSIM 0.721, consistency 36 dB."""
    pictures = np.stack([draw(i) for i in range(1, 33)])[:, 45:173, 25:153]
    label = shrink(pictures / np.float32(255), 2)
    feature = shrink(label, 4)
    bicubic = measure(tf.image.resize(feature, (64, 64), "bicubic"), label, feature)
    assert bicubic["psnr"] == pytest.approx(24.5, abs=0.1)
    ours = measure(load(checkpoint=name).upscale(feature.numpy()), label, feature)
    assert ours["psnr"] > bicubic["psnr"] + 1.5
    assert ours["ssim"] > bicubic["ssim"] + 0.06
    assert ours["consistency"] > 50


def test_upscale_takes_it_where_there_is_no_other_and_says_so(srez, portrait):
    done = srez("--run=upscale", "--face", "--aligned", "--compare", "me.png", cwd=portrait)
    assert done.returncode == 0, done.stderr
    assert SAID in done.stdout
    with Image.open(portrait / "output" / "me_face1_compare.png") as picture:
        assert picture.size == (1048, 284)


def test_a_training_that_never_began_counts_as_none(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in (".srez", "lock"):
        (folder / name).touch()
        assert or_pretrained(str(folder)) == (str(FOLDER / "sharp"), "newest")
    (folder / "srez-7.index").touch()
    assert or_pretrained(str(folder)) == (str(folder), "newest")


def test_a_name_means_the_one_that_comes_along_whatever_checkpoint_dir_holds(two, trained, tmp_path, capsys):
    for name in ("sharp", "faithful"):
        for folder in (trained, str(tmp_path / "gone")):
            config = srez_main.with_network(Config(run="eval", checkpoint_dir=folder, checkpoint=name))
            assert (config.checkpoint_dir, config.checkpoint) == (str(two / name), "newest")
            said = f"taking the generator that comes with srez, {name} ({two / name})\n"
            assert capsys.readouterr().out == said


def test_load_takes_the_names_too(two, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for network in (load("faithful"), load(checkpoint="faithful")):
        assert network.path == str(two / "faithful" / "srez-7")
    assert load(trained, checkpoint="sharp").config.width == 1.0
    Path("sharp").symlink_to(trained)
    assert load("sharp").config.width == 0.125  # a folder is what it says


def test_a_name_that_there_is_not_is_told_with_those_that_there_are(two, trained, tmp_path):
    names = "or name a .weights.h5 file, or what comes with srez (faithful, sharp)"
    for folder, there in ((trained, "it has those of batches 3, 7"), (tmp_path, "train first (--run train)")):
        expected = f"'{folder}' has no checkpoint 'sharpe': {there}, {names}"
        with pytest.raises(UserError) as error:
            load(str(folder), checkpoint="sharpe")
        assert str(error.value) == expected
        with pytest.raises(UserError) as error:
            srez_main.with_network(Config(run="eval", checkpoint_dir=str(folder), checkpoint="sharpe"))
        assert str(error.value) == expected


def test_the_page_offers_those_that_come_along_but_not_beside_a_training(two, trained):
    def offered(folder: Path | str) -> list[tuple[str, float]]:
        networks = serve.networks_to_offer(Config(run="serve", checkpoint_dir=str(folder)))
        return [(name, network.config.width) for name, network in networks.items()]

    assert offered(two / "faithful") == [("faithful", 0.125), ("sharp", 1.0)]
    assert offered(trained) == [("checkpoint", 0.125)]


@each
def test_export_takes_it_by_name(srez, trained, portrait, name):
    words = ("--run=export", "--export_formats=half_weights", f"--checkpoint={name}")
    done = srez(*words, f"--checkpoint_dir={trained}", cwd=portrait)
    assert done.returncode == 0, done.stderr
    assert f"taking the generator that comes with srez, {name} (" in done.stdout
    (made,) = (portrait / "output").rglob("*.weights.h5")
    (original,) = (FOLDER / name).glob("*.weights.h5")
    with h5py.File(made) as one, h5py.File(original) as other:
        one.visititems(
            lambda name, item: (
                np.testing.assert_array_equal(item, other[name]) if isinstance(item, h5py.Dataset) else None
            )
        )


@pytest.mark.slow
@each
def test_eval_takes_it_by_name(srez, faces, portrait, name):
    done = srez("--run=eval", f"--images={faces}", f"--checkpoint={name}", cwd=portrait)
    assert done.returncode == 0, done.stderr
    assert f"taking the generator that comes with srez, {name} (" in done.stdout


def test_a_training_or_one_asked_for_is_not_replaced(srez, trained, portrait):
    asked = srez("--run=upscale", "me.png", "--checkpoint=2000", cwd=portrait)
    assert (asked.returncode, SAID in asked.stdout) == (2, False)
    shutil.copytree(trained, portrait / "checkpoint")
    done = srez("--run=upscale", "--face", "--aligned", "me.png", cwd=portrait)
    assert (done.returncode, SAID in done.stdout) == (0, False)


# ---- polish.py -------------------------------------------------------------------------------------


@pytest.fixture
def dotted(trained, tmp_path) -> str:
    """A folder with a small generator that makes many lone pixels of noise."""
    generator, random = build_generator(load_config(trained)), np.random.default_rng(0)
    kernels = [weight for weight in generator.weights if weight.name == "kernel"]
    for kernel in kernels:
        kernel.assign(random.normal(size=kernel.shape) * np.prod(kernel.shape[:3]) ** -0.5)
    kernels[-1].assign(20 * kernels[-1])
    (tmp_path / "dotted").mkdir()
    shutil.copy(Path(trained, "config.json"), tmp_path / "dotted")
    generator.save_weights(tmp_path / "dotted" / WEIGHTS)
    return str(tmp_path / "dotted")


def test_polish_takes_lone_pixels_out_and_leaves_the_pictures(dotted, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    polish = importlib.import_module("polish")
    monkeypatch.setattr(polish, "RATE", 5e-3)
    network, random = load(dotted), np.random.default_rng(0)
    features = [random.random((4, 16, 16, 3), np.float32) for _ in range(41)]
    before = network.upscale(features[0], 0)
    averages = [w.numpy() for w in network.generator.non_trainable_weights]
    polish.polish(network, (Batch(None, feature) for feature in features[1:]), 40)
    after = network.upscale(features[0], 0)
    assert np.mean(lone_pixels(before)) > 20
    assert np.mean(lone_pixels(after)) < np.mean(lone_pixels(before)) / 3
    assert 0 < np.mean(np.abs(after - before)) < np.std(before) / 2
    for kept, found in zip(averages, network.generator.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(found.numpy(), kept)


@pytest.mark.slow
def test_polish_writes_a_folder_for_checkpoint_dir(dotted, faces, tmp_path):
    words = ["--dataset", faces, "--batches", "1", dotted, "out/polished"]
    command = [sys.executable, str(ROOT / "scripts" / "polish.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "batch 1 of 1" in done.stdout
    before, after = load(dotted), load(str(tmp_path / "out" / "polished"))
    assert after.config == before.config
    pairs = list(zip(before.generator.weights, after.generator.weights, strict=True))
    for one, other in pairs:
        np.testing.assert_allclose(other.numpy(), one.numpy(), atol=1e-4)  # one update of 5e-5 / 16
    assert any(np.any(one.numpy() != other.numpy()) for one, other in pairs)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.count("Traceback"), "File exists" in again.stderr) == (1, 0, True)
