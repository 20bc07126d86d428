"""What a study has come to, read from its folder."""

from fake_study import RUNS, begin, train, usual

from srez.report.results import UNDER_WAY, format_labels
from srez.report.tables import read_results


def test_labels_without_letters_bring_their_axis():
    assert format_labels({"objective": "wgan-gp", "critic_iters": "5", "width": "0.5"}) == (
        "wgan-gp / critic_iters 5 / width 0.5"
    )


def test_a_training_that_was_made_longer_is_under_way(tmp_path):
    folder = begin(tmp_path / "s")
    train(folder, RUNS[0], usual(0), 60, exit=0)
    assert read_results(str(folder)).runs[0].state == UNDER_WAY
