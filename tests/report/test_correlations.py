"""Correlations against values found by hand."""

import numpy as np
import pytest

from srez.report.correlations import (
    CORRELATION_KINDS,
    MIN_PAIRS,
    correlations,
    given_batch,
    has_fallen,
    indicator_applies,
    paired_samples,
    since_last_sample,
    spearman,
)

of_changes = CORRELATION_KINDS["of_changes"].compute


def test_spearman_found_by_hand():
    """Squared differences of ranks: 4, so 1 - 6 * 4 / (5 * 24); with ties the correlation of middle ranks."""
    assert spearman(np.array([1, 2, 3, 4, 5]), np.array([20, 10, 40, 30, 50])) == pytest.approx(0.8)
    assert spearman(np.array([1, 2, 2, 3]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert spearman(np.arange(5), np.exp(-np.arange(5))) == pytest.approx(-1)
    assert np.isnan(spearman(np.arange(5), np.ones(5)))
    assert np.isnan(spearman(np.array([1.0]), np.array([1.0])))


def test_partial_correlation_found_by_hand():
    """0.3 among each other, 0.8 each with the batch."""
    batch, x, y = np.arange(5), np.array([2, 1, 4, 3, 5]), np.array([1, 3, 2, 5, 4])
    assert spearman(x, y) == pytest.approx(0.3)
    assert given_batch(batch, x, y) == pytest.approx((0.3 - 0.64) / 0.36)
    assert np.isnan(given_batch(batch, batch**2, y))  # nothing is left of x


def test_correlation_of_changes_found_by_hand():
    """Changes 1, 2, -1, 3 and 2, 1, -5, 9: ranks 2, 3, 1, 4 and 3, 2, 1, 4."""
    x, y = np.cumsum([0, 1, 2, -1, 3]), np.cumsum([0, 2, 1, -5, 9])
    assert of_changes(np.arange(5), x, y) == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_a_common_trend_alone_counts_only_as_it_is():
    """Two series that only share the clock; and two that share their noise too."""
    random = np.random.default_rng(1)
    batch = np.arange(400.0)
    one, other = (batch / 100 + random.normal(size=400) for _ in range(2))
    assert spearman(one, other) > 0.5
    assert abs(given_batch(batch, one, other)) < 0.12
    assert abs(of_changes(batch, one, other)) < 0.12
    assert given_batch(batch, one, one + 0.1 * other) > 0.9
    assert of_changes(batch, one, one + 0.1 * other) > 0.9


def test_logged_values_are_averaged_since_the_last_sample():
    logged = (np.array([10, 20, 30, 40, 50, 60]), np.array([1, 3, np.nan, 6, 8, 100]))
    found = since_last_sample(logged, np.array([0, 20, 50]))
    assert found[1:].tolist() == [2, 7]
    assert np.isnan(found[0])


FALLING = (np.arange(1, 10.0), np.arange(9, 0, -1.0))
RISING = (np.arange(1, 10.0), np.arange(1, 10.0) ** 2)


@pytest.mark.parametrize(
    ("indicator", "logged", "figure", "sampled", "sign"),
    [
        ("wasserstein_estimate", FALLING, "psnr", RISING, 1),
        ("wasserstein_estimate", FALLING, "lpips", FALLING, 1),
        ("wasserstein_estimate", RISING, "ssim", RISING, -1),
        ("heldout_wasserstein_estimate", FALLING, "lpips", RISING, -1),
        ("generator_loss", FALLING, "consistency", RISING, 1),
        ("discriminator_tot_loss", RISING, "psnr", RISING, 1),
        ("discriminator_tot_loss", FALLING, "lpips", RISING, 1),
    ],
)
def test_plus_one_means_that_the_indicator_tells_quality(indicator, logged, figure, sampled, sign):
    assert correlations(indicator, logged, figure, sampled)["within_run"] == pytest.approx(sign)


def test_pairs_leave_out_what_is_no_number():
    logged = (np.array([1, 2, 3]), np.array([5, np.nan, 7]))
    batch, signed, quality = paired_samples(
        "generator_loss", logged, "psnr", (np.arange(4), [9, 10, 20, np.nan])
    )
    assert (batch.tolist(), signed.tolist(), quality.tolist()) == ([1], [-5], [10])


@pytest.mark.parametrize("count", [MIN_PAIRS - 1, MIN_PAIRS])
def test_eight_pairs_are_needed(count):
    those = (np.arange(1.0, count + 1), np.arange(count, 0, -1.0))
    found = correlations("generator_loss", those, "lpips", those)
    assert found["pairs"] == count
    assert np.isnan(found["within_run"]) == (count < MIN_PAIRS)


def test_estimates_of_a_distance_need_a_wasserstein_critic():
    assert indicator_applies("wasserstein_estimate", "wgangp")
    assert not indicator_applies("heldout_wasserstein_estimate", "dcgan")
    assert indicator_applies("generator_loss", "dcgan")


def test_whether_an_estimate_fell():
    assert has_fallen(FALLING) is True
    assert has_fallen(RISING) is False
    assert has_fallen((np.arange(8), np.arange(8))) is None
