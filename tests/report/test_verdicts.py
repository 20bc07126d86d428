"""Verdicts on made-up curves with known answers; correlations and intervals against values found by hand."""

import numpy as np
import pytest

from srez.report.correlations import (
    CORRELATION_KINDS,
    MIN_PAIRS,
    correlations,
    difference,
    given_batch,
    has_fallen,
    indicator_applies,
    over_seeds,
    paired_samples,
    since_last_sample,
    spearman,
)
from srez.report.verdicts import (
    consensus,
    last_value,
    level,
    mean_over_seeds,
    shape,
    share_interval,
    verdict,
)

BATCH = np.arange(31.0)
of_changes = CORRELATION_KINDS["of_changes"].compute


def curve(values) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, float)
    return np.linspace(0, 30, len(values)), values


def rising_then(tail) -> tuple[np.ndarray, np.ndarray]:
    """0 to 1 in a straight line over the first 20 batches, then `tail`, ten values."""
    return curve([*np.arange(21) / 20, *tail])


def plateau(lost: float) -> tuple[np.ndarray, np.ndarray]:
    """1 from batch 5 to 12, then `lost` below it to the end."""
    return curve([0, 0.25, 0.5, 0.75, 0.9, *[1] * 8, *[1 - lost] * 18])


def wave(height: float) -> tuple[np.ndarray, np.ndarray]:
    """1 from batch 0 on but for the first sample, 0; in the last third five waves from trough to crest."""
    phase = np.clip((np.linspace(0, 30, 601) - 20) / 10, 0, 1)
    values = 1 + height / 2 * np.sin(2 * np.pi * 5 * phase)
    values[0] = 0
    return curve(values)


NOTHING = (np.array([]), np.array([]))


def word(quality, diversity=NOTHING, exit=0, losses=()) -> str:
    return verdict(exit, quality, diversity, losses).word


def test_shape_of_a_curve_found_by_hand():
    """Levels 0, 0.5, 1, 1, ... with an outlier at 2, and 0.9 in the end."""
    s = shape(curve([0, 0.5, 1, 1, 1, 2, 1, 1, 1, 0.9, 0.9, 0.9]))
    assert (s.gain, s.final_gain) == pytest.approx((1, 0.9))  # the outlier is alone: its median of three is 1
    assert s.drop == pytest.approx(0.1)
    # the last third is the last four: 1, 0.9, 0.9, 0.9; slope -0.03 a sample, three samples long
    assert s.change == pytest.approx(-0.09)
    rest = np.array([0.03, -0.04, -0.01, 0.02])
    assert s.oscillation == pytest.approx(2 * np.sqrt(2) * np.sqrt(np.square(rest).sum() / 2))


def test_shares_do_not_depend_on_the_scale():
    one, other = shape(wave(0.3)), shape(curve(7 - 100 + 100 * wave(0.3)[1]))
    assert other.gain == pytest.approx(100 * one.gain)
    assert other[2:] == pytest.approx(one[2:])


@pytest.mark.parametrize(("samples", "known"), [(9, False), (10, True)])
def test_four_samples_in_the_last_third_are_needed(samples, known):
    quality = curve(1 - np.exp(-np.arange(samples)))
    assert (shape(quality) is not None) == known
    assert (word(quality) == "too short") == (not known)


def test_swing_is_the_height_of_a_wave():
    assert shape(wave(0.3)).oscillation * shape(wave(0.3)).gain == pytest.approx(0.3, rel=0.05)


def test_level_of_a_distance_is_the_same_for_every_halving():
    _, values = level("swd", (BATCH[:4], [80, 40, np.nan, 20]))
    assert np.diff(values) == pytest.approx([np.log(2)] * 2)
    assert level("psnr", (BATCH[:2], [20, 21]))[1].tolist() == [20, 21]


@pytest.mark.parametrize(
    ("step", "expected"),
    # the line rises by 10 steps, the gain is 1 + 9 steps: a twentieth at step 0.05 / 9.55 = 0.005236
    [(0.0, "converged"), (0.0051, "converged"), (0.0054, "improving"), (0.02, "improving")],
)
def test_improving_or_converged(step, expected):
    assert word(rising_then(1 + step * np.arange(1, 11))) == expected


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (0.0, "converged"),
        (0.09, "converged"),
        (0.11, "undecided"),
        (0.19, "undecided"),
        (0.21, "oscillating"),
    ],
)
def test_falling_back(lost, expected):
    assert word(plateau(lost)) == expected


def test_a_slow_fall_in_the_last_third_is_undecided():
    """Ten steps down of 0.0054 are more than a twentieth; 0.0048 are less."""
    assert word(rising_then(1 - 0.0056 * np.arange(1, 11))) == "undecided"
    assert word(rising_then(1 - 0.0046 * np.arange(1, 11))) == "converged"


@pytest.mark.parametrize(
    ("height", "expected"), [(0.1, "converged"), (0.19, "converged"), (0.26, "oscillating")]
)
def test_swinging(height, expected):
    assert word(wave(height)) == expected


def test_a_single_bad_sample_is_no_oscillation():
    values = np.append(0, np.ones(60))
    values[30] = 0.2
    assert word(curve(values)) == "converged"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(31), "no gain"),
        (-np.arange(31), "no gain"),
        (np.append(0, np.full(30, 1e-6)), "converged"),
        ([0, *[1] * 20, *[-0.1] * 10], "no gain"),
    ],
)
def test_no_gain(values, expected):
    assert word(curve(values)) == expected


@pytest.mark.parametrize(("rest", "expected"), [(0.24, "collapsed"), (0.26, "converged")])
def test_collapse(rest, expected):
    assert word(plateau(0), curve([*np.ones(16), *np.full(15, rest)])) == expected


def test_collapse_is_judged_by_the_end():
    """It was gone in the middle and came back; and one low sample in the end is not the median."""
    assert word(plateau(0), curve([*np.ones(5), *np.zeros(10), *np.ones(15), 0.0])) == "converged"


@pytest.mark.parametrize(("growth", "expected"), [(0.04, "collapsed"), (0.06, "converged")])
def test_diversity_that_is_on_its_way_up_has_not_collapsed(growth, expected):
    """The last third has eleven samples: three low, five between, three high."""
    late = [*[0.1] * 3, *[0.1 + growth / 2] * 5, *[0.1 + growth] * 3]
    assert word(plateau(0), curve([*np.full(20, 0.05), *late])) == expected


def test_collapse_without_a_number():
    assert word(plateau(0), curve(np.full(31, np.nan))) == "converged"


@pytest.mark.parametrize(
    ("exit", "losses", "expected"),
    [
        (3, (), "diverged"),
        (0, (1.0, np.nan), "diverged"),
        (0, (np.inf,), "diverged"),
        (0, (1.0,), "converged"),
    ],
)
def test_divergence(exit, losses, expected):
    assert word(plateau(0), exit=exit, losses=losses) == expected


def test_divergence_needs_no_curve():
    assert word(NOTHING, exit=3) == "diverged"
    assert word(NOTHING, curve(np.zeros(31))) == "too short"


def test_the_first_rule_wins():
    nothing = curve(np.zeros(31))
    assert word(nothing, nothing, exit=3) == "diverged"
    assert word(nothing, nothing) == "collapsed"


def test_reasons_hold_the_figures():
    assert verdict(0, plateau(0.25)).reason == "fell back by 25% of the gain"
    assert verdict(0, wave(0.3)).reason.startswith("swings by 2")
    assert verdict(0, plateau(0), curve(np.full(31, 0.125))).reason == "diversity 0.12 in the last third"


def test_consensus():
    assert consensus(["converged", "improving", "converged"]) == ("converged", 2)
    assert consensus(["converged", "diverged"]) == ("diverged", 1)  # the first of the table


def test_mean_over_seeds_found_by_hand():
    found = mean_over_seeds([1, 2, 3, np.nan])
    assert (found.mean, found.deviation, found.count) == pytest.approx((2, 1, 3))
    assert found.high - 2 == 2 - found.low == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    one, none = mean_over_seeds([5]), mean_over_seeds([])
    assert (one.mean, one.count) == (5, 1)
    assert np.isnan([one.low, one.deviation, none.mean]).all()


def test_interval_of_a_share():
    low, high = share_interval(8, 8)
    assert (low, high) == pytest.approx((0.025 ** (1 / 8), 1))
    assert share_interval(0, 8) == pytest.approx((0, 1 - 0.025 ** (1 / 8)))
    assert share_interval(0, 0) == (0, 1)


def test_last_value():
    assert last_value(curve([9, 9, 1, 5, 2, np.nan])) == 2
    assert np.isnan(last_value(curve([np.nan])))


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
        ("wasserstein_estimate", FALLING, "swd", FALLING, 1),
        ("wasserstein_estimate", RISING, "ssim", RISING, -1),
        ("heldout_wasserstein_estimate", FALLING, "swd", RISING, -1),
        ("generator_loss", FALLING, "consistency", RISING, 1),
        ("discriminator_tot_loss", RISING, "psnr", RISING, 1),
        ("discriminator_tot_loss", FALLING, "swd", RISING, 1),
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
    found = correlations("generator_loss", those, "swd", those)
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


def test_three_seeds_of_one_cell_reach_from_the_smallest_to_the_largest():
    """All three the smallest has a chance of 1 in 27, more than the 2.5% that are cut off."""
    found = over_seeds([[0.2, 0.5, 0.9]])
    assert found.mean == pytest.approx(1.6 / 3)
    assert (found.low, found.high, found.runs, found.cells) == (pytest.approx(0.2), pytest.approx(0.9), 3, 1)


def test_many_seeds_come_near_the_normal_interval():
    values = np.random.default_rng(0).normal(0.3, 0.1, 400)
    found = over_seeds([values])
    reach = 1.96 * values.std() / np.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=6e-4)


def test_cells_are_kept_and_count_alike():
    """Cells that differ widely, each without spread: no uncertainty over seeds, however unlike the cells."""
    found = over_seeds([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0]])
    assert found[:3] == pytest.approx((0.5, 0.5, 0.5))


def test_a_cell_with_one_seed():
    alone = over_seeds([[0.4], [0.6]])
    assert alone.mean == pytest.approx(0.5)
    assert np.isnan([alone.low, alone.high]).all()
    with_others = over_seeds([[0.4, np.nan], [0.6, 0.8]])
    assert (with_others.mean, with_others.runs, with_others.cells) == (pytest.approx(0.7), 2, 1)
    assert np.isnan(over_seeds([[], [np.nan]]).mean)


def test_difference_of_two_groups():
    found = difference([[0.8, 0.8, 0.8]], [[0.1, 0.2, 0.3]])
    assert found[:3] == pytest.approx((0.6, 0.5, 0.7))
    assert np.isnan(difference([], [[0.1, 0.2]]).mean)
