"""What a study says about claim 2: which estimates count, and the answer by the rules."""

import numpy as np
import pytest
from fake_study import signals

from srez.report.claims import FAILS, HOLDS, OPEN
from srez.report.correlations import LATE, MOMENTS
from srez.report.correlations import SAMPLES as ALL
from srez.report.indicator import answer, assess_indicator
from srez.report.intervals import Interval
from srez.report.relations import Relation, Relations, at, does_not_count
from srez.report.results import UNDER_WAY
from srez.report.text import MINUS


def relation(r: tuple[float, float], excess: tuple[float, float]) -> Relation:
    return Relation(*(Interval(np.mean(each), *each, 3, 1) for each in (r,)), 0.0, Interval(0, *excess, 3, 1))


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        ([((0.51, 0.9), (0.01, 0.5))] * 2, HOLDS),
        ([((0.49, 0.9), (0.01, 0.5))], OPEN),
        ([((0.51, 0.9), (-0.01, 0.5))], OPEN),
        ([((0.51, 0.9), (-0.5, -0.01))], FAILS),  # no better than a clock, however high
        ([((0.1, 0.49), (0.1, 0.5))], FAILS),
        ([((0.1, 0.49), (0.1, 0.5)), ((0.1, 0.51), (0.1, 0.5))], OPEN),
        ([((0.1, 0.49), (0.1, 0.5)), ((0.51, 0.9), (0.1, 0.5))], OPEN),
        ([((np.nan, np.nan), (np.nan, np.nan))], OPEN),
        ([], OPEN),
    ],
)
def test_the_rule(relations, expected):
    assert answer([relation(*each) for each in relations]) == expected


@pytest.mark.parametrize(("sign", "expected"), [(1, HOLDS), (-1, FAILS)])
def test_an_estimate_that_follows_or_opposes(tmp_path, sign, expected):
    found = assess_indicator(Relations(signals(tmp_path, sign)))
    assert found.answer == expected
    assert found.evidence[0].startswith(
        f"wgan-gp: rank correlation with LPIPS {'+' if sign > 0 else MINUS}1.00 ["
    )
    yes, no = (1, "none") if sign > 0 else ("none", 1)
    assert found.reason == (
        f"the estimate counts in 1 Wasserstein objective: in {yes} it tells how good the pictures are (a "
        f"rank correlation above 0.5, and more than a clock's), in {no} it does not"
    )
    told = f"{expected} (tells it in {max(sign, 0)} of 1 objectives)"
    assert f"Critic's estimate on held-out faces, by the same rule: {told}." in found.evidence


@pytest.mark.parametrize(
    ("critic", "reason"),
    [
        ({"critic_gradient_share": 0.011, "gradient_penalty": 0.1}, ""),
        ({"critic_gradient_share": 0.009}, "its critic's share of the generator's gradient is 0.009"),
        ({"gradient_penalty": 0.11}, "its critic's gradient penalty is 0.110"),
    ],
)
def test_an_estimate_counts_with_a_live_critic_and_a_small_penalty(tmp_path, critic, reason):
    of = signals(tmp_path, **critic)
    cells = of.objectives["wgan-gp"]
    assert [does_not_count(cell, "wasserstein_estimate") for cell in cells] == [reason] * 2
    found = assess_indicator(Relations(of))
    assert found.answer == (OPEN if reason else HOLDS)
    assert (f"wgan-gp / resnet does not count: {reason}." in found.evidence) == bool(reason)


def test_what_needs_no_critic_of_the_generator_always_counts(tmp_path):
    of = signals(tmp_path, critic_gradient_share=0)
    assert not any(does_not_count(of.objectives["gan"][0], name) for name in ("generator_loss", "batch"))
    assert (
        does_not_count(of.objectives["gan"][0], "wasserstein_estimate") == "its critic estimates no distance"
    )


def test_obstacles(tmp_path):
    found = assess_indicator(Relations(signals(tmp_path, seeds="[0, 1]")))
    assert (found.answer, found.reason) == (OPEN, "because 2 seeds are fewer than 3")
    of = signals(tmp_path)
    of.runs[-1].state = UNDER_WAY
    assert assess_indicator(Relations(of)).reason == "because 1 of its 8 trainings has not finished"


def test_a_clock_gets_the_trend_and_no_excess(tmp_path):
    relations = Relations(signals(tmp_path))
    found = relations.of(relations.results.objectives["gan"], "batch", "lpips", ALL)
    assert found.r.mean == pytest.approx(found.null)
    assert found.r.mean > 0.5
    assert found.excess.mean == pytest.approx(0)
    assert np.isnan(found.excess.low)  # there is no spread to make an interval of


def test_trainings_that_all_rise_alike_decide_nothing(tmp_path):
    of = signals(tmp_path)
    for run in of.runs:
        batch, _ = run.curves["lpips"]
        run.curves["lpips"] = run.curves["wasserstein_estimate"] = (batch, 1 / (1 + batch + run.run.seed))
    found = assess_indicator(Relations(of))
    assert found.answer == OPEN
    assert found.reason.endswith("in none it does not, in 1 that is not decided")
    assert np.isnan(
        Relations(of).of(of.objectives["wgan-gp"], "wasserstein_estimate", "lpips", ALL).excess.low
    )


def test_a_negative_estimate_has_a_size_that_goes_the_other_way(tmp_path):
    """Minus LPIPS: +1 without its sign, and -1 with it."""
    relations = Relations(signals(tmp_path, -1))
    cells = relations.results.objectives["wgan-gp"]
    own, size = (
        relations.of(cells, name, "lpips", ALL)
        for name in ("wasserstein_estimate", "wasserstein_estimate_size")
    )
    assert size.r == pytest.approx((-own.r.mean, -own.r.high, -own.r.low, *own.r[3:]))
    assert size.r.mean > 0.99
    assert size.null == pytest.approx(-own.null)


def test_samples_of_the_second_half(tmp_path):
    """Of 120 batches those after batch 60."""
    run = signals(tmp_path).runs[0]
    for name in ("wasserstein_estimate", "lpips", "batch"):
        assert at(run, name, LATE)[0].tolist() == [70, 80, 90, 100, 110, 120]


def test_whatever_the_penalty(tmp_path):
    """The fresh critics' penalty is too large for the rule: they count nowhere by it, everywhere without."""
    relations = Relations(signals(tmp_path, fresh_gradient_penalty=0.2))
    fresh = "fresh_wasserstein_estimate"
    cells = relations.results.objectives["gan"]
    assert does_not_count(cells[0], fresh) == "its critic's gradient penalty is 0.200"
    assert does_not_count(cells[0], fresh, any_penalty=True) == ""
    assert relations.of(cells, fresh, "lpips", MOMENTS).r.runs == 0
    assert relations.of(cells, fresh, "lpips", MOMENTS, any_penalty=True).r.runs == 4
    evidence = assess_indicator(relations).evidence
    start = "Estimate of fresh critics, by the same rule: it counts nowhere; whatever the penalty, "
    assert any(line.startswith(start) and "of 2 objectives" in line for line in evidence)
    at_moments = next(line for line in evidence if line.startswith("At the moments, the 5 samples"))
    assert "(does not count: its critic's gradient penalty is 0.200), its own estimate +" in at_moments
    across = next(line for line in evidence if line.startswith("Across trainings"))
    assert "estimate of fresh critics, whatever the penalty: " in across
    assert "estimate of fresh critics: " not in across
    assert "over 12 trainings in 3 cells" in across
