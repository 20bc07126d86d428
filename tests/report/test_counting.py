"""WGAN-GP beside the GAN, architecture by architecture."""

import numpy as np
import pytest
from fake_study import judged

from srez.report.claims import count
from srez.report.counting import ARCHITECTURES, TOGETHER, Way, pairings
from srez.report.results import Results
from srez.report.stability_tables import pairing_rows
from srez.report.text import MINUS
from srez.study.grid import read_study

STUDY = """
name = "pairs"
seeds = [0, 1, 2]
[base]
max_batches = 120
summary_period = 10
[axes]
objective = [
  {label = "gan", loss_func = "dcgan"},
  {label = "n=1", loss_func = "wgangp"},
  {label = "n=5", loss_func = "wgangp", critic_iters = 5, learning_beta1 = 0.0},
]
gen_architect = ["resnet", "deconv"]
critic_norm = ["layer", "none"]
[[exclude]]
objective = "n=5"
critic_norm = "none"
reason = "it takes long"
"""


def pairs(tmp_path, words: dict[str, str]) -> Results:
    """With layer norm the trainings that are not named converge; without a norm all diverge."""
    (tmp_path / "study.toml").write_text(STUDY)
    study = read_study(str(tmp_path / "study.toml"))
    return judged(study, {run.name: "diverged" for run in study.runs() if "none" in run.name} | words)


def test_where_the_norm_is_all_no_objective_leads(tmp_path):
    """By trainings WGAN-GP has 12 of 18, the GAN 6 of 12, as five steps were trained with the norm alone."""
    found = pairs(tmp_path, {})
    assert count(found, Way("psnr")).lead.mean == pytest.approx(12 / 18 - 6 / 12)
    one, five, together = pairings(found, Way("psnr"))
    assert [(p.title, p.architectures, p.share, p.gan) for p in (one, five, together)] == [
        ("n=1", 4, 0.5, 0.5),
        ("n=5", 2, 1, 1),
        (TOGETHER, 4, 0.5, 0.5),
    ]
    for pairing in (one, five, together):
        assert pairing.lead.mean == 0
        assert np.isnan([pairing.lead.low, pairing.lead.high]).all()  # all alike: nothing tells the spread


def test_leads_by_hand(tmp_path):
    """On the resnet with the norm the GAN has 2 of 3, one step 3, five steps none; elsewhere all are alike.

    Of four differences x, 0, 0, 0 the mean is x / 4 and so is the standard error; t(3) is 3.182. Of two the
    interval reaches 12.7 standard errors, beyond what a difference can be.
    """
    words = {f"n5-resnet-layer-s{seed}": "diverged" for seed in range(3)} | {
        "gan-resnet-layer-s0": "diverged"
    }
    found = pairs(tmp_path, words)
    one, five, together = pairings(found, Way("psnr"))
    assert one.lead[:3] == pytest.approx((1 / 12, (1 - 3.182446) / 12, (1 + 3.182446) / 12))
    assert five.lead[:3] == pytest.approx((-1 / 3, -1, 1))
    # one step and five together are stable in half of the trainings there, a sixth less than the GAN
    assert together.lead[:3] == pytest.approx((-1 / 24, (-1 - 3.182446) / 24, (-1 + 3.182446) / 24))
    assert pairing_rows(found) == [
        ("n=1", "4", "50%", "42%", f"+8 [{MINUS}18, +35]", ""),
        ("n=5", "2", "50%", "83%", f"{MINUS}33 [{MINUS}100, +100]", "critic_iters 5; learning_beta1 0.0"),
        (
            TOGETHER,
            "4",
            "38%",
            "42%",
            f"{MINUS}4 [{MINUS}17, +9]",
            "critic_iters 1 or 5; learning_beta1 0.5 or 0.0",
        ),
    ]
    as_units = count(found, Way("psnr", unit=ARCHITECTURES))
    assert as_units.lead == together.lead
    assert (as_units.share.mean, as_units.share.runs, as_units.share.cells) == (0.5, 18, 4)
