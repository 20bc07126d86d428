"""What a study says about the paper's claims."""

import numpy as np
import pytest
from fake_study import SAMPLES, begin, results

from srez.report import claims
from srez.report.intervals import Interval
from srez.report.results import FINISHED, L1_ONLY, UNDER_WAY, Results, RunResult
from srez.report.verdicts import STABLE
from srez.study.grid import read_study


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.81, 1, claims.HOLDS),
        (0.79, 1, claims.OPEN),
        (0.3, 0.81, claims.OPEN),
        (0.3, 0.79, claims.FAILS),
        (0.8, 0.8, claims.OPEN),
    ],
)
def test_claim_1_by_the_share_of_stable_trainings(low, high, answer):
    assert claims.stability_answer(Interval((low + high) / 2, low, high, 30, 10)) == answer
    assert answer in claims.STABILITY_RULES


def test_two_architectures_do_not_show_that_claim_1_holds(tmp_path):
    """All six stable, and nothing tells that seeds say more than one would: two of two, 16 to 100%."""
    found = claims.assess_stability(results(tmp_path, {"gan-resnet-s0": "worse than bicubic"}))
    assert found.answer == claims.OPEN
    assert found.reason.startswith(
        "of 6 trainings with WGAN-GP in 2 cells 100% [16, 100] are stable (6; 0 are unstable, 0 neither)"
    )


def test_claim_1_fails_where_most_are_unstable(tmp_path):
    """None of two cells: at most 84% with 97.5%; with 3 of 30 cells it is told."""
    words = {f"wgangp-{g}-s{s}": "oscillating" for g in ("resnet", "deconv") for s in range(12)}
    words |= {"wgangp-resnet-s0": "converged", "wgangp-deconv-s0": "converged"}
    seeds = str(list(range(12)))
    found = claims.assess_stability(results(tmp_path, words, seeds))
    # seeds are as unlike as can be; 24 trainings count as 24 (2.069 / 12.706)^2 = 0.6, but at least as two
    assert "in 2 cells 8% [0, " in found.reason
    assert found.answer == claims.OPEN
    independent = claims.count(results(tmp_path / "again", words, seeds), "psnr", STABLE, claims.INDEPENDENT)
    assert independent.share[:3] == pytest.approx((1 / 12, 0.0103, 0.2700), abs=1e-4)
    assert independent.answer == claims.FAILS


@pytest.mark.parametrize(
    ("word", "stable"),
    [
        ("converged", [6, 6, 6, 6]),
        ("improving", [5, 6, 6, 6]),
        ("worse than bicubic", [5, 5, 6, 6]),
        ("undecided", [5, 5, 5, 6]),
        ("diverged", [5, 5, 5, 5]),
    ],
)
def test_every_way_to_count(tmp_path, word, stable):
    """One of WGAN-GP's six trainings is not like the others; verdicts are read from PSNR alone here."""
    found = claims.every_count(results(tmp_path, {"wgangp-resnet-s0": word}))
    assert [one.unit for one in found] == [claims.SAMPLE, claims.INDEPENDENT] * 4
    assert {one.quality for one in found} == {"psnr"}
    assert [round(one.share.mean * 6) for one in found[::2]] == stable
    assert [one.share.mean for one in found[1::2]] == [one.share.mean for one in found[::2]]
    # the lead on the GAN is told on the resnet alone, where all of its three converged
    assert [one.lead.mean for one in found[::2]] == pytest.approx([(n - 6) / 3 for n in stable])


def test_controls_are_no_objectives(tmp_path):
    """WGAN-GP with the L1 term alone says nothing about WGAN-GP, whatever it is called."""
    words = {f"L1only-{g}-s{seed}": "diverged" for g in ("resnet", "deconv") for seed in range(3)}
    found = results(tmp_path, words, controls=True)
    assert [cell.control for cell in found.included] == ["", "", "", L1_ONLY, L1_ONLY]
    assert list(found.tested) == ["gan", "wgan-gp"]
    count = claims.count(found, "psnr", STABLE)
    assert (count.share.mean, count.share.runs) == (1, 6)
    assert (
        "Control, L1 only: stable 0 of 6, 0% [0, 84]; 0 converged." in claims.assess_stability(found).evidence
    )


def test_claim_1_names_the_exceptions(tmp_path):
    found = claims.assess_stability(results(tmp_path, {"wgangp-resnet-s0": "diverged"}))
    assert any(
        line.startswith("Unstable with WGAN-GP: wgangp-resnet-s0 (diverged") for line in found.evidence
    )
    assert found.evidence[1].startswith("wgan-gp: stable 5 of 6, ")
    assert found.evidence[2].startswith("gan: stable 3 of 3, ")


def test_an_unfinished_training_decides_nothing(tmp_path):
    found = claims.assess_stability(results(tmp_path, {"wgangp-resnet-s0": UNDER_WAY}))
    assert (found.answer, found.reason) == (claims.OPEN, "because 1 of its 6 trainings has not finished")


def test_two_seeds_decide_nothing(tmp_path):
    found = claims.assess_stability(results(tmp_path, {}, "[0, 1]"))
    assert (found.answer, found.reason) == (claims.OPEN, "because 2 seeds are fewer than 3")


def test_claim_1_needs_a_variety_of_architectures(tmp_path):
    folder = begin(tmp_path / "t")
    text = (
        (folder / "study.toml")
        .read_text()
        .replace('gen_architect = ["resnet", "deconv"]', "batch_size = [4, 8]")
    )
    text = text.replace("[0, 1]", "[0, 1, 2]")
    (folder / "study.toml").write_text(text[: text.index("[[exclude]]")])
    study = read_study(str(folder / "study.toml"))
    batch = np.array(SAMPLES, float)
    curves = {"psnr": (batch, np.minimum(batch / 60, 1))}
    found = claims.assess_stability(
        Results(study, [RunResult(r, FINISHED, exit=0, curves=curves) for r in study.runs()])
    )
    assert (found.answer, found.reason) == (
        claims.OPEN,
        "because all its WGAN-GP trainings share one architecture",
    )
