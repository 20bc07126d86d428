"""What it costs to go by an indicator, found by hand."""

import numpy as np
import pytest
from fake_study import results

from srez.report.regret import Point, across, last_moments, losses_of_stopping, regret
from srez.report.relations import Relations
from srez.report.results import FINISHED, Results, RunResult

BATCH = np.array([0.0, 10, 20, 40, 80, 160])
# after batch 0 worse than the best by 100, 0, 50, 25 and 25 percent
LPIPS = np.array([0.9, 0.4, 0.2, 0.3, 0.25, 0.25])


def study(tmp_path) -> Results:
    """Every training has the same LPIPS; the estimate of fresh critics is best at batch 40, plus the seed."""
    grid = results(tmp_path, {}).study
    found = []
    for run in grid.runs():
        fresh = np.array([9.0, 5, 1, 2, 3]) + run.seed
        curves = {"lpips": (BATCH, LPIPS - run.seed / 100 * (BATCH == 160)), "diversity": (BATCH, BATCH)}
        curves |= {"fresh_wasserstein_estimate": (BATCH[1:], fresh)}
        curves |= {"fresh_gradient_penalty": (BATCH[1:], np.full(5, 0.05))}
        found.append(RunResult(run, FINISHED, exit=0, curves=curves))
    return Results(grid, found)


def test_regret_found_by_hand(tmp_path):
    run = study(tmp_path).runs[0]
    assert losses_of_stopping(run, "fresh_wasserstein_estimate", "lpips", "moments") == pytest.approx(
        (50, 40)
    )
    assert losses_of_stopping(run, "batch", "lpips", "moments") == pytest.approx((25, 40))
    # of all samples eight are needed, and there are five
    assert np.isnan(losses_of_stopping(run, "batch", "lpips", "samples")).all()
    assert np.isnan(losses_of_stopping(run, "generator_loss", "lpips", "samples")).all()


def test_regret_of_an_objective(tmp_path):
    """The last sample of seeds 0, 1 and 2 is worse than the best by 25, 20 and 15 percent; stopping by 50."""
    relations = Relations(study(tmp_path))
    cells = relations.results.objectives["wgan-gp"]
    found = regret(relations, cells, "fresh_wasserstein_estimate", "moments")
    assert found.stopped == pytest.approx((50, 50, 50, 6))
    assert found.more_than_last == pytest.approx((30, 25, 35, 6))
    assert found.at_random == pytest.approx((39, 38, 40, 6))


def test_last_moments(tmp_path):
    of = study(tmp_path)
    of.runs[0].exit = 3  # diverged
    points = last_moments(Relations(of), "fresh_wasserstein_estimate")
    assert len(points) == 8
    assert Point("wgan-gp", "wgangp-deconv", 5, pytest.approx(0.23)) in points


def test_correlations_across_trainings_found_by_hand():
    """Within two cells the indicator goes with LPIPS, or against it; between three all the way."""
    cells = {
        "a": [(1, 0.1), (2, 0.2), (3, 0.3)],
        "b": [(4, 0.6), (5, 0.5), (6, 0.4)],
        "c": [(7, 0.7), (8, 0.8)],
    }
    points = [Point("any", cell, *pair) for cell, pairs in cells.items() for pair in pairs]
    found = across(points, "transport", "lpips")
    # ranks of LPIPS: 1 2 3 6 5 4 7 8, so squared differences of 4 and 4
    r = 1 - 6 * 8 / (8 * 63)
    reach = 1.959964 * np.sqrt(1.06 / 5)
    wanted = (r, np.tanh(np.arctanh(r) - reach), np.tanh(np.arctanh(r) + reach), 8, 3)
    assert found.trainings == pytest.approx(wanted)
    assert found.cells == pytest.approx(1)
    assert found.within == pytest.approx((0, -1, 1, 2))
    assert np.isnan(across(points[-2:], "transport", "lpips").trainings.mean)
    assert np.isnan(across(points[-4:], "transport", "lpips").trainings.low)
