"""What a study says about claim 2: which estimates count, and the answer by the rules."""

import numpy as np
import pytest
from fake_study import signals

from srez.report.claims import FAILS, HOLDS, OPEN
from srez.report.correlations import SAMPLES as ALL
from srez.report.indicator import answer, assess_indicator
from srez.report.intervals import Interval
from srez.report.relations import Relation, Relations, does_not_count
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
    counts = "in 1, not in 0" if sign > 0 else "in 0, not in 1"
    assert found.reason == f"the estimate counts in 1 Wasserstein objective; it tells quality {counts}"
    told = f"{expected} (tells quality in {max(sign, 0)} of 1 objectives)"
    assert found.evidence[1] == f"Critic's estimate on held-out faces, by the same rule: {told}."


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
    assert found.reason.endswith("it tells quality in 0, not in 0")
