"""The house: README's picture of it matches the imports, which only go down."""

import ast
import re

from conftest import ROOT

LONGEST = 320  # lines; a room beyond about 300 tells that the design is wrong there


def floors() -> dict[str, int]:
    """Room -> floor, from README."""
    text = (ROOT / "README.md").read_text()
    floor, found = 0, {}
    for line in text[text.index("    floor 5") :].splitlines():
        if match := re.match(r"\s*floor (\d)", line):
            floor = int(match[1])
        if match := re.match(r"(?:    floor \d)?\s+(\w+)\.py", line):
            found[match[1]] = floor
        if "presets/" in line:
            return found
    raise AssertionError("README has no end of the layout")


def imports(room: str) -> set[str]:
    tree = ast.parse((ROOT / f"{room}.py").read_text())
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return names | {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}


def test_every_room_is_in_the_picture():
    assert set(floors()) == {path.stem for path in ROOT.glob("*.py")}


def test_imports_only_go_down():
    house = floors()
    bad = [
        f"{room} (floor {house[room]}) imports {other} (floor {house[other]})"
        for room in house
        for other in imports(room) & set(house)
        if house[other] > house[room] or (house[other] == house[room] and reaches(other, room, house))
    ]
    assert bad == []


def reaches(start: str, goal: str, house: dict[str, int]) -> bool:
    """Whether a chain of imports leads from one room to another."""
    seen, waiting = set(), [start]
    while waiting:
        room = waiting.pop()
        if room == goal:
            return True
        if room not in seen:
            seen.add(room)
            waiting += imports(room) & set(house)
    return False


def test_no_room_is_too_long():
    lengths = {path.name: len(path.read_text().splitlines()) for path in ROOT.glob("*.py")}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}
