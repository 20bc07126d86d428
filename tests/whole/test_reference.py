"""The 2017 networks' figures, through tests/check_reference.py; and that it notices what is off."""

import json
from pathlib import Path

import check_reference
import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "reference"
QUICK = "noise_deconv_0_batch_dcgan_adam"


@pytest.fixture(scope="module", autouse=True)
def figures_once():
    """The same network with the same weights has the same figures: compute them once for all tests."""
    compute, kept = check_reference.figures, {}

    def figures(gan, manifest, values, label, feature):
        key = gan.config, values[0].tobytes(), feature.tobytes()
        if key not in kept:
            kept[key] = compute(gan, manifest, values, label, feature)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_reference, "figures", figures)
        yield


def run(folder: Path) -> int:
    return check_reference.main(["check_reference.py", str(folder)])


def test_figures_of_2017(capsys):
    assert run(FOLDER) == 0
    cases = json.loads((FOLDER / "manifest.json").read_text())["cases"]
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["ok", case["case"]] for case in cases
    ]


def test_the_cases_cover_every_kind():
    flags = [case["flags"] for case in json.loads((FOLDER / "manifest.json").read_text())["cases"]]
    seen = {name: {f[name] for f in flags} for name in flags[0]}
    assert seen == {
        "input": {"scaled", "noise"},
        "gen_architect": {"resnet", "deconv"},
        "gen_norm": {0, 1},
        "critic_norm": {"batch", "layer", "none"},
        "loss_func": {"dcgan", "wgan", "wgangp"},
        "LAMBDA": {0, 10},
        "optimizer": {"adam", "rmsprop"},
    }


def change_loss(case: dict, arrays: dict) -> None:
    case["critic_loss"] *= 1.01


def change_gradient(case: dict, arrays: dict) -> None:
    case["generator_gradient_norms"][4] *= 1.05


def change_update(case: dict, arrays: dict) -> None:
    case["critic_update_norms"][-1] *= 0.95


def change_output(case: dict, arrays: dict) -> None:
    arrays["generated"][3, 63, 0, 2] += 1e-3


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (change_loss, "losses"),
        (change_gradient, "gradients"),
        (change_update, "updates"),
        (change_output, "outputs"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_changed_figure_is_noticed(change, kind, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check_reference, "TRIALS", 2)  # fewer allow less; enough here, see the last line
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    (case,) = (case for case in manifest["cases"] if case["case"] == QUICK)
    arrays = dict(np.load(FOLDER / f"{QUICK}.npz"))
    change(case, arrays)
    np.savez(tmp_path / f"{QUICK}.npz", **arrays)
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "cases": [case]}))
    assert run(tmp_path) == 1
    word, _, *figures = capsys.readouterr().out.split()
    shares = dict(zip(figures[::2], map(float, figures[1::2]), strict=True))
    assert word == "FAIL"
    assert {name: share > 1 for name, share in shares.items()} == {name: name == kind for name in shares}


@pytest.mark.parametrize("content", [None, "not json"])
def test_a_folder_that_cannot_be_read(content, tmp_path, capsys):
    if content:
        (tmp_path / "manifest.json").write_text(content)
    assert run(tmp_path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"check_reference: {tmp_path}/manifest.json: ")
    assert captured.err.count("\n") == 1
    assert check_reference.main(["check_reference.py"]) == 2
