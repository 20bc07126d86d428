"""Curves of several trainings as one."""

import numpy as np
import pytest
from fake_study import results

from srez.report import curves
from srez.report.curves import align_curves, band, pool_cells


def test_a_band_holds_what_two_curves_share():
    ones = (np.array([0, 10, 20, 30]), np.array([1, 2, np.nan, 4]))
    others = (np.array([0, 10, 20]), np.array([3.0, 6, 9]))
    batch, middle, low, high = band(*align_curves([ones, others]))
    assert batch.tolist() == [0, 10]
    assert [middle.tolist(), low.tolist(), high.tolist()] == [[2, 4], [1, 2], [3, 6]]
    assert band(*align_curves([ones]))[0].tolist() == [0, 10, 30]
    assert len(band(*align_curves([]))[0]) == 0


def test_long_curves_are_averaged_over_the_same_stretches():
    """One of them ends early; both have the mean of a straight line over each stretch."""
    long, short = np.arange(1, 1201.0), np.arange(1, 601.0)
    ends, table = align_curves([(long, long), (short, 2 * short)])
    assert len(ends) == 120
    width = np.diff(ends, prepend=0)
    middle = ends - (width - 1) / 2
    np.testing.assert_allclose(table[0], middle)
    before = ends <= 600
    np.testing.assert_allclose(table[1][before], 2 * middle[before])
    assert np.isnan(table[1][ends > 600 + width.max()]).all()


@pytest.mark.parametrize(("most", "groups"), [(4, 3), (3, 3), (2, 2), (1, 2)])
def test_large_grids_are_pooled(tmp_path, most, groups):
    """Two objectives, three cells: by both axes, or by the first alone."""
    cells = results(tmp_path, {}).included
    found = pool_cells(cells, ["objective", "gen_architect"], most)
    assert len(found) == groups
    assert sum(map(len, found.values())) == 3
    assert list(pool_cells(cells, [], most)) == [()]


def test_the_line_of_bicubic_is_within_the_axes(tmp_path, monkeypatch):
    """Curves from 10 to 20, bicubic enlargement at 30: a single value among so many, yet not cut off."""
    monkeypatch.setattr(curves, "make_panel", lambda name, alt, figure: figure)
    found = results(tmp_path, {})
    for run in found.runs:
        run.curves["bicubic_psnr"] = (np.array([0.0]), np.array([30.0]))
    for figure in curves.quality_panels(found, "psnr"):
        assert figure.axes[0].get_ylim() == pytest.approx((10 - 0.06 * 20, 30 + 0.06 * 20))
