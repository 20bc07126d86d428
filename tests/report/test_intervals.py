"""Intervals against values found by hand, and how often they hold the truth, by simulation."""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest

from srez.report.intervals import (
    Interval,
    difference,
    likeness,
    over_seeds,
    share_difference,
    share_of_independent,
    share_over_cells,
    spread,
)

T = {1: 12.706205, 2: 4.302653, 4: 2.776445}  # 97.5% of Student's t


def test_one_cell_has_students_interval():
    found = over_seeds([[1, 2, 3, np.nan]])
    reach = T[2] / np.sqrt(3)
    assert found == pytest.approx((2, 2 - reach, 2 + reach, 3, 1), rel=1e-6)
    assert over_seeds([[1, 3]])[:3] == pytest.approx((2, 2 - T[1], 2 + T[1]), rel=1e-6)


def test_two_fixed_cells_found_by_hand():
    """Variances 1 of 3 seeds and 4 of 3: (1/3 + 4/3) / 4 of the mean; 2 * 5^2 / 17 degrees of freedom."""
    found = over_seeds([[1, 2, 3], [8, 10, 12]])
    freedom = 50 / 17
    between = np.interp(freedom, [2, 3], [T[2], 3.182446])  # t is convex: a little above the truth
    reach = (found.high - found.low) / 2
    assert found.mean == 6
    assert between * 0.97 < reach / np.sqrt(5 / 12) < between


def test_cells_that_scatter_alike_have_all_their_degrees_of_freedom():
    """Two cells of three seeds, variance 1 each: 4 degrees of freedom, variance of the mean 1/6."""
    found = over_seeds([[1, 2, 3], [4, 5, 6]])
    assert (found.mean, found.high - found.mean) == pytest.approx((3.5, T[4] / np.sqrt(6)), rel=1e-6)
    gap = difference([[4, 5, 6]], [[1, 2, 3]])
    assert gap == pytest.approx((3, 3 - T[4] * np.sqrt(2 / 3), 3 + T[4] * np.sqrt(2 / 3), 6, 2), rel=1e-6)


def test_fixed_cells_without_spread_leave_no_doubt():
    assert over_seeds([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [2.0, 2.0]])[:3] == (1, 1, 1)


def test_the_spread_of_values():
    assert spread([4, np.nan, 1, 3, 2]) == (2.5, 1, 4, 4)
    assert np.isnan(spread([np.nan]).median)


def test_an_interval_ends_where_its_values_do():
    assert over_seeds([[0.8, 0.9, 1.0]], (-1, 1)).high == 1
    assert over_seeds([[0.0, 0.1]], (0, np.inf)).low == 0


def test_too_few_values():
    alone = over_seeds([[0.4], [0.6]])
    assert alone.mean == pytest.approx(0.5)
    assert np.isnan([alone.low, alone.high]).all()
    assert over_seeds([[0.4, np.nan], [0.6, 0.8]])[3:] == (2, 1)  # the cell with one has no spread
    assert np.isnan([over_seeds([[], [np.nan]]).mean, difference([], [[1, 2]]).mean]).all()


def test_shares_of_independent_trainings():
    """All of eight: the lower limit is that share of which eight come with 2.5%."""
    assert share_of_independent([[1] * 8])[:3] == pytest.approx((1, 0.025 ** (1 / 8), 1))
    assert share_of_independent([[0] * 4, [0] * 4])[:3] == pytest.approx((0, 0, 1 - 0.025 ** (1 / 8)))
    assert share_of_independent([])[1:3] == (0, 1)


def test_how_alike_the_trainings_of_a_cell_are():
    """Shares 1 and 1/3: 3 * 2 * (1/3)^2 = 2/3 between, 2/3 / 4 = 1/6 within, so (1/2) / (2/3 + 2/6)."""
    assert likeness([[[1, 1, 1], [1, 0, 0]]]) == pytest.approx(0.5)
    assert likeness([[[1, 1], [0, 0]]]) == 1
    assert likeness([[[1, 0], [1, 0]]]) == 0
    assert likeness([[[1, 1], [1, 1]]]) == 1  # nothing tells
    # the objectives differ, their cells do not: 0 between, as little as can be
    assert likeness([[[1, 1, 1], [1, 1, 1]], [[1, 0, 0], [1, 0, 0]]]) == 0


def test_a_share_whose_cells_agree_within_rests_on_the_cells():
    """Six trainings, two cells: nothing tells that seeds say more than one would."""
    assert share_over_cells([[1, 1, 1], [1, 1, 1]]) == pytest.approx((1, 0.025**0.5, 1, 6, 2))
    assert share_over_cells([[1, 1, 1]])[:3] == pytest.approx((1, 0.025, 1))
    # Known to be unlike: 36 of 12 cells count as 36 (2.0301 / 2.2010)^2 = 30.63
    assert share_over_cells([[1] * 3] * 12, alike=0).low == pytest.approx(0.025 ** (1 / 30.63), abs=2e-5)


def test_difference_of_shares_found_by_hand():
    one, other = Interval(0.9, 0.6, 1.0, 9, 3), Interval(0.5, 0.1, 0.8, 9, 3)
    assert share_difference(one, other) == pytest.approx(
        (0.4, 0.4 - 0.3 * np.sqrt(2), 0.4 + np.hypot(0.1, 0.4), 18, 6)
    )


DRAWS = 800  # the standard error of a coverage of 95% is 0.8%


def coverage(intervals: Iterable[Interval], truth: float) -> float:
    """How often intervals hold the truth."""
    return float(np.mean([found.low <= truth <= found.high for found in intervals]))


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("cells", [1, 3, 6])
def test_intervals_of_means_and_differences_cover(seeds, cells):
    """Cells whose standard deviations are 1 to 3.

    Of several cells that scatter nearly alike with three seeds each, Welch and Satterthwaite's interval is a
    little wide: 40,000 draws gave 96 to 97% there, and 93.5% where one cell has nearly all the scatter.
    """
    random = np.random.default_rng(100 * seeds + cells)
    offset, deviation = np.arange(cells)[:, None], np.linspace(1, 3, cells)[:, None]
    drawn = random.normal(offset, deviation, (DRAWS, cells, seeds))
    others = random.normal(0, deviation[::-1] / 2, (DRAWS, cells, seeds))
    assert 0.93 <= coverage(map(over_seeds, drawn), offset.mean()) <= 0.97
    assert 0.93 <= coverage(map(difference, drawn, others), offset.mean()) <= 0.97


def draw_shares(
    random: np.random.Generator, truth: float, alike: float, shape: tuple[int, ...]
) -> np.ndarray:
    """How many trainings of each cell do, [DRAWS, cells]; shape: cells, seeds. Cells' shares are beta's."""
    cells, seeds = shape
    if alike in (0, 1):
        own = random.random((DRAWS, cells)) < truth if alike else np.full((DRAWS, cells), truth)
    else:
        own = random.beta(*np.array([truth, 1 - truth]) * (1 / alike - 1), (DRAWS, cells))
    return random.binomial(seeds, own)


@pytest.mark.parametrize("shape", [(1, 3), (1, 5), (3, 3), (3, 5), (6, 3), (6, 5)])
def test_intervals_of_shares_cover(shape):
    """However alike the trainings of a cell are. What is discrete cannot be met exactly: 93% or more."""
    random = np.random.default_rng(sum(shape))
    seeds = np.arange(shape[1])
    for truth, alike in itertools.product((0.5, 0.8, 0.95), (0, 0.5, 1)):
        drawn = np.sort(draw_shares(random, truth, alike, shape))
        counts, times = np.unique(drawn, axis=0, return_counts=True)
        found = [share_over_cells(seeds < count[:, None]) for count in counts]
        held = [one.low <= truth <= one.high for one in found]
        assert np.average(held, weights=times) >= 0.93, (truth, alike)


@pytest.mark.parametrize("alike", [0, 0.5, 1])
def test_shares_of_two_objectives_and_their_difference_cover(alike):
    """Six architectures, three seeds; how alike a cell's trainings are is estimated from both objectives."""
    random = np.random.default_rng(7)
    truths = (0.9, 0.6)
    seeds = np.arange(3)
    both = zip(*(draw_shares(random, truth, alike, (6, 3)) for truth in truths), strict=True)
    found = []
    for counts in both:
        groups = [seeds < count[:, None] for count in counts]
        found.append([share_over_cells(group, likeness(groups)) for group in groups])
    first, second = zip(*found, strict=True)
    assert min(coverage(first, 0.9), coverage(second, 0.6)) >= 0.93
    assert coverage(map(share_difference, first, second), 0.3) >= 0.93
