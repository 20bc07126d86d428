"""Verdicts on made-up curves with known answers."""

import numpy as np
import pytest

from srez.report.verdicts import (
    RULE,
    UNSTABLE,
    consensus,
    last_value,
    level,
    shape,
    verdict,
)

BATCH = np.arange(31.0)


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
    _, values = level("lpips", (BATCH[:4], [80, 40, np.nan, 20]))
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


@pytest.mark.parametrize(
    ("bicubic", "expected"),
    [(0.99, "converged"), (1.0, "worse than bicubic"), (1.01, "worse than bicubic"), (np.nan, "converged")],
)
def test_worse_than_bicubic(bicubic, expected):
    """A training that ends at level 1: as good is not better; without that figure the word is not used."""
    assert verdict(0, plateau(0), bicubic=bicubic).word == expected


def test_what_is_unstable_is_not_called_worse_than_bicubic():
    assert verdict(0, plateau(0.25), bicubic=9).word == "oscillating"
    assert verdict(0, curve(np.zeros(31)), bicubic=9).word == "no gain"
    assert verdict(0, rising_then(1 + 0.02 * np.arange(1, 11)), bicubic=9).word == "worse than bicubic"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "no adversary"), (0.0099, "no adversary"), (0.0101, "converged"), (np.nan, "converged")],
)
def test_no_adversary(share, expected):
    """Where the critic's share of the gradient was not recorded the word is not used."""
    assert verdict(0, plateau(0), gradient_share=share).word == expected
    assert expected not in UNSTABLE


def test_no_adversary_comes_after_what_is_worse_and_instead_of_what_is_good():
    assert verdict(0, plateau(0.25), gradient_share=0).word == "oscillating"
    assert verdict(0, plateau(0), bicubic=1, gradient_share=0).word == "worse than bicubic"
    assert verdict(0, plateau(0.11), gradient_share=0).reason == (
        "the critic has 0.0% of the gradient on the output; otherwise undecided"
    )
    assert (
        verdict(0, plateau(0), gradient_share=0, limits=RULE._replace(gradient_share=0)).word == "converged"
    )


@pytest.mark.parametrize(("limit", "lost", "height"), [(0.15, 0.16, 0.17), (0.3, 0.31, 0.4)])
def test_other_limits_are_of_falling_back_and_of_swinging(limit, lost, height):
    other = RULE._replace(oscillation=limit)
    assert verdict(0, plateau(lost), limits=other).word == "oscillating"
    assert verdict(0, plateau(lost - 0.02), limits=other).word == "undecided"
    assert verdict(0, wave(height), limits=other).word == "oscillating"
    assert verdict(0, wave(height - 0.1), limits=other).word in ("converged", "undecided")


def test_reasons_hold_the_figures():
    assert verdict(0, plateau(0.25)).reason == "fell back by 25% of the gain"
    assert verdict(0, wave(0.3)).reason.startswith("swings by 2")
    assert verdict(0, plateau(0), curve(np.full(31, 0.125))).reason == "diversity 0.12 in the last third"


def test_consensus():
    """More than two thirds: all of two and of three, four of five."""
    assert consensus(["converged"] * 3) == "converged"
    assert consensus(["converged", "improving", "converged"]) == "mixed"
    assert consensus(["improving", *["converged"] * 4]) == "converged"
    assert consensus([*["improving"] * 2, *["converged"] * 4]) == "mixed"  # two thirds of six
    assert consensus(["converged", "diverged"]) == "mixed"


def test_last_value():
    assert last_value(curve([9, 9, 1, 5, 2, np.nan])) == 2
    assert np.isnan(last_value(curve([np.nan])))
