"""Correlations of indicators, against values found by hand; their intervals against simulated trainings."""

import numpy as np
import pytest

from srez.report.correlations import (
    cell_correlation,
    fisher,
    indicator_applies,
    since_last_sample,
    spearman,
)
from srez.report.intervals import over_seeds


def test_spearman_found_by_hand():
    """Squared differences of ranks: 4, so 1 - 6 * 4 / (5 * 24); with ties the correlation of middle ranks."""
    assert spearman(np.array([1, 2, 3, 4, 5]), np.array([20, 10, 40, 30, 50])) == pytest.approx(0.8)
    assert spearman(np.array([1, 2, 2, 3]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert spearman(np.arange(5), np.exp(-np.arange(5))) == pytest.approx(-1)
    assert np.isnan(spearman(np.arange(5), np.ones(5)))
    assert np.isnan(spearman(np.array([1.0]), np.array([1.0])))


def test_fisher_found_by_hand():
    """Six ranks of which two neighbours are swapped have 1 - 6 * 2 / 210; half as far from 1 counts as 1."""
    assert fisher(0.6, 6) == pytest.approx(np.log(2))  # half the logarithm of 1.6 / 0.4
    assert fisher(1, 6) == -fisher(-1, 6) == pytest.approx(np.log((1 + 34 / 35) / (1 / 35)) / 2)


def test_logged_values_are_averaged_since_the_last_sample():
    logged = (np.array([10, 20, 30, 40, 50, 60]), np.array([1, 3, np.nan, 6, 8, 100]))
    found = since_last_sample(logged, np.array([0, 20, 50]))
    assert found[1:].tolist() == [2, 7]
    assert np.isnan(found[0])


def test_estimates_of_a_distance_need_a_wasserstein_critic():
    assert indicator_applies("wasserstein_estimate", "wgangp")
    assert not indicator_applies("heldout_wasserstein_estimate", "dcgan")
    assert indicator_applies("fresh_wasserstein_estimate", "dcgan")
    assert indicator_applies("generator_loss", "dcgan")


BATCH = np.arange(1.0, 6)


def curves(*values) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(BATCH[: len(each)], np.array(each, float)) for each in values]


def test_a_cell_found_by_hand():
    """Three trainings of five samples. The first's indicator has 1, 0.9 and 0.8 with the three truths."""
    truths = curves([1, 2, 3, 4, 5], [2, 1, 3, 4, 5], [2, 1, 4, 3, 5])
    found = cell_correlation(truths, truths, least=5)
    assert found.pairs.tolist() == [5, 5, 5]
    assert found.r == pytest.approx([1, 1, 1])
    top, a, b = np.arctanh([1 - 6 / 120, 0.9, 0.8])
    assert found.z == pytest.approx([top] * 3)
    assert found.null_z == pytest.approx([(a + b) / 2, a, (a + b) / 2])
    # the mean of three leads, and of the two that are left without each training
    lead, without = top - (2 * a + b) / 3, np.array([top - a, top - b, top - a])
    assert found.excess_z == pytest.approx(3 * lead - 2 * without)
    assert found.excess_z.mean() == pytest.approx(lead)


def test_trainings_meet_at_the_batches_that_both_have():
    """One ended early: three pairs are too few for it, with itself and with the others."""
    those = curves([1, 2, 3, 4, 5], [3, 1, 2], [1, 2, 3, 5, 4])
    found = cell_correlation(those, those, least=4)
    assert found.pairs.tolist() == [5, 3, 5]
    assert np.isnan([found.r[1], found.null_z[1]]).all()
    assert found.null_z[0] == pytest.approx(np.arctanh(0.9))
    assert np.isnan(found.excess_z).all()  # of two that are left


def test_a_clock_has_no_excess():
    truths = curves([1, 3, 2, 4, 5], [2, 1, 3, 5, 4], [1, 2, 3, 4, 5])
    found = cell_correlation(curves(*[BATCH] * 3), truths, least=5)
    assert found.r.tolist() == pytest.approx([0.9, 0.8, 1])
    assert found.excess_z == pytest.approx([0, 0, 0])


def simulated(random, seeds: int, samples: int, coupled: bool) -> tuple[list, list]:
    """Curves of trainings that improve, with deviations of their own that last a while.

    The indicator has the trend; where it is coupled it has the training's own deviations too.
    """

    def lasting() -> np.ndarray:
        noise = random.normal(size=(seeds, samples))
        for i in range(1, samples):
            noise[:, i] = 0.5 * noise[:, i - 1] + np.sqrt(0.75) * noise[:, i]
        return noise

    batch, own = np.arange(1.0, samples + 1), lasting()
    trend = (3 + 0.6 * random.normal(size=(2, seeds, 1))) * batch / samples
    truths, indicators = trend[0] + own, trend[1] + lasting() + coupled * own
    return [(batch, each) for each in indicators], [(batch, each) for each in truths]


# means of z and of its excess in 8,000 other studies of five seeds (default_rng(12345)), within 0.004;
# without coupling the excess is 0, since a training's indicator goes with its own truth as with any other's
TRUTHS = {(32, False): (0.481, 0.0), (32, True): (1.052, 0.678), (6, True): (1.120, 0.587)}


@pytest.mark.parametrize(
    ("seeds", "samples", "coupled", "low", "high"),
    [(5, 32, False, 0, 0.03), (5, 32, True, 0.85, 1), (5, 6, True, 0.1, 0.3), (3, 32, True, 0.3, 0.5)],
)
def test_intervals_cover(seeds, samples, coupled, low, high):
    """At all samples of a study and at few moments; and how often an excess is seen.

    The standard error of a coverage is 1.1%. In 2,000 studies each that of r is 94 to 96%, of the excess 95
    to 97%: the jackknife's interval is a little wide.
    """
    random = np.random.default_rng(0)
    studies = [cell_correlation(*simulated(random, seeds, samples, coupled), least=5) for _ in range(400)]
    for kind, true in zip(("z", "excess_z"), TRUTHS[samples, coupled], strict=True):
        intervals = [over_seeds([getattr(study, kind)]) for study in studies]
        assert 0.93 <= np.mean([each.low <= true <= each.high for each in intervals]) <= 0.98, kind
    assert low <= np.mean([each.low > 0 for each in intervals]) <= high
