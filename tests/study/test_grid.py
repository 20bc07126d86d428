"""Studies as files: the grid, its trainings, what is refused; presets against the papers' numbers."""

import dataclasses
from itertools import product

import pytest
from helpers import ROOT

from srez.errors import UserError
from srez.options import flags
from srez.options.config import Config
from srez.study import grid
from srez.study.cells import Study, differences, slug

SMALL = """
name = "small"
seeds = [3, 1]
[base]
max_batches = 5
width = 0.5
[axes]
objective = [{preset = "gan"}, {label = "penalty!", preset = "wgan-gp", critic_iters = 2}]
critic_norm = ["batch", "none"]
width = [0.25, 1]
[[exclude]]
objective = "penalty!"
critic_norm = ["batch"]
reason = "a reason"
"""


@pytest.fixture
def load(tmp_path):
    """Writes the text of a study to study.toml and loads it."""

    def write(text: str) -> Study:
        path = tmp_path / "study.toml"
        path.write_text(text)
        return grid.read_study(str(path))

    return write


# ---- the grid --------------------------------------------------------------------------------------


def test_cells_are_all_combinations(load):
    study = load(SMALL)
    assert study.axes == {
        "objective": ["gan", "penalty!"],
        "critic_norm": ["batch", "none"],
        "width": ["0.25", "1"],
    }
    cells = study.cells()
    assert [cell.title for cell in cells] == [
        "gan / batch / 0.25",
        "gan / batch / 1",
        "gan / none / 0.25",
        "gan / none / 1",
        "penalty! / batch / 0.25",
        "penalty! / batch / 1",
        "penalty! / none / 0.25",
        "penalty! / none / 1",
    ]
    assert [cell.excluded for cell in cells] == ["", "", "", "", "a reason", "a reason", "", ""]


def test_trainings_are_cells_and_seeds_and_every_cell_comes_early(load):
    names = [run.name for run in load(SMALL).runs()]
    cells = [
        "gan-batch-0.25",
        "gan-batch-1",
        "gan-none-0.25",
        "gan-none-1",
        "penalty-none-0.25",
        "penalty-none-1",
    ]
    assert names == [f"{cell}-s3" for cell in cells] + [f"{cell}-s1" for cell in cells]


def test_what_wins_where_two_set_the_same_option(load):
    run = load(SMALL).runs()[-2]
    assert (run.name, run.seed) == ("penalty-none-0.25-s1", 1)
    options = run.options
    assert options["loss_func"] == "wgan-gp"  # preset
    assert options["critic_iters"] == 2  # its table over its preset's 5
    assert options["critic_norm"] == "none"  # a later axis over the preset's layer
    assert options["width"] == 0.25  # an axis over the base
    assert options["max_batches"] == 5  # base
    assert (options["random_seed"], options["train_time"]) == (1, 0.0)
    assert "optimizer" in options
    assert "gene_l1_factor" not in options


def test_a_whole_number_is_a_number(load):
    width = load(SMALL).runs()[1].options["width"]
    assert width == 1.0
    assert type(width) is float


def test_a_study_without_axes_is_one_cell(load):
    study = load("[base]\nmax_batches = 3")
    assert [run.name for run in study.runs()] == ["s0"]
    assert study.name == "study"


@pytest.mark.parametrize(
    ("label", "name"),
    [("WGAN-GP", "WGANGP"), ("0.25", "0.25"), ("5 steps", "5steps"), ("../x", "x"), ("ö", "")],
)
def test_labels_become_file_names(label, name):
    assert slug(label) == name


COUNTS = {"paper": (144, 60, 252), "signal": (5, 0, 25), "smoke": (4, 1, 6), "stability": (54, 27, 81)}


@pytest.mark.parametrize("name", sorted(path.stem for path in ROOT.glob("srez/studies/*.toml")))
def test_own_studies(name):
    study = grid.read_study(name)
    cells = study.cells()
    assert (len(cells), sum(bool(c.excluded) for c in cells), len(study.runs())) == COUNTS[name]
    assert study.name == name
    assert study.title.endswith("?")
    assert len(study.question) > 20
    for run in study.runs():
        samples = run.options["max_batches"] // run.options["summary_period"]
        assert samples >= 12  # verdicts want four in the last third


def test_paper_asks_what_the_2017_paper_asked():
    study = grid.read_study("paper")
    assert study.axes["objective"] == ["gan", "wgan", "wgan-gp", "2017-wgan-gp", "L1 only", "frozen critic"]
    assert study.axes["critic_norm"] == ["batch", "layer", "none"]
    assert study.axes["optimizer"] == ["adam", "rmsprop"]
    assert study.seeds == [0, 1, 2]
    left_out = {
        (c.labels["objective"], c.labels["critic_norm"], c.labels["optimizer"])
        for c in study.cells()
        if c.excluded
    }
    penalty = {(o, "batch", a) for o in ("wgan-gp", "2017-wgan-gp") for a in ("adam", "rmsprop")}
    momentum = {("wgan", norm, "adam") for norm in ("batch", "layer", "none")}
    controls = set(product(("L1 only", "frozen critic"), ("layer", "none"), ("adam", "rmsprop")))
    assert left_out == penalty | momentum | controls


# ---- what is refused -------------------------------------------------------------------------------

BASE = "[base]\nmax_batches = 5\n"
ERRORS = {
    "no TOML": ("seeds = [", ["study.toml: "]),
    "unknown key": ("seed = [0]", ["the file: 'seed'", "did you mean seeds?"]),
    "no seeds": ("seeds = []", ["seeds: must be different whole numbers"]),
    "seed twice": ("seeds = [1, 1]", ["seeds: must be different whole numbers"]),
    "seed no number": ("seeds = [true]", ["seeds: must be different whole numbers"]),
    "seed too small": (f"seeds = [-1, 2]\n{BASE}", ["--random_seed=-1", "at least 0"]),
    "no length": ("[base]\nwidth = 0.5", ["max_batches is not set", "[base]"]),
    "unknown option": ("[base]\ncritic_iter = 5", ["[base]: 'critic_iter'", "did you mean critic_iters?"]),
    "wrong type": ("[base]\nmax_batches = 5.0", ["[base]: max_batches = 5.0: must be a whole number"]),
    "no truth": ("[base]\nmax_batches = true", ["max_batches = True: must be a whole number"]),
    "no word": ("[base]\noptimizer = 1", ["optimizer = 1: must be a word in quotes"]),
    "own folder": ("[base]\ntrain_dir = 'x'", ["train_dir cannot be set in a study", "folders of its own"]),
    "own seed": ("[base]\nrandom_seed = 1", ["random_seed cannot be set in a study", "seeds"]),
    "own time": ("[base]\ntrain_time = 5", ["train_time cannot be set in a study", "max_batches"]),
    "not of a training": ("[base]\ntile = 32", ["tile cannot be set in a study", "command line"]),
    "no preset": (
        f"{BASE}preset = 'wgann'",
        ["there is no preset 'wgann' (did you mean wgan?): take one of 2017-gan, 2017-wgan, "],
    ),
    "preset with a time": (f"{BASE}preset = 'quick'", ["train_time cannot be set in a study"]),
    "axis of one": (f"{BASE}[axes]\nwidth = 0.5", ["axis width: must be a list"]),
    "axis of none": (f"{BASE}[axes]\nwidth = []", ["axis width: has no values"]),
    "axis of words": (f"{BASE}[axes]\nrecipe = ['gan']", ["axis recipe: is not named", '{preset = "gan"}']),
    "no label": (f"{BASE}[axes]\na = [{{width = 0.5}}]", ["axis a: {'width': 0.5}: needs a label"]),
    "label of signs": (f"{BASE}[axes]\na = [{{label = '--'}}]", ["axis a", "needs a label"]),
    "label twice": (f"{BASE}[axes]\nwidth = [0.5, 0.5]", ["axis width: two values are labelled 0.5"]),
    "value of an axis": (f"{BASE}[axes]\nwidth = ['x']", ["axis width, x: width = 'x': must be a number"]),
    "out of range": (
        f"{BASE}[axes]\nwidth = [0.5, 9]",
        ["cell 9: --width=9.0: must be at most 8"],
    ),
    "contradiction": (
        f"{BASE}[axes]\nloss_func = ['dcgan', 'wgangp']\nLAMBDA = [0, 10]",
        ["cell wgangp / 0: --LAMBDA=0 with --loss_func=wgan-gp"],
    ),
    "same training": (
        f"{BASE}[axes]\na = [{{label = 'x', width = 1}}, {{label = 'y'}}]",
        ["the cells x and y are the same training", "exclude one"],
    ),
    "same folder": (
        f"{BASE}[axes]\na = [{{label = 'w-1', width = 1}}, {{label = 'W1', width = 0.5}}]",
        ["the cells w-1 and W1 would share the folder W1"],
    ),
    "exclusion without a reason": (
        f"{BASE}[axes]\nwidth = [0.5, 1]\n[[exclude]]\nwidth = 1",
        ["[[exclude]]", "a reason"],
    ),
    "exclusion of nothing": (f"{BASE}[[exclude]]\nreason = 'x'", ["[[exclude]]", "needs labels"]),
    "exclusion of an unknown axis": (
        f"{BASE}[axes]\nwidth = [0.5, 1]\n[[exclude]]\nwidht = 1\nreason = 'x'",
        ["[[exclude]]: 'widht' is not known: did you mean width?"],
    ),
    "exclusion of an unknown label": (
        f"{BASE}[axes]\nwidth = [0.5, 1]\n[[exclude]]\nwidth = 2\nreason = 'x'",
        ["[[exclude]], width: '2' is not known: there are 0.5, 1"],
    ),
    "nothing left": (
        f"{BASE}[axes]\nwidth = [1]\n[[exclude]]\nwidth = 1\nreason = 'x'",
        ["every cell is excluded"],
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_one_line_that_names_the_place(load, case):
    text, parts = ERRORS[case]
    with pytest.raises(UserError) as error:
        load(text)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 500
    for part in ("study.toml", *parts):
        assert part in message


def test_a_contradiction_in_a_cell_that_is_left_out_is_none(load):
    text, _ = ERRORS["contradiction"]
    study = load(f"{text}\n[[exclude]]\nloss_func = 'wgangp'\nLAMBDA = 0\nreason = 'no penalty'")
    assert len(study.runs()) == 3


def test_a_study_that_is_not_there_names_those_that_are():
    with pytest.raises(UserError, match="no study 'nowhere': take one of paper, signal, smoke, stability"):
        grid.read_study("nowhere")


def test_own_studies_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        grid.read_study("smoke")
        == grid.read_study("studies/smoke.toml")
        == grid.read_study(ROOT / "srez/studies/smoke.toml")
    )


# ---- changing, writing, comparing ------------------------------------------------------------------


def test_paths_are_expanded(load, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("FACES", "my faces")
    text = '[base]\nmax_batches = 5\ndataset = "~/${FACES}"\nstart_from = "%s"\n'
    base = load(text % "~").base
    assert (base["dataset"], base["start_from"]) == ("/home/me/my faces", "/home/me")
    with pytest.raises(UserError, match=r"\[base\]: start_from: \$NO_SUCH: there is no variable NO_SUCH"):
        load(text % "$NO_SUCH")


def test_the_command_line_overrides_the_base(load):
    study = load(SMALL)
    changed = grid.override(study, {"dataset": "faces", "max_batches": 7})
    assert {run.options["dataset"] for run in changed.runs()} == {"faces"}
    assert {run.options["max_batches"] for run in changed.runs()} == {7}
    assert "dataset" not in study.base


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"critic_iters": 3}, "--critic_iters with --run=study: axis objective of the study sets it"),
        ({"width": 0.125}, "--width with --run=study: axis width of the study sets it"),
        ({"random_seed": 1}, "--random_seed with --run=study: the study's seeds are for that"),
        ({"checkpoint_dir": "x"}, "--checkpoint_dir with --run=study: each training has folders of its own"),
        ({"batch_size": 0}, "--batch_size=0: must be at least 1"),
    ],
)
def test_what_the_command_line_may_not_override(load, options, part):
    with pytest.raises(UserError) as error:
        grid.override(load(SMALL), options)
    assert part in str(error.value)


def test_a_written_study_needs_no_preset_and_is_the_same(load):
    study = load(SMALL)
    nasty = 'a "quoted" \\ back\tslash, \u00fc \U0001f600 \x7f and two\nlines'
    study = dataclasses.replace(
        study, question=nasty, base=study.base | {"dataset": nasty, "xla": True, "epsilon": 1e-9}
    )
    text = grid.to_toml(study)
    assert "preset" not in text
    assert load(text) == study


def test_own_studies_survive_writing(load):
    for path in ROOT.glob("srez/studies/*.toml"):
        study = grid.read_study(str(path))
        assert load(grid.to_toml(study)) == study


@pytest.mark.parametrize(
    "change",
    [
        lambda s: dataclasses.replace(s, seeds=[3, 1, 2]),
        lambda s: dataclasses.replace(s, base=s.base | {"max_batches": 6}),
        lambda s: dataclasses.replace(s, exclusions=[]),
        lambda s: dataclasses.replace(s, title="another", question="another"),
    ],
    ids=["seeds", "longer", "more cells", "words"],
)
def test_what_a_folder_takes(load, change):
    study = load(SMALL)
    assert differences(study, change(study)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda s: dataclasses.replace(s, seeds=[3]),
            [
                f"{name}-s1 is gone"
                for name in (
                    "gan-batch-0.25",
                    "gan-batch-1",
                    "gan-none-0.25",
                    "gan-none-1",
                    "penalty-none-0.25",
                    "penalty-none-1",
                )
            ],
        ),
        (
            lambda s: dataclasses.replace(s, base=s.base | {"max_batches": 4}),
            ["max_batches was 5, now 4 in 12 trainings"],
        ),
        (
            lambda s: dataclasses.replace(s, base=s.base | {"dataset": "faces"}),
            ["dataset was dataset, now faces in 12 trainings"],
        ),
    ],
    ids=["seeds", "shorter", "dataset"],
)
def test_what_a_folder_refuses(load, change, found):
    study = load(SMALL)
    assert differences(study, change(study)) == found


# ---- presets ---------------------------------------------------------------------------------------

PUBLISHED = {
    # Arjovsky et al. 2017, algorithm 1
    "wgan": {
        **{"loss_func": "wgan", "clips_weights": True, "clip_value": 0.01, "critic_iters": 5},
        **{"optimizer": "rmsprop", "learning_rate_start": 5e-5},
    },
    # Gulrajani et al. 2017, algorithm 1 and section 4; betas of algorithm 1 and of their code for 64x64
    "wgan-gp": {
        **{"loss_func": "wgangp", "clips_weights": False, "LAMBDA": 10.0, "critic_iters": 5},
        **{"optimizer": "adam", "learning_rate_start": 1e-4, "learning_beta1": 0.0, "learning_beta2": 0.9},
        **{"critic_norm": "layer"},
    },
    # the 2017 code
    "2017-gan": {"loss_func": "dcgan", "critic_iters": 1, "optimizer": "adam", "critic_norm": "batch"},
    "2017-wgan": {
        **{"loss_func": "wgan", "clips_weights": True, "clip_value": 0.01, "critic_iters": 1},
        **{"optimizer": "rmsprop", "learning_rate_start": 1e-4, "critic_norm": "batch"},
    },
    "2017-wgan-gp": {
        **{"loss_func": "wgangp", "clips_weights": False, "LAMBDA": 10.0, "critic_iters": 1},
        **{"optimizer": "adam", "learning_rate_start": 1e-4, "learning_beta1": 0.5, "learning_beta2": 0.9},
        **{"critic_norm": "layer"},
    },
    "deconv": {"gen_architect": "deconv", "loss_func": "dcgan"},
    "noise": {"input": "noise", "noise_dimension": 4, "factor": 16, "loss_func": "wgangp", "critic_iters": 5},
    "quick": {"train_time": 5.0, "width": 0.5, "gene_pixel_factor": 10.0, "back_projection": 2},
    "sharp": {
        **{"gene_pixel_factor": 30.0, "gene_ema": 0.99, "back_projection": 2, "width": 1.0},
        **{"learning_rate_schedule": "cosine", "learning_rate_batches": 100_000, "max_batches": 100_000},
    },
    "faithful": {
        **{"gene_l1_factor": 1.0, "gene_pixel_factor": 10.0, "critic_iters": 0, "gene_ema": 0.999},
        **{"learning_rate_start": 3e-4, "learning_rate_batches": 9_000, "max_batches": 9_000},
        **{"train_noise": 0.01, "back_projection": 2, "width": 1.0},
    },
    "hinge": {
        **{"loss_func": "hinge", "critic_norm": "spectral", "gene_pixel_factor": 10.0, "gene_ema": 0.999},
        **{"back_projection": 2, "learning_rate_half_life": 3000, "max_batches": 9001},
    },
}


@pytest.mark.parametrize("preset", sorted(path.stem for path in ROOT.glob("srez/presets/*.flags")))
def test_presets_are_what_was_published(preset):
    given = flags.read_flagfile(str(ROOT / "srez" / "presets" / f"{preset}.flags"))
    config = Config(**given)
    assert {name: getattr(config, name) for name in PUBLISHED[preset]} == PUBLISHED[preset]


@pytest.mark.parametrize("name", ["2017-gan", "gan"])
def test_the_paper_s_recipe_spells_out_the_defaults(name):
    given = flags.read_preset(name)
    assert Config(**given) == Config()
    assert {"loss_func", "critic_norm", "critic_iters", "optimizer", "learning_rate_start"} <= given.keys()
    assert len(given) == 7
