"""The report of a study on small made-up ones: right figures, nothing from outside, whatever is finished."""

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_study import RUNS, begin, settling, strip, train, usual
from PIL import Image

from srez.errors import UserError
from srez.report.figures import STACKED, VERDICT_COLORS
from srez.report.page import write_report
from srez.report.text import DASH, MINUS
from srez.report.verdicts import VERDICTS


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
    assert all(head["scope"] in ("col", "row", "rowgroup", "colgroup") for head in page.of("th"))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.of("a")} <= set(ids)
    assert len(page.of("h1")) == 1


def test_outcomes(page):
    # LPIPS of seeds 0 and 1 ends at 0.30 and 0.32: the mean of two is within 0.127 = 12.706 * 0.01
    assert page.row("resnet", "outcomes") == [
        "resnet",
        "mixed 0.300 1 converged 1 diverged",
        "● converged 2 of 2 0.310 [0.183, 0.437]",
    ]
    assert page.row("deconv", "outcomes") == ["deconv", "excluded", "● converged 1 of 2 0.300 1 under way"]


def test_every_way_to_count_is_shown(page):
    """All three finished WGAN-GP trainings converged, in two cells; one of the GAN's two diverged.

    As independent trainings: 0.025^(1/3) = 29% for three of three. Above the GAN on the resnet: two of two
    (16 to 100%) and one of two (1 to 99%) are 50 points apart, less hypot(84.2, 48.7), and more by 48.7.
    """
    found = [[" ".join(cell.split()) for cell in row] for row in page.rows]
    rule = next(row for row in found if row[:2] == ["LPIPS", "or improving (rule)"])
    assert rule[4:6] == ["100% [29, 100] not decided", f"+50 [{MINUS}47, +99]"]
    # two architectures, of which one has both, so that nothing tells how leads scatter
    assert rule[6:] == ["100% [16, 100] not decided", "+50"]


def test_every_verdict_has_its_colour_and_its_place():
    assert set(VERDICTS) <= set(VERDICT_COLORS)
    assert set(STACKED) == set(VERDICTS)


def test_controls_that_are_missing_are_named(page):
    assert page.row("bicubic enlargement control", "controls")[3:5] == ["0.400", "21.00"]
    assert "This study does not have trainings with the control “L1 only”; nor trainings" in page.text


def test_states_are_counted(page):
    assert "5 finished 1 under way" in " ".join(page.text.split())


def test_best_cells(page):
    assert page.row("wgan-gp / resnet", "best")[1:] == [
        "2 converged", "0.310 [0.183, 0.437]", "22.50 [16.15, 28.85]", "12.0"
    ]  # fmt: skip
    # the other cells have a seed each that diverged or is under way
    assert "Not listed: 2 with figures of fewer than half of the seeds, or of one." in page.text


def test_trainings(page):
    assert page.row("wgangp-resnet-s1", "trainings") == [
        "wgangp-resnet-s1",
        "● converged",
        "+0.0% of the gain in the last third, 0.0% below its best",
        "0.320",
        "23.00",
        "21.0",
        "0.90",
        "120",
        "12.0",
    ]
    assert page.row("gan-resnet-s1", "trainings") == [
        "gan-resnet-s1",
        "✕ diverged",
        "a loss was nan",
        *[DASH] * 4,
        "70",
        "7.0",
    ]
    assert page.row("wgangp-deconv-s1", "trainings") == [
        "wgangp-deconv-s1",
        "under way",
        "",
        *[DASH] * 4,
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


def test_figures_are_there_twice(study):
    names = {path.name for path in (study / "figures").iterdir()}
    wanted = {
        "outcomes",
        "stability",
        "curves_swd_resnet",
        "curves_lpips_deconv",
        "curves_psnr_resnet",
    }
    wanted |= {"curves_generatorloss_gan", "signals_wgangp", "indicators_r"}
    for name in wanted:
        assert {f"{name}.svg", f"{name}.png"} <= names
    assert {name.rsplit(".")[0] for name in names if name.endswith("svg")} == {
        name.rsplit(".")[0] for name in names if name.endswith("png")
    }
    assert Image.open(study / "figures" / "outcomes.png").width > 400


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
    assert page.row("wgangp-resnet-s0", "trainings")[1:] == ["under way", "", *[DASH] * 4, "30", "3.0"]
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
    """A training without LPIPS, one with a value that is no number, one with damaged files."""
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


def test_the_figure_of_the_claim_that_can_be_answered_leads(study, tmp_path):
    """Claim 1 needs several architectures: with one of them claim 2's correlations come first."""
    first = Page((study / "report.html").read_text()).of("img")[0]["alt"]
    assert not first.startswith("Rank correlation")
    folder = begin(tmp_path / "s")
    both, one = 'gen_architect = ["resnet", "deconv"]', 'gen_architect = ["resnet"]'
    text = (folder / "study.toml").read_text().replace(both, one)
    (folder / "study.toml").write_text(text[: text.index("[[exclude]]")])
    for name in ("gan-resnet-s0", "gan-resnet-s1", "wgangp-resnet-s0", "wgangp-resnet-s1"):
        train(folder, name, usual(int(name[-1])) | {"critic_gradient_share": lambda batch: 0.5})
    page = Page(Path(write_report(str(folder))).read_text())
    alts = [a["alt"] for a in page.of("img")]
    assert alts[0].startswith("Rank correlation with LPIPS")
    assert alts.count(alts[0]) == 1
    assert first.split(":")[0] in [alt.split(":")[0] for alt in alts]  # claim 1's is further down
