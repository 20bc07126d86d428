"""Controls: in every shipped study, told by their options, and beside the objectives in the report."""

import numpy as np
import pytest
from fake_study import results
from helpers import ROOT

from srez.report.controls import BICUBIC_TITLE, control_rows, missing_controls
from srez.report.results import FROZEN_CRITIC, L1_ONLY, CellResult
from srez.study import grid

WITHOUT = {"smoke"}  # nobody looks at its results
SHIPPED = {path.stem for path in ROOT.glob("srez/studies/*.toml")} - WITHOUT


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_shipped_study_has_its_controls(name):
    cells = [CellResult(cell, []) for cell in grid.read_study(name).cells() if not cell.excluded]
    assert {L1_ONLY, FROZEN_CRITIC} <= {cell.control for cell in cells}


def test_controls_stand_beside_the_objectives(tmp_path):
    """PSNR ends at 20 but for one training with the L1 term alone, at 15: its six have a mean of 115 / 6.

    One of its two cells has no spread, so that all is the other's: variance 25/3 of three seeds, of which
    WGAN-GP's lead has a quarter, with two degrees of freedom.
    """
    found = results(tmp_path, {"L1only-deconv-s0": "oscillating"}, controls=True)
    bicubic, control, gan, wgan_gp = control_rows(found)
    assert (bicubic.title, bicubic.is_control, bicubic.figures["psnr"].mean) == (BICUBIC_TITLE, True, 11)
    assert np.isnan(bicubic.figures["psnr"].low)
    assert (control.title, control.is_control, control.cells, control.runs) == (L1_ONLY, True, 2, 6)
    assert control.figures["psnr"].mean == pytest.approx(115 / 6)
    assert np.isnan(control.beyond_l1.mean)
    assert (wgan_gp.title, wgan_gp.is_control, wgan_gp.cells, wgan_gp.runs) == ("wgan-gp", False, 2, 6)
    reach = 4.302653 * np.sqrt(25 / 3 / 3 / 4)
    assert wgan_gp.beyond_l1[:3] == pytest.approx((5 / 6, 5 / 6 - reach, 5 / 6 + reach))
    assert gan.beyond_l1.mean == 0  # with the resnet, which is trained both ways
    assert missing_controls(found).startswith("This study does not have trainings with the control “frozen")


def test_a_study_without_controls_says_so(tmp_path):
    found = results(tmp_path, {})
    for r in found.runs:
        del r.curves["bicubic_psnr"]
    assert [row.title for row in control_rows(found)] == ["gan", "wgan-gp"]
    told = missing_controls(found)
    assert "“worse than bicubic” is not used" in told
    assert all(f"“{name}”" in told for name in (L1_ONLY, FROZEN_CRITIC))
