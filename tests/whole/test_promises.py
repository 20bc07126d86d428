"""docs/promises.md: each promise names the tests that keep it, and they are there."""

import ast
import re

from helpers import ROOT


def rows() -> list[tuple[str, str]]:
    """(promise, what keeps it) of the table."""
    page = (ROOT / "docs" / "promises.md").read_text()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("|")]
    return [(promise.strip(), keeper.strip()) for promise, keeper in cells[2:]]


def defined(path: str) -> set[str]:
    """Tests of a file: name, or Class::name."""
    tree = ast.parse((ROOT / path).read_text())
    found = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    for group in tree.body:
        if isinstance(group, ast.ClassDef):
            found |= {f"{group.name}::{n.name}" for n in group.body if isinstance(n, ast.FunctionDef)}
            found.add(group.name)
    return found


def test_each_promise_names_a_test():
    assert len(rows()) > 10
    for promise, keeper in rows():
        assert re.search(r"`tests/[\w/]+\.py", keeper), promise


def test_the_tests_that_are_named_are_there():
    missing = []
    for _, keeper in rows():
        for path, name in re.findall(r"`((?:tests|bench)/[\w/]+\.py)(?:::([\w:]+))?`", keeper):
            if not (ROOT / path).exists() or (name and name not in defined(path)):
                missing.append(f"{path}::{name}")
        for path, name in re.findall(r"`(::\w+)`()", keeper):
            missing.append(f"{path} without its file{name}")
    assert missing == []
