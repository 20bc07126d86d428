"""What a study says about the paper's claims."""

import numpy as np
import pytest
from fake_study import SAMPLES, begin, results

from srez.report import claims
from srez.report.intervals import Interval
from srez.report.results import FINISHED, UNDER_WAY, Results, RunResult
from srez.report.text import MINUS
from srez.study.grid import read_study


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ({}, claims.HOLDS),
        ({"gan-resnet-s0": "diverged"}, claims.HOLDS),  # not its business
        ({"wgangp-resnet-s0": "improving"}, claims.PARTLY),
        ({"wgangp-resnet-s0": "oscillating"}, claims.EXCEPTIONS),  # one of six is less than a fifth
        ({"wgangp-resnet-s0": "diverged", "wgangp-deconv-s0": "improving"}, claims.EXCEPTIONS),
        ({"wgangp-resnet-s0": "diverged", "wgangp-deconv-s0": "oscillating"}, claims.FAILS),
        ({"wgangp-resnet-s0": UNDER_WAY}, claims.OPEN),
    ],
)
def test_claim_1(tmp_path, words, answer):
    found = claims.assess_stability(results(tmp_path, words))
    assert found.answer == answer
    assert found.answer in claims.STABILITY_RULES


def test_claim_1_names_the_exceptions(tmp_path):
    found = claims.assess_stability(results(tmp_path, {"wgangp-resnet-s0": "diverged"}))
    assert "of 6 trainings with WGAN-GP 5 are stable and 5 converged" in found.reason
    assert any(
        line.startswith("Not stable with WGAN-GP: wgangp-resnet-s0 (diverged") for line in found.evidence
    )


@pytest.mark.parametrize("claim", [claims.assess_stability, claims.assess_indicator])
def test_two_seeds_decide_nothing(tmp_path, claim):
    found = claim(results(tmp_path, {}, "[0, 1]"))
    assert (found.answer, found.reason) == (claims.OPEN, "because 2 seeds are fewer than 3")


@pytest.mark.parametrize(
    ("seeds", "p", "told"), [("[0, 1]", "0.067", "not told"), ("[0, 1, 2]", "0.012", "told")]
)
def test_stability_against_other_objectives(tmp_path, seeds, p, told):
    """None of 2 (3) against all of 4 (6): Fisher's test gives 1 in 15 (in 84)."""
    words = {f"gan-resnet-s{seed}": "diverged" for seed in range(3)}
    lines = claims.assess_stability(results(tmp_path, words, seeds)).evidence
    assert lines[0].startswith("wgan-gp: stable ")
    assert lines[1].endswith(
        f"; its stability is {told} apart from WGAN-GP's (Fisher's exact test, p = {p})."
    )


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


@pytest.mark.parametrize(
    ("within", "changes", "expected"),
    [
        ((0.51, 0.9), (0.01, 0.5), "follows"),
        ((0.49, 0.9), (0.01, 0.5), "trend"),
        ((0.51, 0.9), (-0.01, 0.5), "trend"),
        ((0.01, 0.2), (np.nan, np.nan), "trend"),
        ((-0.9, -0.01), (0.1, 0.5), "opposes"),
        ((-0.1, 0.49), (0.1, 0.5), "weak"),
        ((-0.1, 0.51), (0.1, 0.5), "unclear"),
        ((np.nan, np.nan), (0.1, 0.5), ""),
    ],
)
def test_grades_of_an_indicator(within, changes, expected):
    assert claims.grade(*(Interval(np.mean(each), *each, 3, 1) for each in (within, changes))) == expected


@pytest.mark.parametrize(
    ("grades", "answer"),
    [
        (["follows", "follows"], claims.HOLDS),
        (["follows", "trend"], claims.PARTLY),
        (["follows", "opposes"], claims.PARTLY),
        (["trend", "weak", "weak"], claims.FAILS),
        (["opposes", "opposes"], claims.FAILS),
        (["unclear", "weak"], claims.OPEN),
        ([], claims.OPEN),
    ],
)
def test_claim_2(grades, answer):
    assert claims.indicator_answer(grades) == answer


@pytest.mark.parametrize(
    ("end", "sign", "answer"), [(20, 1, claims.HOLDS), (20, -1, claims.FAILS), (100, 1, claims.OPEN)]
)
def test_claim_2_from_curves(tmp_path, end, sign, answer):
    """An estimate that goes with the distance in every change, or against it, or while nothing is learnt."""
    study = results(tmp_path, {}).study
    batch = np.array(SAMPLES, float)
    found = []
    for run in study.runs():
        swd = np.linspace(100, end, len(batch))
        swd[1:] += np.random.default_rng(run.seed).uniform(0, 12, len(batch) - 1)
        curves = {"swd": (batch, swd), "wasserstein_estimate": (batch[1:], sign * swd[1:])}
        curves["generator_loss"] = (batch[1:], np.cos(batch[1:]))
        found.append(RunResult(run, FINISHED, exit=0, curves=curves))
    claim = claims.assess_indicator(Results(study, found))
    assert claim.answer == answer
    if answer == claims.OPEN:
        assert claim.reason == "because 6 of its 6 trainings made no progress that could be told"
        return
    one = f"{'+' if sign > 0 else MINUS}1.00"
    assert f"estimate and SWD {one} [{one}, {one}]" in claim.evidence[0]
    assert f"in {6 if sign > 0 else 0} of 6 trainings" in claim.evidence[0]
    assert any(line.startswith("Control, gan: generator loss and SWD") for line in claim.evidence)
