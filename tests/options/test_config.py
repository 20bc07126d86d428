"""Options: declared once, checked, read by somebody; the command line; what answers without TensorFlow."""

import ast
import dataclasses
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from absl import flags
from helpers import ROOT, folders

import srez as srez_package
from srez.errors import UserError
from srez.options import flags as flags_module
from srez.options.config import Config, fields, to_dict
from srez.options.flags import GROUPS, define_flags, help_text, options_table, read_flagfile
from srez.options.rules import check
from srez.options.stored import from_dict
from srez.runs.run import Run


def parse(*words: str) -> Config | str:
    values = flags.FlagValues()
    define_flags(values)
    return flags_module.parse(["srez_main.py", *words], values)


def test_defaults_of_2017_are_kept():
    kept = {
        **{
            "batch_size": 16,
            "checkpoint_dir": "checkpoint",
            "checkpoint_period": 10000,
            "dataset": "dataset",
        },
        **{"summary_dir": "summary", "summary_period": 200, "train_dir": "train", "train_time": 200},
        **{"run": "demo", "epsilon": 1e-8, "learning_beta1": 0.5, "learning_beta2": 0.9, "optimizer": "adam"},
        **{"learning_rate_start": 1e-4, "learning_rate_half_life": 5000, "train_noise": 0.03},
        **{"sample_size": 64},
        **{"log_device_placement": False, "random_seed": 0, "test_vectors": 16, "loss_func": "dcgan"},
        **{"weigh_clip": -1, "critic_norm": "batch", "output_image": 0, "LAMBDA": 10, "gene_l1_factor": 0.9},
        **{"gen_architect": "resnet", "gen_norm": 1, "input": "scaled", "noise_dimension": 4},
    }
    config = parse("--run=demo")
    assert {name: getattr(config, name) for name in kept} == kept


def test_a_command_line_becomes_a_config():
    config = parse("--run", "train", "--max_batches=20", "--width", "0.5", "--noresume", "--deterministic")
    assert config == Config(run="train", max_batches=20, width=0.5, resume=False, deterministic=True)


def test_a_name_stands_for_the_folders_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {f"{part}_dir": f"runs/a.1/{part}" for part in ("train", "checkpoint", "summary")}
    expected = Config(run="train", **folders, output="runs/a.1/output")
    assert parse("--run=train", "--name", "a.1") == expected
    (tmp_path / "own.flags").write_text("--name=a.1\n--run=train\n")
    assert parse("--preset=own.flags") == parse("--flagfile=own.flags") == expected
    assert parse("--run=demo", "--name=a.1", "--output=x").output == "x"
    (tmp_path / "runs" / "a.1").mkdir(parents=True)
    assert parse("--run=eval", "--name=a.1").checkpoint_dir == "runs/a.1/checkpoint"


def test_words_after_compare_are_folders(home):
    config = parse("--run=compare", "runs/a", "~/b", "--folders=c")
    assert (config.folders, config.images) == (("c", "runs/a", f"{home}/b"), ())


@pytest.fixture
def home(tmp_path, monkeypatch) -> str:
    """An empty home folder, the current one too; the variable FACES is "my faces", NONE is not set."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FACES", "my faces")
    monkeypatch.delenv("NONE", raising=False)
    monkeypatch.chdir(tmp_path)
    return str(tmp_path)


PATHS = [f.name for f in fields() if f.metadata["path"]]


def test_every_text_that_may_be_a_path_is_marked():
    free = {f.name for f in fields() if f.type in (str, tuple) and f.metadata["choices"] is None}
    assert free - set(PATHS) == {"steps_at_once", "study_shard", "ray_address"}
    assert set(PATHS) <= free


@pytest.mark.parametrize("name", PATHS)
def test_paths_are_expanded_wherever_they_stand(name, home, monkeypatch):
    (Path(home) / "own.flags").write_text(f"--{name}=~/$FACES\n")
    monkeypatch.setenv("OWN", "own")
    expanded = f"{home}/my faces"
    for words in (
        [f"--{name}=~/$FACES"],
        [f"--{name}", "~/${FACES}"],
        ["--flagfile=~/${OWN}.flags"],
        ["--preset=~/$OWN.flags"],
    ):
        assert getattr(parse("--run=upscale", *words), name) in (expanded, (expanded,))


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("runs", "runs"),
        ("~", "{home}"),
        ("a~/b", "a~/b"),
        ("~draft.jpg", "~draft.jpg"),  # nobody's home, but it may be a name
        ("/x/$FACES/y", "/x/my faces/y"),
        ("price in $", "price in $"),
        ("gs://$FACES/~", "gs://$FACES/~"),
        ("cash$NONE.jpg", "cash$NONE.jpg"),  # is there
        ("cash$FACES.jpg", "cash$FACES.jpg"),
        ("cash$F*.jpg", "cash$F*.jpg"),
        ("other$FACES.jpg", "othermy faces.jpg"),
    ],
)
def test_what_is_expanded(given, path, home):
    for name in ("cash$NONE.jpg", "cash$FACES.jpg"):
        (Path(home) / name).touch()
    path = path.format(home=home)
    assert parse(f"--output={given}").output == path
    assert parse("--run=upscale", given).images == (path,)


def test_flagfile(tmp_path):
    (tmp_path / "recipe.flags").write_text("# a comment\n--loss_func=wgangp\n--critic_iters=5\n")
    config = parse(f"--flagfile={tmp_path / 'recipe.flags'}", "--critic_iters=2")
    assert (config.loss_func, config.critic_iters) == ("wgangp", 2)


@pytest.mark.parametrize(
    "words",
    [
        ["--preset=quick", "--width=0.25", "--max_batches=7"],
        ["--width=0.25", "--preset", "quick", "--max_batches=7"],
        ["--max_batches=7", "--width=0.25", "--preset=quick"],
        ["--preset={own}", "--width=0.25", "--max_batches=7"],
        ["--width=0.25", "--max_batches=7", "--preset={own}"],
    ],
)
def test_what_stands_beside_a_preset_wins(words, tmp_path):
    """quick has width 0.5, a train_time of 5 minutes and a pixel factor of 10."""
    own = tmp_path / "own.txt"
    own.write_text((ROOT / "srez" / "presets" / "quick.flags").read_text())
    config = parse("--run=train", *(word.format(own=own) for word in words))
    assert (config.width, config.max_batches, config.train_time, config.gene_pixel_factor) == (0.25, 7, 5, 10)


@pytest.mark.parametrize("first", ["--batch_size=3", "# a comment\n--batch_size=3", "\n--batch_size=3"])
def test_a_flagfile_with_a_byte_order_mark(tmp_path, first):
    for mark in ("", "\ufeff"):
        (tmp_path / "one.flags").write_text(f"{mark}{first}\n--width=0.5\n", encoding="utf-8")
        for option in ("flagfile", "preset"):
            config = parse("--run=train", f"--{option}={tmp_path / 'one.flags'}")
            assert (config.batch_size, config.width) == (3, 0.5)


def test_a_preset_is_used_in_upscale_too(tmp_path):
    """Its own back_projection beats the default of use, 2; without it that stands."""
    (tmp_path / "one.flags").write_text("--back_projection=1\n")
    assert parse("--run=upscale", f"--preset={tmp_path / 'one.flags'}").back_projection == 1
    assert parse("--run=upscale", "--preset=deconv").back_projection == 2


def test_the_options_that_a_command_line_gives_are_its_own_and_its_presets():
    values = flags.FlagValues()
    define_flags(values)
    flags_module.parse(["srez_main.py", "--preset=deconv", "--width=0.25"], values)
    assert flags_module.given_options(values) == {"gen_architect": "deconv", "width": 0.25}


@pytest.mark.parametrize("words", [["--help"], ["--run=train", "-h"]])
def test_help_is_a_text(words):
    assert parse(*words) == help_text()
    assert "--preset=NAME" in help_text()


def test_version_and_usage_are_texts():
    assert parse("--version") == f"srez {srez_package.__version__}"
    assert parse().startswith("usage: python3 srez_main.py --run train|")
    assert "--run upscale --face party.jpg" in parse()


@pytest.mark.parametrize("preset", sorted((ROOT / "srez" / "presets").glob("*.flags")), ids=lambda p: p.name)
def test_presets_are_good_command_lines(preset):
    assert parse("--run=train", f"--flagfile={preset}").run == "train"
    assert read_flagfile(str(preset))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--resume", "false"], ["leftover word 'false'", "--noname"]),
        (
            ["--learning_rate_schedule=cosine"],
            ["--learning_rate_schedule=cosine with --learning_rate_batches=0", "say over how many batches"],
        ),
        (
            ["--preset=sharp", "--learning_rate_schedule=constant"],
            ["=constant with --learning_rate_batches=100000", "add --learning_rate_batches=0 or take cosine"],
        ),
        (["--learning_rate_half_life=0"], ["--learning_rate_half_life=0", "at least 1"]),
        (["--LAMBDA=0", "--loss_func=wgangp"], ["--LAMBDA", "--loss_func"]),
        (["--sample_size=50"], ["--sample_size=50", "64, 128"]),
        (["--batch_size=-3"], ["--batch_size=-3", "at least 1"]),
        (["--frobnicate=1"], ["frobnicate"]),
        (["--loss_func=gna"], ["--loss_func=gna", "gan, wgan, wgan-gp, lsgan, hinge"]),
        (["--max_batches=many"], ["--max_batches=many"]),
        (["--epsilon=nan"], ["--epsilon=nan", "finite"]),
        (["--width=0"], ["--width=0", "above 0"]),
        (["--learning_beta1=1"], ["--learning_beta1", "below 1"]),
        (["--gene_l1_factor=1.5"], ["--gene_l1_factor", "at most 1"]),
        (["--train_dir="], ["--train_dir", "a name"]),
        (["--input=noise", "--noise_dimension=5"], ["--noise_dimension=5", "--sample_size=64"]),
        (["--input=noise", "--back_projection=1"], ["--back_projection=1", "--input=noise"]),
        (["--input=noise", "--gene_pixel_factor=1"], ["--gene_pixel_factor=1", "--input=noise"]),
        (["--input=noise", "--gene_lpips_factor=1"], ["--gene_lpips_factor=1", "--input=noise"]),
        (["--input=noise", "--degrade=photo"], ["--degrade=photo", "--input=noise"]),
        (["--sample_size=128", "--crop_size=64"], ["--crop_size=64", "--sample_size=128"]),
        (["--crop_x=3"], ["--crop_x=3", "--crop_y=-1"]),
        (["--run=train", "--train_time=0"], ["--train_time=0", "--max_batches=0"]),
        (
            ["--fresh_critics=2", "--test_vectors=31"],
            ["--fresh_critics=2 with --test_vectors=31", "at least 32"],
        ),
        (["--flagfile=/no/such/file"], ["/no/such/file"]),
        (["--train_dir=$NO_SUCH/x"], ["$NO_SUCH/x: there is no variable NO_SUCH", "set it (export)"]),
        (["--run=upscale", "${NO_SUCH}.jpg"], ["${NO_SUCH}.jpg: there is no variable NO_SUCH"]),
        (["--preset=$NO_SUCH"], ["$NO_SUCH: there is no variable NO_SUCH"]),
        (["--dataset=~no such user/x"], ["~no such user/x: no home is known for ~no such user"]),
        (["--preset=wgangp"], ["'wgangp' (did you mean wgan-gp?): take one of 2017-gan, ", "flagfile"]),
        (["--preset=none such"], ["there is no preset 'none such': take one of 2017-gan, "]),
        (["--loss_func=wgan_gp"], ["--loss_func=wgan_gp: must be one of gan, ", "; did you mean wgan-gp?"]),
        (["--prest=sharp"], ["there is no --prest: did you mean --preset? (--help lists all options)"]),
        (["--xyzzy"], ["there is no --xyzzy: --help lists all options"]),
        (["me.jpg"], ["leftover word 'me.jpg'", "before a picture write --run upscale"]),
        (["upscale", "me.jpg"], ["leftover word 'upscale'", "write --run upscale"]),
        (["--run", "upscal", "me.jpg"], ["--run=upscal", "must be one of train, demo, upscale"]),
        (["resume"], ["leftover word 'resume'", "--name=value"]),
        (["--name=runs/a"], ["--name=runs/a", "must be a file name"]),
        (["--name=.."], ["--name=..", "must be a file name"]),
        (["--name="], ["--name=", "must be a file name"]),
        (
            ["--run=train", "--name=a", "--train_dir=train"],
            ["--name=a with --train_dir=train", "leave one of them out"],
        ),
        (["--name=a", "--checkpoint_dir=b"], ["--name=a with --checkpoint_dir=b", "runs/a"]),
        (["--run=study", "--name=a"], ["--name=a with --run=study", "it is for --run train, demo, upscale"]),
        (["--run=eval", "--name=no one"], ["--name=no one: there is no runs/no one", "train it first"]),
    ],
)
def test_errors_are_one_line_that_names_the_flag(words, parts):
    with pytest.raises(UserError) as error:
        parse(*words)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_bounds_are_two_sided():
    for value, good in ((0.0, True), (1.0, True), (-0.001, False), (1.001, False)):
        config = Config(gene_l1_factor=value)
        if good:
            check(config)
        else:
            with pytest.raises(UserError):
                check(config)


def test_wgangp_without_penalty_is_the_only_objective_refused_without_it():
    check(Config(LAMBDA=0.0, loss_func="wgan"))
    check(Config(LAMBDA=0.0, loss_func="dcgan"))


def test_objectives_go_by_two_names_and_are_kept_by_2017s(tmp_path):
    for name, kept in (("gan", "dcgan"), ("wgan-gp", "wgangp"), ("hinge", "hinge")):
        assert parse(f"--loss_func={name}") == parse(f"--loss_func={kept}")
        assert to_dict(Config(loss_func=name))["loss_func"] == kept
    (option,) = (f for f in fields() if f.name == "loss_func")
    assert flags_module.allowed_values(option) == "gan | wgan | wgan-gp | lsgan | hinge"
    assert flags_module.default_text(option) == "gan"
    # a run of one spelling goes on with the other
    begun = Config(loss_func="wgangp", **folders(tmp_path))
    Run(begun).open().describe("", 0)
    Path(begun.checkpoint_dir, "srez-3.index").touch()
    assert Run(dataclasses.replace(begun, loss_func="wgan-gp")).open().changes == []
    with pytest.raises(UserError, match="loss_func was wgan-gp, now gan"):
        Run(dataclasses.replace(begun, loss_func="dcgan")).open()


@pytest.mark.parametrize(
    ("options", "factor", "size"),
    [
        ({}, 4, 16),
        ({"scale_factor": 8}, 8, 8),
        ({"sample_size": 128, "scale_factor": 2}, 2, 64),
        ({"input": "noise"}, 16, 4),
        ({"input": "noise", "noise_dimension": 32, "scale_factor": 8}, 2, 32),
    ],
)
def test_factor_and_input_size(options, factor, size):
    config = Config(**options)
    assert (config.factor, config.input_size) == (factor, size)


@pytest.mark.parametrize(
    ("weigh_clip", "loss_func", "clips"),
    [(-1, "wgan", True), (-1, "dcgan", False), (-1, "wgangp", False), (0, "wgan", False), (1, "dcgan", True)],
)
def test_when_weights_are_clipped(weigh_clip, loss_func, clips):
    assert Config(weigh_clip=weigh_clip, loss_func=loss_func).clips_weights is clips


def test_config_survives_json_and_unknown_options():
    config = Config(width=0.5, loss_func="wgan")
    values = to_dict(config) | {"an_option_of_the_future": 3}
    assert from_dict(values) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.width = 1.0


def test_every_option_has_help_and_a_group():
    for f in fields():
        assert len(f.metadata["help"]) > 8, f.name
        assert f.metadata["group"] in GROUPS, f.name
        assert f"--{f.name}" in help_text() or f"--[no]{f.name}" in help_text()


def test_every_option_is_read():
    """As an attribute, outside of srez/options/config.py or in one of Config's properties."""
    read: set[str] = set()
    for path in [*ROOT.glob("*.py"), *ROOT.glob("srez/**/*.py")]:
        tree = ast.parse(path.read_text())
        if path == ROOT / "srez" / "options" / "config.py":
            methods = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Config"]
            tree = ast.Module([n for c in methods for n in c.body if isinstance(n, ast.FunctionDef)], [])
        read |= {
            n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)
        }
    assert {f.name for f in fields()} - read == set()


def test_the_options_page_has_the_tables():
    page = (ROOT / "docs" / "options.md").read_text().splitlines()
    assert page[page.index("## What to do") :] == options_table().splitlines(), "run scripts/update_docs.py"
    assert [line for line in page if line.startswith("## ")] == [f"## {title}" for title in GROUPS.values()]
    assert "| `batch_size` | 16 | >= 1 | pictures in one batch (pictures) |" in page
    cells = {len(re.split(r"(?<!\\)\|", line)) for line in page if line.startswith("|")}
    assert cells == {6}, "a | that is not escaped is a cell more"


def run_without_tensorflow(srez, tmp_path, *words, **options):
    """Run with a tensorflow that cannot be imported in front; seconds and the process."""
    (tmp_path / "tensorflow.py").write_text("raise SystemError('TensorFlow was imported')")
    start = time.monotonic()
    done = srez(*words, cwd=tmp_path, **options)
    assert "TensorFlow was imported" not in done.stdout + done.stderr
    return time.monotonic() - start, done


def test_help_needs_no_tensorflow(srez, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _, done = run_without_tensorflow(srez, tmp_path, "--help")
    assert done.returncode == 0
    assert "--learning_rate_half_life" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--batch_size=-3"], "--batch_size=-3"),
        (["--run=train", "--dataset=nowhere"], "--dataset synthetic"),
        (["--run=demo"], "no checkpoint in 'checkpoint': train first"),
        (
            ["--dataset=synthetic"],
            ": --run was not given and means demo, a film; train first",
        ),
        (["--run=train", "--dataset=empty"], "holds no pictures"),
        (["--run=train", "--dataset=texts"], "holds no pictures"),
        (["--run=train", "--dataset=pictures", "--train_dir=a_file/train"], "a_file"),
        (
            ["--run=train", "--dataset=pictures", "--checkpoint_dir=old", "--width=0.5"],
            "width was 1.0, now 0.5",
        ),
    ],
)
def test_errors_need_no_tensorflow(srez, tmp_path, monkeypatch, words, part):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for folder in ("empty", "texts", "pictures", "old"):
        (tmp_path / folder).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no picture")
    (tmp_path / "pictures" / "a.png").write_bytes(b"")
    (tmp_path / "a_file").write_text("")
    (tmp_path / "old" / "srez-5.index").write_text("")
    (tmp_path / "old" / "config.json").write_text(
        '{"options": {}, "dataset": {"fingerprint": "x", "pictures": 1}}'
    )
    _, done = run_without_tensorflow(srez, tmp_path, *words)
    assert done.returncode == 2
    assert part in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("srez: ")


def test_on_windows_there_is_one_line():
    """Windows has no fcntl, without which nothing can keep a second training out of a folder."""
    hidden = "import sys, runpy; sys.modules['fcntl'] = None; sys.argv = ['srez_main.py', '--help']"
    run = f"runpy.run_path({str(ROOT / 'srez_main.py')!r}, run_name='__main__')"
    for before, expected in [
        (hidden, (2, "", "srez needs Linux or macOS; on Windows use WSL\n")),
        (hidden.replace("'fcntl'", "'nothing'"), (0, help_text() + "\n", "")),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", f"{before}; {run}"], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == expected
