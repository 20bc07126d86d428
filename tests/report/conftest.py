"""A study that reports are made of."""

from pathlib import Path

import numpy as np
import pytest
from fake_study import RUNS, begin, strip, train, usual
from PIL import Image

from srez.report.page import write_report


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Path:
    """Six trainings: one GAN diverged, one WGAN-GP under way; with pictures. The report is written."""
    folder = begin(tmp_path_factory.mktemp("study") / "s", "<script>alert(1)</script> & co")
    for name in RUNS:
        seed = int(name[-1])
        diverged, under_way = name == "gan-resnet-s1", name == "wgangp-deconv-s1"
        last = 70 if diverged or under_way else 120
        exit = None if under_way else 3 if diverged else 0
        run = train(folder, name, usual(seed), last, exit)
        for batch in range(40, last + 1, 40):
            strip(seed).save(run / "train" / f"gen_batch{batch:06d}_out_s.png")
            grid = np.zeros((640, 256, 3), np.uint8)
            grid[:, 192:] = 77  # truth
            Image.fromarray(grid).save(run / "train" / f"batch{batch:06d}_out_l.png")
    assert write_report(str(folder)) == str(folder / "report.html")
    return folder
