"""Whether an estimate can be one of a distance, found by hand."""

import numpy as np
import pytest
from fake_study import MOMENTS, signals

from srez.report.indicator import assess_indicator
from srez.report.relations import Relations, validity
from srez.report.text import MINUS

OWN = "wasserstein_estimate"


def test_signs_and_the_share_of_fresh_critics(tmp_path):
    """Of 12 samples after batch 0 three are below 0, one is 0; at the end 0.1 to 0.2 of fresh critics'."""
    of = signals(tmp_path)
    cells = of.objectives["wgan-gp"]
    for run in of.runs:
        batch, _ = run.curves[OWN]
        run.curves[OWN] = (batch, np.array([-1.0, -2, -3, 0, *[5] * 7, 0.3 + run.run.seed / 10]))
        run.curves["fresh_wasserstein_estimate"] = (MOMENTS, np.array([9.0, 9, 9, 9, 3]))
    found = validity(cells, OWN)
    assert (found.negative, found.positive) == pytest.approx((3 / 12, 8 / 12))
    assert found.of_fresh == pytest.approx((0.45 / 3, 0.1, 0.2, 8))  # seeds 0 to 3 in two cells


def test_fresh_critics_that_find_no_distance_give_no_share(tmp_path):
    of = signals(tmp_path)
    for run in of.runs:
        run.curves["fresh_wasserstein_estimate"] = (MOMENTS, np.zeros(5))
    found = validity(of.objectives["wgan-gp"], OWN)
    assert (found.negative, found.of_fresh.runs) == (0, 0)


def test_an_estimate_that_is_mostly_negative_is_none_of_a_distance(tmp_path):
    """All estimates of `signals` with a negative sign; the fresh critics' are given theirs back."""
    of = signals(tmp_path, -1)
    for run in of.runs:
        batch, values = run.curves["fresh_wasserstein_estimate"]
        run.curves["fresh_wasserstein_estimate"] = (batch, -4 * values)
    evidence = assess_indicator(Relations(of)).evidence
    share = f"{MINUS}25.0% ({MINUS}25.0 to {MINUS}25.0)"
    assert (
        f"wgan-gp: no estimate of a distance: negative at 100% of the samples; at the end {share} of what "
        f"fresh critics find, on held-out faces {share} (median and range of trainings)."
    ) in evidence
    assert not any("no estimate" in line for line in assess_indicator(Relations(signals(tmp_path))).evidence)
