"""The table of the best cells."""

from fake_study import results

from srez.report.best import best_cells
from srez.report.text import MINUS


def test_a_cell_with_an_unstable_training_is_listed_and_compared(tmp_path):
    """PSNR ends at 20, but of one training at 15: the means are 5/3 apart, with the spread of three seeds.

    Its standard error is sqrt(25 / 3 / 3) = 5/3, of two degrees of freedom: 4.303 of them are 7.17.
    """
    rows, note = best_cells(results(tmp_path, {"wgangp-deconv-s0": "oscillating"}))
    assert [row["title"] for row in rows] == ["gan / resnet", "wgan-gp / resnet", "wgan-gp / deconv"]
    assert rows[2]["words"] == "1 oscillating, 2 converged"
    assert rows[2]["comparison"] == f"{MINUS}1.67 [{MINUS}8.84, +5.50] from the first, not told apart"
    assert "Not listed" not in note


def test_a_cell_most_of_which_diverged_is_not_listed(tmp_path):
    words = {f"gan-resnet-s{seed}": "diverged" for seed in range(2)}
    rows, note = best_cells(results(tmp_path, words))
    assert [row["title"] for row in rows] == ["wgan-gp / resnet", "wgan-gp / deconv"]
    assert "Not listed: 1 with figures of fewer than half of the seeds" in note
