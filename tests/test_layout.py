"""The layout of the code: which folder may import which, which need no TensorFlow, how long modules are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

LONGEST = 350  # lines of a module
# folder of srez/, or module of the root -> what it may import, beside errors
PACKAGE = {
    "errors": "",
    "system": "",
    "options": "system",
    "images": "system",
    "metrics": "options system",
    "networks": "options system",
    "runs": "options system",
    "data": "images options system",
    "study": "options runs system",
    "cloud": "runs system",
    "training": "data images metrics networks options runs system",
    "inference": "data images metrics networks options runs system",
    "report": "images options runs study system",
    "download": "data images options system",
}
EVERYTHING = " ".join(PACKAGE)
ROOT_MODULES = {
    "srez_input": "data options system",
    "srez_model": "metrics networks options training",
    "download_data": "download data images options system",
    "srez_train": f"{EVERYTHING} srez_input srez_model",
    "srez_demo": f"{EVERYTHING} srez_input srez_model",
    "srez_main": f"{EVERYTHING} srez_train srez_demo",
}
MAY_IMPORT = PACKAGE | ROOT_MODULES
# TensorFlow takes seconds: only these import it, or Keras, at module level
WITH_TENSORFLOW = {"data", "networks", "metrics", "training", "inference"}
WITH_TENSORFLOW |= {"srez_input", "srez_model", "srez_train", "srez_demo"}


def modules() -> Iterator[tuple[str, Path]]:
    """(folder or root module, path) of every module but srez/__init__.py, which is lazy."""
    for path in sorted((ROOT / "srez").rglob("*.py")):
        if path != ROOT / "srez" / "__init__.py":
            yield path.relative_to(ROOT / "srez").parts[0].removesuffix(".py"), path
    for path in sorted(ROOT.glob("*.py")):
        yield path.stem, path


def imported(path: Path, whole: bool = True) -> set[str]:
    """Dotted names that a module imports; whole: inside of functions too."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree) if whole else tree.body:
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def place(name: str) -> str | None:
    """Where a dotted name lies: a folder of srez, a root module, or neither."""
    if match := re.match(r"srez\.(\w+)", name):
        return match[1]
    return name.split(".")[0] if name.split(".")[0] in ROOT_MODULES else None


def test_every_folder_is_in_the_table():
    assert {where for where, _ in modules()} == set(MAY_IMPORT)


def test_imports_go_one_way():
    bad = [
        f"{path.relative_to(ROOT)} imports {name}"
        for where, path in modules()
        for name in imported(path)
        if place(name) not in (None, where, "errors", *MAY_IMPORT[where].split())
    ]
    assert bad == []


def test_the_design_page_has_the_same_table():
    page = (ROOT / "docs" / "design.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+ \| ([`\w ]*)\|$", page, re.MULTILINE)
    assert {where: those.replace("`", "").strip() for where, those in rows} | {"errors": ""} == PACKAGE


def test_the_table_has_no_circles():
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT):
        free = {where for where, those in MAY_IMPORT.items() if set(those.split()) <= done} - done
        assert free, f"a circle among {set(MAY_IMPORT) - done}"
        done |= free


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_modules_of_a_folder_do_not_import_each_other_in_circles(folder):
    names = {
        path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for w, path in modules() if w == folder
    }
    needs = {
        name: {
            other for other in names.values() for one in imported(path) if f"{one}.".startswith(f"{other}.")
        }
        for path, name in names.items()
    }
    done: set[str] = set()
    while len(done) < len(needs):
        free = {name for name, those in needs.items() if those - {name} <= done} - done
        assert free, f"a circle among {set(needs) - done}"
        done |= free


def test_tensorflow_is_imported_where_it_belongs():
    bad = [
        str(path.relative_to(ROOT))
        for where, path in modules()
        if where not in WITH_TENSORFLOW
        and {name.split(".")[0] for name in imported(path, whole=False)} & {"tensorflow", "keras"}
    ]
    assert bad == []


def test_one_module_tells_remote_paths_from_local_ones():
    telling = {
        str(path.relative_to(ROOT))
        for _, path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == "://"
    }
    assert telling == {"srez/system/files.py"}


def test_no_module_is_too_long():
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for _, p in modules()}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
