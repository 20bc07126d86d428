"""What a study has come to, read from its folder."""

from fake_study import RUNS, begin, train, usual

from srez.report.results import UNDER_WAY, Results, RunResult, format_labels
from srez.report.tables import read_results
from srez.study.grid import read_study


def test_labels_without_letters_bring_their_axis():
    assert format_labels({"objective": "wgan-gp", "critic_iters": "5", "width": "0.5"}) == (
        "wgan-gp / critic_iters 5 / width 0.5"
    )


def test_an_objective_that_is_no_label_goes_by_its_name(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('[base]\nmax_batches = 9\nloss_func = "wgangp"\n[axes]\nwidth = [0.5, 1]')
    study = read_study(str(path))
    found = Results(study, [RunResult(run, UNDER_WAY) for run in study.runs()])
    assert list(found.objectives) == ["wgan-gp"]


def test_a_training_that_was_made_longer_is_under_way(tmp_path):
    folder = begin(tmp_path / "s")
    train(folder, RUNS[0], usual(0), 60, exit=0)
    assert read_results(str(folder)).runs[0].state == UNDER_WAY
