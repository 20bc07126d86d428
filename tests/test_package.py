"""The project as a package: what `pip install` brings, `import srez`, the commands."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT

import srez
from srez.options.flags import PRESETS
from srez.runs.trained import pretrained_names


def python(code: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    """The names in the wheel that is built of the checkout."""
    folder, checkout = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "srez", checkout / "srez", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.py"), *ROOT.glob("*.toml"), *ROOT.glob("*.txt"), *ROOT.glob("[LR]*")):
        shutil.copy(path, checkout)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, checkout], check=True, timeout=300)
    (path,) = folder.glob("srez-*.whl")
    assert path.name == f"srez-{srez.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as file:
        return file.namelist()


def test_a_wheel_holds_every_module_and_the_package_data(wheel):
    modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / "srez").rglob("*.py")]
    data = [f"srez/presets/{name}.flags" for name in ("sharp", "quick", "2017-gan")]
    data += ["srez/studies/smoke.toml", "srez/report/measures.md"]
    data += [f"srez/report/{name}.html" for name in ("page", "compare", "parts")]
    for name in pretrained_names():
        data += [f"srez/pretrained/{name}/{file}" for file in ("config.json", "generator.float16.weights.h5")]
    data += ["srez/pretrained/README.md"]
    data += [f"srez/metrics/alexnet_lpips.{ending}" for ending in ("npz", "txt")]
    root = [path.name for path in ROOT.glob("*.py")]
    assert len(root) == 6
    assert {*modules, *data, *root} - set(wheel) == set()
    assert [name for name in wheel if name.startswith(("tests", "bench", "scripts", "docs"))] == []


def test_the_two_commands_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"srez": "srez_main:command", "srez-data": "download_data:command"}
    assert project["requires-python"] == ">=3.11,<3.14"
    assert set(project["optional-dependencies"]) == {"browser", "cluster", "dev", "gpu", "onnx", "serve"}


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("srez", ["--version"], f"srez {srez.__version__}\n"),
        ("srez", [], "usage: python3 srez_main.py"),
        ("srez-data", ["--help"], "usage: download_data"),
    ],
)
def test_the_installed_commands_answer(name, words, expected, tmp_path):
    program = Path(sysconfig.get_path("scripts"), name)
    if not program.exists():
        pytest.skip("the project is not installed in this environment: pip install -e .")
    done = subprocess.run([program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(expected)


def test_importing_and_loading_print_nothing(tmp_path):
    """And only the generator brings TensorFlow, which takes seconds."""
    done = python(
        "import sys, srez; from srez import Config, UserError\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "network = srez.load()\n"
        "assert isinstance(network, srez.Network)\n"
        "sys.exit(network.factor)",
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, "", "")


def test_load_takes_checkpoint_before_the_generator_that_comes_along(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert srez.load().config.width == 1.0
    (tmp_path / "checkpoint").symlink_to(trained)
    assert srez.load().config.width == 0.125
    assert srez.load(checkpoint="3").name == "srez-3"


def test_load_of_a_folder_that_is_named_takes_no_other(tmp_path):
    with pytest.raises(srez.UserError, match="has no config"):
        srez.load(str(tmp_path))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = srez.nothing


def test_presets_are_found_from_any_folder():
    assert {path.stem for path in PRESETS.glob("*.flags")} >= {
        "sharp",
        "quick",
        "2017-gan",
        "wgan",
        "wgan-gp",
    }
