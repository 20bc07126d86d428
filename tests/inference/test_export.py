"""Exported networks give the same pictures, and need no srez."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT
from PIL import Image

from srez.errors import UserError
from srez.inference import export as exporting
from srez.inference.export import FORMATS, plain_network
from srez.inference.network import Network, load
from srez.networks.build import back_project, build_generator
from srez.networks.layers import GeneratorNorm
from srez.options.config import Config

WITHOUT_SREZ = """
import sys, numpy as np, keras
network = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], network.predict(np.load(sys.argv[2]), verbose=0))
assert not [name for name in sys.modules if name.startswith("srez")]
"""


def export(trained: str, output: Path, **options) -> int:
    usual = {"run": "export", "back_projection": 2, "checkpoint_dir": trained, "output": str(output)}
    return exporting.export(Config(**usual | options))


@pytest.fixture(scope="module")
def network(trained) -> Network:
    return load(trained)


@pytest.fixture(scope="module")
def command(srez, trained, tmp_path_factory) -> tuple[subprocess.CompletedProcess, Path]:
    """An export as a user runs it, and the folder in which."""
    root = tmp_path_factory.mktemp("exported")
    words = ("--run=export", "--export_formats=savedmodel,tflite,keras,weights,half_weights")
    return srez(*words, checkpoint_dir=trained, output="out", cwd=root), root


@pytest.fixture(scope="module")
def exported(command) -> Path:
    done, root = command
    assert done.returncode == 0, done.stderr
    return root / "out"


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(5).random((3, 11, 14, 3), np.float32)


def test_files(exported):
    assert {p.name for p in exported.iterdir()} == {
        *("saved_model", "generator.tflite", "generator.keras", "generator.weights.h5", "config.json"),
        "generator.float16.weights.h5",
    }


@pytest.mark.parametrize("kind", ["savedmodel", "tflite", "keras", "weights"])
def test_each_gives_what_upscale_gives(exported, network, pictures, kind):
    """On pictures, batches and sizes other than those that export tried."""
    form = FORMATS[kind]
    found = form.load(str(exported / form.file), network, 2)(pictures)
    np.testing.assert_allclose(found, network.upscale(pictures), atol=1e-5)


def test_half_weights(exported, network, pictures):
    """Kernels alone are rounded, and take two bytes less each."""
    full, half = (exported / FORMATS[kind].file for kind in ("weights", "half_weights"))
    kernels = sum(v.numpy().size for v in network.generator.variables if v.name == "kernel")
    assert full.stat().st_size - half.stat().st_size == pytest.approx(2 * kernels, rel=0.05)
    again = load(str(exported), checkpoint=str(half))
    for a, b in zip(again.generator.variables, network.generator.variables, strict=True):
        rounded = b.numpy().astype(np.float16) if b.name == "kernel" else b.numpy()
        assert np.array_equal(a.numpy(), rounded), b.path
    assert 0 < np.abs(again.upscale(pictures) - network.upscale(pictures)).max() < 1e-2


def test_keras_file_needs_no_srez(exported, network, pictures, tmp_path):
    np.save(tmp_path / "in.npy", pictures)
    paths = [str(exported / "generator.keras"), str(tmp_path / "in.npy"), str(tmp_path / "out.npy")]
    subprocess.run([sys.executable, "-c", WITHOUT_SREZ, *paths], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(paths[2]), network.upscale(pictures), atol=1e-5)


def test_exported_folder_is_one_for_checkpoint_dir(exported, network, pictures):
    again = load(str(exported))
    assert again.name == "generator.weights.h5"
    assert np.array_equal(again.upscale(pictures), network.upscale(pictures))


@pytest.mark.extra
def test_onnx(trained, network, pictures, tmp_path, monkeypatch):
    """Its input, output and axes have names, and it is used as docs/pictures.md shows."""
    for package in FORMATS["onnx"].packages:
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    assert export(trained, Path("exported"), export_formats=("onnx",)) == 0
    form = FORMATS["onnx"]
    found = form.load(f"exported/{form.file}", network, 2)(pictures)
    np.testing.assert_allclose(found, network.upscale(pictures), atol=1e-5)

    blocks = re.findall(r"(?:(?:    .*)?\n)+", (ROOT / "docs" / "pictures.md").read_text())
    (snippet,) = (textwrap.dedent(block) for block in blocks if "onnxruntime" in block)
    small = (255 * pictures[0]).astype(np.uint8)
    Image.fromarray(small).save("small.png")
    used: dict = {}
    exec(snippet, used)
    ends = [
        (end.name, end.shape)
        for get in ("inputs", "outputs")
        for end in getattr(used["session"], f"get_{get}")()
    ]
    assert ends == [
        ("input", ["batch", "height", "width", 3]),
        ("output", ["batch", "output_height", "output_width", 3]),
    ]
    difference = np.asarray(Image.open("large.png"), int) - network.upscale(small)
    assert np.abs(difference).max() <= 1


def test_what_is_not_installed(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"onnx, onnxruntime, tf2onnx: pip install 'srez\[onnx\]'"):
        export(trained, tmp_path / "a", export_formats=("weights", "onnx"))
    assert not (tmp_path / "a").exists()
    weights = {name: FORMATS[name] for name in ("weights", "onnx")}
    monkeypatch.setattr(exporting, "FORMATS", weights)
    assert export(trained, tmp_path / "b") == 0
    assert "onnx left out" in capsys.readouterr().out


def test_existing_files_are_kept_unless_told(trained, tmp_path):
    target = tmp_path / "generator.weights.h5"
    target.write_bytes(b"mine")
    with pytest.raises(UserError, match="--overwrite"):
        export(trained, tmp_path, export_formats=("weights",))
    assert target.read_bytes() == b"mine"
    assert export(trained, tmp_path, export_formats=("weights",), overwrite=True) == 0
    assert target.stat().st_size > 1000


def test_a_difference_is_noticed(trained, tmp_path, monkeypatch):
    plain = exporting.plain_network

    def slightly_wrong(*args):
        model = plain(*args)
        last = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
        last.bias.assign(last.bias + 0.01)
        return model

    monkeypatch.setattr(exporting, "plain_network", slightly_wrong)
    with pytest.raises(UserError, match=r"generator.keras differs from the network by .*: not kept"):
        export(trained, tmp_path, export_formats=("keras",), back_projection=0)
    assert not (tmp_path / "generator.keras").exists()


def test_options_of_export(trained, exported, tmp_path, pictures):
    folders = [exported, tmp_path / "no rounds", tmp_path / "batch 3"]
    for folder, options in zip(folders[1:], ({"back_projection": 0}, {"checkpoint": "3"}), strict=True):
        assert export(trained, folder, export_formats=("keras",), **options) == 0
    models = [keras.models.load_model(folder / "generator.keras") for folder in folders]
    outputs = [model.predict_on_batch(pictures) for model in models]
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01
    assert np.abs(outputs[0] - outputs[2]).max() > 0.01


def test_export_as_a_user_runs_it(srez, trained, command):
    done, root = command
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("loaded again, differs by") == 5
    assert done.stdout.count("tolerance 1e-04") == 4
    assert [p.name for p in root.iterdir()] == ["out"]
    done = srez("--run=export", "--export_formats=zip", checkpoint_dir=trained)
    assert done.returncode == 2
    assert "--export_formats=zip: must be one of savedmodel" in done.stderr


# ---- plain layers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [0, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 2},
        {"scale_factor": 8, "gen_norm": 0},
        {"gen_architect": "deconv"},
        {"precision": "bfloat16", "scale_factor": 2, "gen_architect": "deconv"},
    ],
    ids=str,
)
def test_plain_layers_give_the_same(options, rounds, pictures):
    config = Config(width=0.0625, **options)
    model = build_generator(config)
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, GeneratorNorm):
            layer.moving_mean.assign(random.normal(size=layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
            layer.moving_weight.assign(0.7)
            layer.offset.assign(random.normal(size=layer.offset.shape))
    plain = plain_network(model, config.factor, rounds)
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras"}
    expected = back_project(model(pictures), tf.constant(pictures), rounds, config.factor)
    tolerance = 0.02 if config.precision == "bfloat16" else 1e-5  # exported networks are float32
    np.testing.assert_allclose(plain(pictures), np.clip(expected, 0, 1), atol=tolerance)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bicubic_as_a_convolution(factor, pictures):
    """A round of back projection makes of grey the bicubic enlargement of the input."""
    feature = keras.Input((None, None, 3))
    grey = keras.layers.Rescaling(0.0, 0.5)(keras.layers.UpSampling2D(factor)(feature))
    found = plain_network(keras.Model(feature, grey), factor, rounds=1)(pictures)
    expected = tf.image.resize(pictures, [11 * factor, 14 * factor], method="bicubic")
    np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=1e-5)


def test_noise_networks_are_exported_as_they_are(tmp_path):
    config = Config(input="noise", width=0.03125, gen_architect="deconv")
    build_generator(config).save_weights(tmp_path / "generator.weights.h5")
    content = {
        "options": {"input": "noise", "width": 0.03125, "gen_architect": "deconv"},
        "dataset": {"fingerprint": "made up", "pictures": 1},
    }
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert export(str(tmp_path), tmp_path / "out", export_formats=("keras",)) == 0
    model = keras.models.load_model(tmp_path / "out" / "generator.keras")
    assert model.predict_on_batch(np.zeros((2, 4, 4, 3))).shape == (2, 64, 64, 3)
