"""What a study says about the paper's claims."""

import numpy as np
import pytest
from fake_study import SAMPLES, begin, results

from srez.report import claims
from srez.report.counting import INDEPENDENT, UNITS, Way
from srez.report.intervals import Interval, effective_number, exact_limits
from srez.report.results import FINISHED, L1_ONLY, UNDER_WAY, Results, RunResult
from srez.report.stability_tables import architecture_columns, architecture_rows, limit_rows
from srez.report.text import DASH
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
    independent = claims.count(results(tmp_path / "again", words, seeds), Way("psnr", unit=INDEPENDENT))
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
    assert [one.way.unit for one in found] == list(UNITS) * 4
    assert {one.way.quality for one in found} == {"psnr"}
    # the lead on the GAN is told on the resnet alone, where all of its three converged
    for unit in range(3):
        assert [round(one.share.mean * 6) for one in found[unit::3]] == stable
        assert [one.lead.mean for one in found[unit::3]] == pytest.approx([(n - 6) / 3 for n in stable])


@pytest.mark.parametrize(
    ("trainings", "effective", "expected"),
    [
        # Clopper and Pearson: 20 of 20 is at least 83.2%, 19 at least 75.1%; 11 at most 76.9%, 12 80.9%
        (20, 20, (20, 11)),
        # as many as twenty: 40 of 40 is at least 83.2% too, 38 are 75.1%; 22 at most 76.9%, 24 80.9%
        (40, 20, (40, 23)),
        # of 30 all are at least 88.4%, 29 82.8%, 28 77.9%; 18 at most 77.3%, 19 80.1%
        (30, 30, (29, 18)),
        # two of two are at least 15.8%, none of two at most 84.2%
        (6, 2, (None, None)),
        # none of three is at most 70.8%
        (3, 3, (None, 0)),
    ],
)
def test_what_an_answer_takes(trainings, effective, expected):
    assert claims.needed(trainings, effective) == expected


def test_27_of_27_barely_hold_and_26_do_not():
    """9 cells of 3: (t(26) / t(8))^2 = (2.0555 / 2.3060)^2 of 27, 21.45; 0.025^(1/21.45) = 84.2%."""
    effective = effective_number([[1] * 3] * 9, 0)
    assert effective == pytest.approx(27 * (2.055529 / 2.306004) ** 2, rel=1e-5)
    assert exact_limits(1, effective)[0] == pytest.approx(0.842, abs=5e-4)
    assert exact_limits(26 / 27, effective)[0] == pytest.approx(0.781, abs=5e-4)
    assert claims.needed(27, effective)[0] == 27


def test_what_it_takes_stands_beside_the_answer(tmp_path):
    """Nothing tells that seeds say more than one would: two of two are at least 16%, none at most 84%."""
    found = claims.assess_stability(results(tmp_path, {}))
    assert found.evidence[0] == (
        "With 6 trainings in 2 cells “holds here” cannot come, even if all are stable, “does not hold here” "
        "cannot come, even if none is, if trainings of one cell are as alike as they are here (intra-class "
        "correlation 1.00)."
    )


def test_other_limits_of_oscillating(tmp_path):
    """Three of WGAN-GP's six go down by a and up again, twice: 2 sqrt(2 * 0.4) a, 18, 22 and 27%."""
    found = results(tmp_path, {})
    depths = {"wgangp-resnet-s0": 0.1, "wgangp-resnet-s1": 0.125, "wgangp-deconv-s0": 0.15}
    for r in found.runs:
        batch, values = r.curves["psnr"]
        values = values - 10 * depths.get(r.run.name, 0) * np.isin(batch, (90, 110))
        r.curves["psnr"] = (batch, values)
    counts = claims.counts_by_limits(found)
    assert [one.way.limits.oscillation for one in counts] == [0.15, 0.2, 0.25, 0.3, 0.2]
    assert [round(6 * one.share.mean) for one in counts] == [3, 4, 5, 6, 4]
    # of three on the resnet, where all the GAN's converged
    assert [one.lead.mean for one in counts] == pytest.approx([-2 / 3, -1 / 3, 0, 0, -1 / 3])
    assert [row["title"] for row in limit_rows(found)][1::3] == ["20% (rule)", "20%, without “no adversary”"]


def test_a_critic_without_a_say_is_no_merit(tmp_path):
    """In the median after batch 0 its critic has 0.85% of the gradient; before, the rules did not mind.

    In the control it is meant to have nothing.
    """
    found = results(tmp_path, {}, controls=True)
    for r in found.runs:
        if r.run.name in ("wgangp-resnet-s0", "L1only-resnet-s0"):
            r.curves["critic_gradient_share"] = (np.arange(3.0), np.array([1, 0.005, 0.012]))
    assert [c.verdicts for c in found.controls[L1_ONLY]] == [["converged"] * 3] * 2
    assert [round(6 * one.share.mean) for one in claims.counts_by_limits(found)] == [5, 5, 5, 5, 6]
    evidence = claims.assess_stability(found).evidence
    assert any(
        "before “no adversary” was a verdict" in line and "had begun: 100% [16, 100] stable, +0" in line
        for line in evidence
    )


def test_l1_alone_may_be_worse_than_bicubic_too(tmp_path):
    words = {f"L1only-deconv-s{seed}": "worse than bicubic" for seed in range(2)}
    found = results(tmp_path, words, controls=True)
    told = [line for line in claims.assess_stability(found).evidence if "itself worse" in line]
    assert told[0].startswith(
        "The control “L1 only” is itself worse than bicubic with deconv (2 of 3): there the word tells"
    )
    assert architecture_columns(found) == ["gan", "wgan-gp", "L1 only (control)"]
    assert architecture_rows(found) == [
        ("resnet", ["3 converged"] * 3),
        ("deconv", [DASH, "3 converged", "2 worse than bicubic, 1 converged"]),
    ]


def test_controls_are_no_objectives(tmp_path):
    """WGAN-GP with the L1 term alone says nothing about WGAN-GP, whatever it is called."""
    words = {f"L1only-{g}-s{seed}": "diverged" for g in ("resnet", "deconv") for seed in range(3)}
    found = results(tmp_path, words, controls=True)
    assert [cell.control for cell in found.included] == ["", "", "", L1_ONLY, L1_ONLY]
    assert list(found.tested) == ["gan", "wgan-gp"]
    count = claims.count(found, Way("psnr"))
    assert (count.share.mean, count.share.runs) == (1, 6)
    assert (
        "Control, L1 only: stable 0 of 6, 0% [0, 84]; 0 converged." in claims.assess_stability(found).evidence
    )


def test_claim_1_names_the_exceptions(tmp_path):
    found = claims.assess_stability(results(tmp_path, {"wgangp-resnet-s0": "diverged"}))
    assert any(
        line.startswith("Unstable with WGAN-GP: wgangp-resnet-s0 (diverged") for line in found.evidence
    )
    assert [line.split(", ")[0] for line in found.evidence[3:5]] == [
        "wgan-gp: stable 5 of 6",
        "gan: stable 3 of 3",
    ]


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
