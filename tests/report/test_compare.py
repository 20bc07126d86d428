"""Plain trainings side by side: the table, the page, which faces are the same, what cannot be read."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from fake_study import settling, strip, train, usual
from PIL import Image

from srez.errors import UserError
from srez.options.config import Config, to_dict
from srez.report.compare import Training, compare, find_trainings, screen_lines, short_names, unlike_faces
from srez.report.indicator_tables import Group
from srez.report.text import DASH

COMMAND = Config(run="compare", folders=("runs/*",))


def run(
    name: str,
    figures: dict,
    samples: tuple[int, ...] = (),
    fingerprint: str = "x",
    last: int = 120,
    **options,
) -> Path:
    """A training of so many batches in runs/NAME of this folder, with grids of some batches."""
    folder = train(Path(), name, figures, last)
    config = Config(
        run="train", train_dir=f"runs/{name}/train", checkpoint_dir=f"runs/{name}/checkpoint", **options
    )
    dataset = {"fingerprint": fingerprint, "pictures": 60}
    text = json.dumps({"options": to_dict(config), "dataset": dataset})
    (folder / "checkpoint" / "config.json").write_text(text)
    for batch in samples:
        strip(batch).save(folder / "train" / f"gen_batch{batch:06d}_out_s.png")
        grid = np.full((640, 256, 3), 77, np.uint8)
        Image.fromarray(grid).save(folder / "train" / f"batch{batch:06d}_out_l.png")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_trainings_beside_what_is_none(here, capsys):
    """LPIPS of the one ends at 0.30 and PSNR at 22, of the other at 0.32 and 23, both from batch 60 on.

    Its speed is logged 13 times as the batch, 0 to 120: the median is 65 without the first interval.
    """
    speed = {"images_per_second": float, "gradient_penalty": lambda batch: 0}
    run("a", usual(0) | speed, (40, 80, 120))
    run(
        "<b>",
        usual(1) | {"gpu_memory_mb": lambda batch: 400 + batch, "gradient_penalty": lambda batch: 1},
        (40, 80),
        loss_func="wgangp",
        critic_iters=5,
    )
    (here / "runs" / "notes.txt").touch()
    (run("c", usual(0)) / "checkpoint" / "config.json").write_text("{")
    assert compare(COMMAND) == 2
    said = capsys.readouterr()
    assert [" ".join(line.split()) for line in said.out.splitlines()] == [
        "↑ higher, ↓ lower is better <b> a bicubic",
        "recipe",
        "loss_func wgan-gp gan",
        "critic_iters 5 1",
        "best",
        "LPIPS ↓ 0.320 at 60 0.300 at 60 0.400",
        "PSNR dB ↑ 23.00 at 60 22.00 at 60 21.00",
        "last (median of 3)",
        "LPIPS ↓ 0.320 0.300 0.400",
        "PSNR dB ↑ 23.00 22.00 21.00",
        "training",
        "batches 120 120",
        "minutes 12.0 12.0",
        f"images/s {DASH} 65.0",
        f"GPU memory, MB 520 {DASH}",
        "",
        "in common: dataset dataset, test_vectors 16, width 1, batch_size 16, random_seed 0, train_time 200",
        "page: output/compare.html",
    ]
    problems = said.err.splitlines()
    assert len(problems) == 2
    assert problems[0].startswith("srez: left out: 'runs/c/checkpoint/config.json' is damaged")
    assert problems[1] == "srez: left out: 'runs/notes.txt' has no config.json"

    page = (here / "output" / "compare.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {source.split(":")[0] if source[0] != "#" else "#" for source in sources} == {"data", "#"}
    assert "<script" not in page
    assert "<b>" not in page.replace("<b>input", "").replace("<b>bicubic", "").replace("<b>truth", "")
    alts = re.findall(r'alt="([^"]*)"', page)
    drawn = [alt for alt in alts if "over batches" in alt]
    assert "PSNR (higher is better) over batches. Last means: &lt;b&gt; 23.00, a 22.00." in drawn
    assert len([alt for alt in drawn if alt.startswith("generator loss over batches")]) == 2  # a scale each
    for name in ("critic&#39;s own estimate", "gradient penalty"):  # which a gan has not
        assert [alt for alt in drawn if alt.startswith(name)] == [f"{name} over batches, wgan-gp."]
    faces = dict(zip(alts, re.findall(r'src="data:image/[^,]*,([^"]*)"', page), strict=True))
    made = Image.open(io.BytesIO(base64.b64decode(faces["Faces of a at batch 80"])))
    np.testing.assert_array_equal(np.asarray(made), np.asarray(strip(80))[:, :320])
    assert {alt for alt in alts if "over batches" not in alt} == {
        "input of the faces below", "bicubic of the faces below", "truth of the faces below",
        "Faces of a at batch 80", "Faces of &lt;b&gt; at batch 80",
    }  # fmt: skip


def test_other_held_out_faces_are_said_and_not_shown(here, capsys):
    figures = {"psnr": settling(10, 20), "bicubic_psnr": lambda batch: 15}
    run("a", figures, (120,))
    run("b", figures, (120,), "y", test_vectors=32)
    assert compare(COMMAND) == 0
    said = "differ in the pictures of --dataset, --test_vectors): their figures cannot be compared closely"
    out = capsys.readouterr().out
    assert said in out
    assert "in common: width 1, batch_size 16" in out
    assert "bicubic" not in out
    page = (here / "output" / "compare.html").read_text()
    assert page.count(said) == 2
    assert "Faces of" not in page
    assert "bicubic enlargement" not in page


def test_the_untrained_network_is_neither_best_nor_last(here, capsys):
    """PSNR 30, 26 and 20 at batches 0, 10 and 20: two samples are too few for a median of three."""
    figures = {"psnr": {0: 30, 10: 26, 20: 20}.get}
    run("a", figures, last=20)
    run("b", figures, last=20, start_from="sharp")
    for folders, title, best, last in [
        (("runs/a",), "last", "26.00 at 10", "20.00"),
        (("runs/a", "runs/b"), "last (median of 3)", "26.00 at 10 30.00 at 0", "20.00 26.00"),
    ]:
        assert compare(Config(run="compare", folders=folders)) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert [line for line in lines if "PSNR" in line] == [f"PSNR dB ↑ {best}", f"PSNR dB ↑ {last}"]
        assert title in lines


@pytest.mark.parametrize(
    "option", ["test_vectors", "sample_size", "crop_size", "crop_wiggle", "crop_x", "crop_y"]
)
def test_which_options_make_other_held_out_faces(option):
    def training(**options) -> Training:
        return Training("", Config(**options), "x", {}, 1, 1, 1, 1)

    assert unlike_faces({"a": training(), "b": training(width=0.5, loss_func="wgan", dataset="moved")}) == ""
    assert f"--{option}" in unlike_faces(
        {"a": training(), "b": training(**{option: 128 - 64 * (option == "crop_size")})}
    )


def test_nothing_to_compare_is_one_line(here):
    (here / "runs").mkdir()
    (here / "runs" / "a").mkdir()
    for folders, problem in [
        ((), "without a folder"),
        (("runs/*",), "'runs/a' has no config.json"),
        (("nowhere", "runs/b*"), "'nowhere' is not there; 'runs/b*' is not there"),
    ]:
        with pytest.raises(UserError, match="name folders of trainings") as error:
            compare(Config(run="compare", folders=folders))
        assert problem in str(error.value)
        assert "\n" not in str(error.value)


def test_a_training_counts_once_and_what_cannot_be_read_is_named(here, lock):
    run("a", {"psnr": settling(10, 20)})
    bad = run("b", {"psnr": lambda batch: "many"})
    empty = run("c", {})
    (empty / "checkpoint" / "metrics.jsonl").unlink()
    (here / "shut").mkdir()
    lock(Path("shut"))
    found, problems = find_trainings(["runs/a", "shut/*", "runs/*", "runs/a/checkpoint"])
    assert list(found) == ["a"]
    assert [problem.split(" (")[0] for problem in problems] == [
        "shut: Permission denied",
        f"'{bad}/checkpoint/metrics.jsonl' is damaged",
        f"'{empty}/checkpoint' has no figures in metrics.jsonl",
    ]


def test_short_names():
    folders = ["runs/a/checkpoint", "old/b/checkpoint/", "runs/b/checkpoint", "checkpoint_1", "checkpoint"]
    assert short_names(folders) == ["a", "old/b", "runs/b", "checkpoint_1", "checkpoint"]


@pytest.mark.parametrize(
    ("checkpoints", "grids", "folder", "where"),
    [
        ("runs/a/checkpoint", "runs/a/train", "runs/a/checkpoint", "runs/a/train"),
        ("runs/a/checkpoint", "runs/a/train", "/moved/c/checkpoint", "/moved/c/train"),
        ("runs/a/checkpoint", "runs/a/train", "runs/a/checkpoint.2", "runs/a/train.2"),
        ("checkpoint_1", "train_1", "old/checkpoint_1/", "old/train_1"),
        ("checkpoint", "/else/train", "checkpoint.1", "/else/train.1"),
        ("x/checkpoint", "y/train/", "x/checkpoint", "y/train"),
        ("gs://b/a/checkpoint", "gs://b/a/train", "gs://c/a/checkpoint", "gs://c/a/train"),
        ("a/checkpoint", "a/train", "a/renamed", "a/train"),
    ],
)
def test_where_the_grids_are(checkpoints, grids, folder, where):
    config = Config(checkpoint_dir=checkpoints, train_dir=grids)
    assert Training(folder, config, "", {}, 0, 0, 0, 0).grids == where


def test_many_trainings_go_below_each_other():
    """A first column of 27 letters and others of 2 and 4: 45 columns hold three of them, 39 two."""
    groups = [Group("best", [["x", "1", "2", "3"]])]
    names = ["aaaa", "bbbb", "cccc"]
    assert [" ".join(line.split()[-2:]) for line in screen_lines(names, groups, 39)] == [
        *("aaaa bbbb", "best", "1 2", ""),
        *("better cccc", "best", "x 3", ""),
    ]
    for width, parts in ((45, 1), (44, 2), (39, 2), (38, 3), (1, 3)):
        assert list(screen_lines(names, groups, width)).count("") == parts
