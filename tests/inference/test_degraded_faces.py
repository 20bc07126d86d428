"""scripts/degraded_faces.py: the same held-out faces with clean and with degraded inputs."""

import importlib
import re
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT

from srez.data.dataset import open_dataset
from srez.data.degrade import degrade_batch
from srez.options.config import Config


def test_both_tables(trained, faces, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    words = [faces, "--checkpoint_dir", trained, trained, "--count", "6", "--back_projection", "1"]
    monkeypatch.setattr(sys, "argv", ["degraded_faces.py", *words])
    importlib.import_module("degraded_faces").main()
    clean, degraded = re.split("Degraded inputs", capsys.readouterr().out)
    batch = open_dataset(Config(dataset=faces, test_vectors=6)).test_batch()
    label = batch.label.numpy()
    for table, feature in ((clean, batch.feature), (degraded, degrade_batch(label, 16, 0, 2**63))):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len(lines) == 2 + 1 + 2  # both times it is one network, without projection as it was trained
        assert lines[0] == "| | PSNR, dB | SSIM | LPIPS | consistency, dB |"
        name, *cells = lines[2].strip("| ").split(" | ")
        found, low, high = (float(number) for number in re.findall(r"[\d.]+", cells[0]))
        bicubic = np.clip(tf.image.resize(feature, (64, 64), method="bicubic"), 0, 1)
        psnr = np.mean(-10 * np.log10(np.mean((bicubic - label) ** 2, axis=(1, 2, 3))))
        assert (name, found) == ("bicubic", pytest.approx(psnr, abs=0.006))
        assert low < found < high
        rounds = [line.split(" | ")[0] for line in lines[3:]]
        assert rounds == [f"| {trained}/srez-7, generator", f"| {trained}/srez-7, generator, 1 rounds"]
