"""The report of a study on small made-up ones: right figures, nothing from outside, whatever is finished."""

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata

from srez.errors import UserError
from srez.report import claims
from srez.report.correlations import Interval
from srez.report.curves import align_curves, band, pool_cells
from srez.report.page import write_report
from srez.report.results import FINISHED, UNDER_WAY, Results, RunResult, format_labels
from srez.report.tables import EVENT_FILE, read_results
from srez.report.text import DASH, MINUS, interval, number, share, typeset
from srez.study.grid import read_study

SAMPLES = range(0, 130, 10)  # 13, five of them in the last third
STUDY = """
name = "tiny"
title = "{title}"
question = "Who <i>wins</i>?"
seeds = [0, 1]
[base]
max_batches = 120
summary_period = 10
{base}
[axes]
objective = [{{label = "gan", loss_func = "dcgan"}}, {{label = "wgan-gp", loss_func = "wgangp"}}]
gen_architect = ["resnet", "deconv"]
[[exclude]]
objective = "gan"
gen_architect = "deconv"
reason = "it <b>is</b> left out"
"""
RUNS = [f"{cell}-s{seed}" for seed in (0, 1) for cell in ("gan-resnet", "wgangp-resnet", "wgangp-deconv")]


def begin(folder: Path, title: str = "A tiny study", base: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(STUDY.format(title=title, base=base))
    return folder


def train(folder: Path, name: str, figures: dict, last: int = 120, exit: int | None = 0) -> Path:
    """A training's files; figures: name -> function of the batch."""
    run = folder / "runs" / name
    for part in ("checkpoint", "train"):
        (run / part).mkdir(parents=True)
    lines = []
    for batch in range(0, last + 1, 5):
        wanted = {n: f for n, f in figures.items() if batch % 10 == 0 or "loss" in n or "estimate" in n}
        if batch == 0:  # nothing has been trained
            wanted = {n: f for n, f in wanted.items() if "loss" not in n and "estimate" not in n}
        lines.append({"batch": batch, "minutes": batch / 10} | {n: f(batch) for n, f in wanted.items()})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "checkpoint" / "metrics.jsonl").write_text(text)
    if exit is not None:
        outcome = {
            "exit": exit,
            "batches": last,
            "minutes": last / 10,
            "message": "a loss was nan" if exit else "",
        }
        (run / "outcome.json").write_text(json.dumps(outcome))
    return run


def settling(first: float, last: float):
    """From `first` to `last` in the first half, then level."""
    return lambda batch: first + (last - first) * min(batch / 60, 1)


def usual(seed: int) -> dict:
    """SWD ends at 20 + seed, PSNR at 22 + seed; estimate and losses fall all the way."""
    wave = [0, 3, 1, 4, 2]
    return {
        "swd": settling(100, 20 + seed),
        "psnr": settling(10, 22 + seed),
        "diversity": lambda batch: 0.9,
        "wasserstein_estimate": lambda batch: 200 - batch + wave[batch // 5 % 5],
        "generator_loss": lambda batch: 2 - batch / 100,
        "discriminator_tot_loss": lambda batch: 1 + batch / 100,
    }


def strip(shade: int) -> Image.Image:
    """Ten faces of 64x64, one brighter than the other."""
    row = np.repeat(np.arange(10) * 20 + shade, 64).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(row[None, :, None], (64, 640, 3)).copy())


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Six trainings: one GAN diverged, one WGAN-GP under way; with pictures. The report is written."""
    folder = begin(tmp_path_factory.mktemp("study") / "s", "<script>alert(1)</script> & co")
    for name in RUNS:
        seed = int(name[-1])
        diverged, under_way = name == "gan-resnet-s1", name == "wgangp-deconv-s1"
        last = 70 if diverged or under_way else 120
        exit = None if under_way else 3 if diverged else 0
        run = train(folder, name, usual(seed), last, exit)
        for batch in range(40, last + 1, 40):
            strip(seed).save(run / "train" / f"gen_batch{batch:06d}_out_s.png")
            grid = np.zeros((640, 256, 3), np.uint8)
            grid[:, 192:] = 77  # truth
            Image.fromarray(grid).save(run / "train" / f"batch{batch:06d}_out_l.png")
    assert write_report(str(folder)) == str(folder / "report.html")
    return folder


class Page(HTMLParser):
    """Tags with their attributes, and the rows of tables as lists of texts."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.sections: list[str] = []  # of the rows
        self.text, self._section, self._cell, self._style = "", "", False, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        self._style = tag == "style"
        if tag == "section":
            self._section = dict(attrs)["id"]
        if tag == "tr":
            self.rows.append([])
            self.sections.append(self._section)
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        self._style = False
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if not self._style:
            self.text += data
        if self._cell:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}"

    def row(self, start: str, section: str) -> list[str]:
        """The only row of a section whose first cell is `start`; spaces collapsed."""
        rows = [
            [" ".join(cell.split()) for cell in row]
            for row, where in zip(self.rows, self.sections, strict=True)
            if where == section
        ]
        found = [row for row in rows if row and row[0] == start]
        assert len(found) == 1, (start, found)
        return found[0]

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(study) -> Page:
    return Page((study / "report.html").read_text())


def test_nothing_comes_from_outside(study, page):
    sources = [
        a[key] for _, a in page.tags for key in ("src", "href", "srcset", "data", "poster") if key in a
    ]
    assert sources
    assert {source.split(":")[0] if source[0] != "#" else "#" for source in sources} == {"data", "#"}
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    text = (study / "report.html").read_text()
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    svg = [base64.b64decode(s.split(",")[1]).decode() for s in sources if s.startswith("data:image/svg")]
    assert len(svg) > 10
    for one in svg:
        assert not re.findall(r'(?:href|src)="(?!#|data:)', one)


def test_texts_are_escaped(study, page):
    text = (study / "report.html").read_text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; co") == 2
    assert "it <b>is</b> left out" in page.text
    assert "Who <i>wins</i>?" in page.text


def test_it_can_be_read_by_ear(page):
    assert page.of("html") == [{"lang": "en"}]
    assert all(image["alt"].strip() for image in page.of("img"))
    assert all(head["scope"] in ("col", "row", "rowgroup") for head in page.of("th"))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.of("a")} <= set(ids)
    assert len(page.of("h1")) == 1


def test_outcomes(page):
    # SWD of seeds 0 and 1 ends at 20 and 21: mean 20.5, and 12.7062 * 0.7071 / sqrt(2) = 6.353 to each side
    assert page.row("resnet", "outcomes") == [
        "resnet",
        "✕ diverged 1 of 2 20.0 1 converged",
        "● converged 2 of 2 20.5 [14.1, 26.9]",
    ]
    assert page.row("deconv", "outcomes") == ["deconv", "excluded", "● converged 1 of 2 20.0 1 under way"]


def test_states_are_counted(page):
    assert "5 finished 1 under way" in " ".join(page.text.split())


def test_best_cells(page):
    assert page.row("wgan-gp / resnet", "best")[1:] == [
        "2 converged", "20.5 [14.1, 26.9]", "22.50 [16.15, 28.85]", "12.0"
    ]  # fmt: skip
    # the other cells have a seed each that diverged or is under way
    assert "Not listed: 2 with a training" in page.text


def test_trainings(page):
    assert page.row("wgangp-resnet-s1", "trainings") == [
        "wgangp-resnet-s1",
        "● converged",
        "+0.0% of the gain in the last third, 0.0% below its best",
        "21.0",
        "23.00",
        "0.90",
        "120",
        "12.0",
    ]
    assert page.row("gan-resnet-s1", "trainings") == [
        "gan-resnet-s1",
        "✕ diverged",
        "a loss was nan",
        *[DASH] * 3,
        "70",
        "7.0",
    ]
    assert page.row("wgangp-deconv-s1", "trainings") == [
        "wgangp-deconv-s1",
        "under way",
        "",
        *[DASH] * 3,
        "70",
        "7.0",
    ]


def test_both_claims_wait_for_the_training_under_way(page):
    text = " ".join(page.text.split())
    assert text.count("Not decided here") == 2
    assert "Because 1 of its 4 trainings has not finished." in text


def test_pictures_are_cut_from_the_strips(page):
    faces = {a["alt"]: a["src"] for a in page.of("img") if a["src"].startswith("data:image/png")}
    assert set(faces) == {
        "input of the faces below", "bicubic of the faces below", "truth of the faces below",
        *(f"Faces of {c} at batch {b}" for c in ("wgan-gp / resnet", "wgan-gp / deconv") for b in (40, 120)),
        *(f"Faces of gan / resnet at batch {b}" for b in (40, 120)),
    }  # fmt: skip
    picture = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(faces["Faces of gan / resnet at batch 120"].split(",")[1])))
    )
    np.testing.assert_array_equal(picture, np.asarray(strip(0))[:, :320])
    truth = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(faces["truth of the faces below"].split(",")[1])))
    )
    assert truth.shape == (64, 320, 3)
    assert np.unique(truth).tolist() == [77]


def test_results_csv(study):
    rows = {row["run"]: row for row in csv.DictReader((study / "results.csv").open())}
    assert list(rows) == RUNS
    row = rows["wgangp-resnet-s1"]
    assert (row["objective"], row["gen_architect"], row["seed"]) == ("wgan-gp", "resnet", "1")
    assert (row["verdict"], row["verdict_by_psnr"], row["exit"]) == ("converged", "converged", "0")
    assert [float(row[n]) for n in ("swd", "psnr", "batches", "minutes")] == [21, 23, 120, 12]
    # means of batches 95 and 100, 105 and 110, 115 and 120; the middle one
    assert float(row["generator_loss"]) == pytest.approx(2 - 1.075)
    assert rows["gan-resnet-s1"]["verdict"] == "diverged"
    assert rows["wgangp-deconv-s1"]["state"] == "under way"
    assert rows["gan-resnet-s1"]["swd"] == rows["wgangp-deconv-s1"]["swd"] == ""


def test_correlations_csv(study):
    rows = list(csv.DictReader((study / "correlations.csv").open()))
    assert not any("estimate" in r["indicator"] for r in rows if r["objective"] == "gan")
    row = next(
        r for r in rows
        if (r["run"], r["indicator"], r["quality"]) == ("wgangp-resnet-s0", "generator_loss", "swd")
    )  # fmt: skip
    # 12 samples; the loss falls all the way, the distance falls to the sixth and then stays (ranks 9 each)
    assert row["pairs"] == "12"
    ranks = np.array([1, 2, 3, 4, 5, *[9] * 7])
    assert float(row["within_run"]) == pytest.approx(np.corrcoef(np.arange(12), ranks)[0, 1])


def test_figures_are_there_twice(study):
    names = {path.name for path in (study / "figures").iterdir()}
    wanted = {
        "outcomes",
        "curves_swd_resnet",
        "curves_swd_deconv",
        "curves_psnr_resnet",
        "scatter_wgangpresnet",
    }
    wanted |= {"curves_generatorloss_gan", "curves_wassersteinestimate_wgangp", "correlation_swd_withinrun"}
    for name in wanted:
        assert {f"{name}.svg", f"{name}.png"} <= names
    assert {name.rsplit(".")[0] for name in names if name.endswith("svg")} == {
        name.rsplit(".")[0] for name in names if name.endswith("png")
    }
    assert Image.open(study / "figures" / "outcomes.png").width > 400


def test_tensorboard_reads_the_hyperparameters(study):
    def events(folder: Path) -> dict:
        loaded = EventFileLoader(str(folder / EVENT_FILE)).Load()
        return {value.tag: value for event in loaded for value in event.summary.value}

    found = events(study / "hparams" / "wgangp-resnet-s1")
    content = found[metadata.SESSION_START_INFO_TAG].metadata.plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    told = {name: value.string_value or value.number_value for name, value in start.hparams.items()}
    assert told == {"objective": "wgan-gp", "gen_architect": "resnet", "seed": 1, "verdict": "converged"}
    assert found["swd"].tensor.float_val == [21]
    content = events(study / "hparams")[metadata.EXPERIMENT_TAG].metadata.plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert {"swd", "psnr", "generator_loss"} <= {info.name.tag for info in experiment.metric_infos}
    assert not (study / "hparams" / "wgangp-deconv-s1").exists()  # not finished


def test_without_faces_no_picture_but_plots(study):
    before = (study / "report.html").read_text()
    try:
        plain = Page(Path(write_report(str(study), faces=False)).read_text())
        assert {a["src"][:15] for a in plain.of("img")} == {"data:image/svg+"}
        assert "faces" not in [a.get("id") for _, a in plain.tags]
        assert [
            path.name for path in study.rglob("*.png") if path.parent.name not in ("train", "figures")
        ] == []
    finally:
        (study / "report.html").write_text(before)


def test_nothing_begun(tmp_path):
    page = Page(Path(write_report(str(begin(tmp_path / "s")))).read_text())
    assert "6 not begun" in " ".join(page.text.split())
    assert page.row("deconv", "outcomes") == ["deconv", "excluded", "not begun 2 of 2"]
    assert page.of("img") == []
    assert len(list(csv.DictReader((tmp_path / "s" / "results.csv").open()))) == 6
    assert (tmp_path / "s" / "correlations.csv").read_text() == ""


def test_one_training_under_way(tmp_path):
    folder = begin(tmp_path / "s")
    run = train(folder, "wgangp-resnet-s0", usual(0), 30, None)
    with (run / "checkpoint" / "metrics.jsonl").open("a") as file:
        file.write('{"batch": 35, "minu')  # it is being written just now
    page = Page(Path(write_report(str(folder))).read_text())
    assert page.row("wgangp-resnet-s0", "trainings")[1:] == ["under way", "", *[DASH] * 3, "30", "3.0"]
    assert any("PSNR" in a["alt"] for a in page.of("img"))


def test_noise_input_has_no_truth(tmp_path):
    """No PSNR and no SSIM, and no references among the faces."""
    folder = begin(tmp_path / "s", base='input = "noise"')
    figures = {"diversity": settling(0.1, 0.8), "generator_loss": settling(2, 1)}
    for name in RUNS:
        run = train(folder, name, figures)
        strip(0).save(run / "train" / "gen_batch000120_out_s.png")
        Image.fromarray(np.zeros((640, 128, 3), np.uint8)).save(run / "train" / "batch000120_out_l.png")
    page = Page(Path(write_report(str(folder))).read_text())
    assert not any("psnr" in a["alt"].lower() or "truth" in a["alt"] for a in page.of("img"))
    assert page.row("deconv", "outcomes") == ["deconv", "excluded", "… too short 2 of 2"]
    assert "Faces of wgan-gp / deconv at batch 120" in [a["alt"] for a in page.of("img")]


def test_figures_that_are_missing_here_and_there(tmp_path):
    """A training without SWD, one with a value that is no number, one with damaged files."""
    folder = begin(tmp_path / "s")
    train(folder, RUNS[0], {"psnr": settling(10, 20)})
    train(
        folder, RUNS[1], usual(0) | {"psnr": lambda batch: float("nan") if batch == 60 else 20 + batch / 60}
    )
    (train(folder, RUNS[2], usual(0)) / "outcome.json").write_text('{"exit": 0, "batch')
    page = Page(Path(write_report(str(folder))).read_text())
    assert page.row(RUNS[0], "trainings")[1:3] == ["… too short", "0 samples in the last third, 4 are needed"]
    assert page.row(RUNS[1], "trainings")[1] == "● converged"
    assert page.row(RUNS[2], "trainings")[1] == "under way"  # a study trains on what has no outcome


def test_a_failed_training_says_why(tmp_path):
    folder = begin(tmp_path / "s")
    train(folder, RUNS[0], usual(0), 20, exit=1)
    assert Page(Path(write_report(str(folder))).read_text()).row(RUNS[0], "trainings")[1:3] == [
        "failed",
        "a loss was nan",
    ]


def test_a_training_that_was_made_longer_is_under_way(tmp_path):
    folder = begin(tmp_path / "s")
    train(folder, RUNS[0], usual(0), 60, exit=0)
    assert read_results(str(folder)).runs[0].state == UNDER_WAY


def test_no_study(tmp_path):
    with pytest.raises(UserError, match="holds no study"):
        write_report(str(tmp_path))


def test_the_same_study_gives_the_same_files(tmp_path):
    folder = begin(tmp_path / "s")
    for name in RUNS[:2]:
        train(folder, name, usual(0))
    write_report(str(folder))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_report(str(folder))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def results(tmp_path, words: dict[str, str], seeds: str = "[0, 1, 2]") -> Results:
    """Results in which the trainings named have curves of that verdict; the others converged."""
    path = begin(tmp_path / "s") / "study.toml"
    path.write_text(path.read_text().replace("[0, 1]", seeds))
    study = read_study(str(path))
    batch = np.array(SAMPLES, float)
    levels = {
        "converged": np.minimum(batch / 60, 1),
        "improving": batch / 120,
        "oscillating": np.where(batch > 100, 0.5, np.minimum(batch / 60, 1)),
    }
    found = []
    for run in study.runs():
        word = words.get(run.name, "converged")
        if word == UNDER_WAY:
            found.append(RunResult(run, UNDER_WAY))
        elif word == "diverged":
            found.append(RunResult(run, FINISHED, exit=3))
        else:
            curves = {"psnr": (batch, 10 + 10 * levels[word])}
            found.append(RunResult(run, FINISHED, exit=0, curves=curves))
    return Results(study, found)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ({}, claims.HOLDS),
        ({"gan-resnet-s0": "diverged"}, claims.HOLDS),  # not its business
        ({"wgangp-resnet-s0": "improving"}, claims.PARTLY),
        ({"wgangp-resnet-s0": "oscillating"}, claims.EXCEPTIONS),  # one of six is less than a fifth
        ({"wgangp-resnet-s0": "diverged", "wgangp-deconv-s0": "improving"}, claims.EXCEPTIONS),
        ({"wgangp-resnet-s0": "diverged", "wgangp-deconv-s0": "oscillating"}, claims.FAILS),
        ({"wgangp-resnet-s0": UNDER_WAY}, claims.OPEN),
    ],
)
def test_claim_1(tmp_path, words, answer):
    found = claims.assess_stability(results(tmp_path, words))
    assert found.answer == answer
    assert found.answer in claims.STABILITY_RULES


def test_claim_1_names_the_exceptions(tmp_path):
    found = claims.assess_stability(results(tmp_path, {"wgangp-resnet-s0": "diverged"}))
    assert "of 6 trainings with WGAN-GP 5 are stable and 5 converged" in found.reason
    assert any(
        line.startswith("Not stable with WGAN-GP: wgangp-resnet-s0 (diverged") for line in found.evidence
    )


@pytest.mark.parametrize("claim", [claims.assess_stability, claims.assess_indicator])
def test_two_seeds_decide_nothing(tmp_path, claim):
    found = claim(results(tmp_path, {}, "[0, 1]"))
    assert (found.answer, found.reason) == (claims.OPEN, "because 2 seeds are fewer than 3")


@pytest.mark.parametrize(
    ("seeds", "p", "told"), [("[0, 1]", "0.067", "not told"), ("[0, 1, 2]", "0.012", "told")]
)
def test_stability_against_other_objectives(tmp_path, seeds, p, told):
    """None of 2 (3) against all of 4 (6): Fisher's test gives 1 in 15 (in 84)."""
    words = {f"gan-resnet-s{seed}": "diverged" for seed in range(3)}
    lines = claims.assess_stability(results(tmp_path, words, seeds)).evidence
    assert lines[0].startswith("wgan-gp: stable ")
    assert lines[1].endswith(
        f"; its stability is {told} apart from WGAN-GP's (Fisher's exact test, p = {p})."
    )


def test_claim_1_needs_a_variety_of_architectures(tmp_path):
    folder = begin(tmp_path / "t")
    text = (
        (folder / "study.toml")
        .read_text()
        .replace('gen_architect = ["resnet", "deconv"]', "batch_size = [4, 8]")
    )
    text = text.replace("[0, 1]", "[0, 1, 2]")
    (folder / "study.toml").write_text(text[: text.index("[[exclude]]")])
    study = read_study(str(folder / "study.toml"))
    batch = np.array(SAMPLES, float)
    curves = {"psnr": (batch, np.minimum(batch / 60, 1))}
    found = claims.assess_stability(
        Results(study, [RunResult(r, FINISHED, exit=0, curves=curves) for r in study.runs()])
    )
    assert (found.answer, found.reason) == (
        claims.OPEN,
        "because all its WGAN-GP trainings share one architecture",
    )


@pytest.mark.parametrize(
    ("within", "changes", "expected"),
    [
        ((0.51, 0.9), (0.01, 0.5), "follows"),
        ((0.49, 0.9), (0.01, 0.5), "trend"),
        ((0.51, 0.9), (-0.01, 0.5), "trend"),
        ((0.01, 0.2), (np.nan, np.nan), "trend"),
        ((-0.9, -0.01), (0.1, 0.5), "opposes"),
        ((-0.1, 0.49), (0.1, 0.5), "weak"),
        ((-0.1, 0.51), (0.1, 0.5), "unclear"),
        ((np.nan, np.nan), (0.1, 0.5), ""),
    ],
)
def test_grades_of_an_indicator(within, changes, expected):
    assert claims.grade(*(Interval(np.mean(each), *each, 3, 1) for each in (within, changes))) == expected


@pytest.mark.parametrize(
    ("grades", "answer"),
    [
        (["follows", "follows"], claims.HOLDS),
        (["follows", "trend"], claims.PARTLY),
        (["follows", "opposes"], claims.PARTLY),
        (["trend", "weak", "weak"], claims.FAILS),
        (["opposes", "opposes"], claims.FAILS),
        (["unclear", "weak"], claims.OPEN),
        ([], claims.OPEN),
    ],
)
def test_claim_2(grades, answer):
    assert claims.indicator_answer(grades) == answer


@pytest.mark.parametrize(
    ("end", "sign", "answer"), [(20, 1, claims.HOLDS), (20, -1, claims.FAILS), (100, 1, claims.OPEN)]
)
def test_claim_2_from_curves(tmp_path, end, sign, answer):
    """An estimate that goes with the distance in every change, or against it, or while nothing is learnt."""
    study = results(tmp_path, {}).study
    batch = np.array(SAMPLES, float)
    found = []
    for run in study.runs():
        swd = np.linspace(100, end, len(batch))
        swd[1:] += np.random.default_rng(run.seed).uniform(0, 12, len(batch) - 1)
        curves = {"swd": (batch, swd), "wasserstein_estimate": (batch[1:], sign * swd[1:])}
        curves["generator_loss"] = (batch[1:], np.cos(batch[1:]))
        found.append(RunResult(run, FINISHED, exit=0, curves=curves))
    claim = claims.assess_indicator(Results(study, found))
    assert claim.answer == answer
    if answer == claims.OPEN:
        assert claim.reason == "because 6 of its 6 trainings made no progress that could be told"
        return
    one = f"{'+' if sign > 0 else MINUS}1.00"
    assert f"estimate and SWD {one} [{one}, {one}]" in claim.evidence[0]
    assert f"in {6 if sign > 0 else 0} of 6 trainings" in claim.evidence[0]
    assert any(line.startswith("Control, gan: generator loss and SWD") for line in claim.evidence)


def test_numbers_in_words():
    assert number(-1.5, 1) == f"{MINUS}1.5"
    assert number(float("nan")) == DASH
    assert interval(Interval(0.5, 0.25, 0.75, 6, 2)) == "+0.50 [+0.25, +0.75]"
    assert interval(Interval(0.5, np.nan, np.nan, 1, 1)) == "+0.50"
    assert share(8, 8) == "8 of 8 (63% to 100%)"
    assert typeset("wgan-gp: -3 it's") == f"wgan-gp: {MINUS}3 it\N{RIGHT SINGLE QUOTATION MARK}s"


def test_labels_without_letters_bring_their_axis():
    assert format_labels({"objective": "wgan-gp", "critic_iters": "5", "width": "0.5"}) == (
        "wgan-gp / critic_iters 5 / width 0.5"
    )


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
