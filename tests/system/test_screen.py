"""What is shown while something takes long."""

import contextlib
import io
import sys
import time

import pytest

from srez.system import screen
from srez.system.screen import waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stdout", [Terminal, io.StringIO])
def test_what_is_quick_is_not_told(stdout, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stdout())
    with waiting("compiling"):
        pass
    assert sys.stdout.getvalue() == ""


def test_a_part_is_told_in_lines_where_nobody_watches(monkeypatch, capsys):
    clock = iter([0, 29, 31, 31, 62, 62, 90])
    monkeypatch.setattr(screen.time, "monotonic", lambda: next(clock, 99))
    with screen.Screen(1, "picture").part(200, "pixel") as move:
        for _ in range(4):
            move(50)
    assert capsys.readouterr().out.splitlines() == ["50% done", "75% done"]


def wait_for(text: str) -> None:
    end = time.monotonic() + 60
    while text not in sys.stdout.getvalue() and time.monotonic() < end:
        time.sleep(0.01)


def test_a_line_where_nobody_watches(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with waiting("compiling", after=0):
        wait_for("\n")
    assert sys.stdout.getvalue() == "compiling\n"


def test_a_clock_on_a_terminal_that_goes_on_and_away(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    with contextlib.suppress(KeyError), waiting("compiling", after=0):
        wait_for("compiling: 00:01")
        raise KeyError
    shown = sys.stdout.getvalue()
    assert "\rcompiling: 00:00" in shown
    assert "\rcompiling: 00:01" in shown
    assert "\n" not in shown
    assert shown.endswith("\r")
    assert shown.rstrip("\r").rpartition("\r")[2].strip() == ""
