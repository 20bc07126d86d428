"""scripts/kinds_of_faces.py: the same held-out faces with clean and with degraded inputs, and by kind."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT
from PIL import Image

from srez.data.dataset import open_dataset
from srez.data.degrade import degrade_batch
from srez.inference.evaluate import Faces
from srez.options.config import Config


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("kinds_of_faces")


def psnr_of_bicubic(label: np.ndarray, feature: np.ndarray) -> np.ndarray:
    bicubic = np.clip(tf.image.resize(feature, (64, 64), method="bicubic"), 0, 1)
    return -10 * np.log10(np.mean((bicubic - label) ** 2, axis=(1, 2, 3)))


def test_all_tables(script, trained, faces, monkeypatch, capsys, tmp_path):
    dataset = open_dataset(Config(dataset=faces, test_vectors=6))
    names = [dataset.source.names[i] for i in dataset.test]
    words = [faces, "--checkpoint_dir", trained, trained, "--count", "6", "--back_projection", "1"]
    words += ["--group", f"mine={names[4]},{names[1]}"]
    monkeypatch.setattr(sys, "argv", ["kinds_of_faces.py", *words, "--drawn", str(tmp_path / "drawn.png")])
    script.main()
    degraded, clean, kinds = re.split("Clean inputs", capsys.readouterr().out)
    batch = dataset.test_batch()
    label = batch.label.numpy()
    for table, feature in ((clean, batch.feature), (degraded, degrade_batch(label, 16, 0, 2**63))):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len(lines) == 2 + 1 + 2  # both times it is one network, without projection as it was trained
        assert lines[0] == "| | PSNR, dB | SSIM | LPIPS | consistency, dB |"
        name, *cells = lines[2].strip("| ").split(" | ")
        found, low, high = (float(number) for number in re.findall(r"[\d.]+", cells[0]))
        assert (name, found) == ("bicubic", pytest.approx(psnr_of_bicubic(label, feature).mean(), abs=0.006))
        assert low < found < high
        rounds = [line.split(" | ")[0] for line in lines[3:]]
        run = Path(trained).parent.name
        assert rounds == [f"| {run}, generator", f"| {run}, generator, 1 rounds"]
    titles, _, *rows = [line.strip("| ").split(" | ") for line in kinds.splitlines() if line.startswith("|")]
    assert titles[:2] == ["bicubic: PSNR, dB", "bicubic: LPIPS"]
    rows = {name: cells for name, *cells in rows}
    counts = {re.sub(r" \(.*", "", name): int(re.search(r"\((\d+)\)", name)[1]) for name in rows}
    assert [counts[name] for name in script.QUARTERS] == [2, 2, 1, 1]
    assert sum(n for name, n in counts.items() if "head" in name or "not seen" in name) == 6
    psnr = psnr_of_bicubic(label, batch.feature)
    assert float(rows["mine (2)"][0]) == pytest.approx(psnr[[1, 4]].mean(), abs=0.006)
    with Image.open(tmp_path / "drawn.png") as picture:  # input, bicubic, twice the network, truth
        assert picture.size == (1312, 1632)
    lightest = np.argmax(np.mean(label[:, 16:48, 16:48] @ [0.299, 0.587, 0.114], axis=(1, 2)))
    assert float(rows["lightest quarter (1)"][0]) == pytest.approx(psnr[lightest], abs=0.006)


def test_groups_that_name_no_face(script, trained, faces, monkeypatch, capsys):
    words = ["kinds_of_faces.py", faces, "--checkpoint_dir", trained, "--count", "6", "--group", "glasses=0"]
    monkeypatch.setattr(sys, "argv", [*words, "--group", "hats=nobody"])
    with pytest.raises(SystemExit, match="no held-out face has 'nobody' in its name"):
        script.main()
    for group in ("glasses", "glasses=", "=1", "glasses=1,,2"):
        monkeypatch.setattr(sys, "argv", [*words, "--group", group])
        with pytest.raises(SystemExit):
            script.main()
        assert f"'{group}': write KIND=NAME,NAME" in capsys.readouterr().err


def test_heads_are_turned_by_where_the_nose_is(script, faces, monkeypatch):
    """Of eyes 40 pixels apart on a slope of 3 in 4, the nose 2, 6 and 12 pixels beside their middle."""
    along, down = np.array([0.8, 0.6]), np.array([-0.6, 0.8])
    seen = []
    for beside in (2, -6, 12, None):
        eyes, nose = (-20 * along, 20 * along), 25 * down + (beside or 0) * along
        face = SimpleNamespace(landmarks=np.array([*eyes, nose, nose, nose]) + 50)
        seen.append([] if beside is None else [face])
    monkeypatch.setattr(script, "find_faces", lambda picture: seen.pop(0))
    names = open_dataset(Config(dataset=faces)).source.names[:4]
    found = script.turned_heads(Faces(names, None, None, ""), script.Path(faces))
    assert {name: index.tolist() for name, index in found.items()} == {
        "head straight": [0],
        "head turned": [1],
        "head turned far": [2],
        "not seen by the detector": [3],
    }
