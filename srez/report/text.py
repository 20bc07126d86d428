"""Numbers of a study in words: a real minus sign, a dash where there is none, intervals, shares."""

import re

import numpy as np

from srez.report.correlations import Interval
from srez.report.results import FIGURES
from srez.report.verdicts import Mean, share_interval

MINUS, DASH, APOSTROPHE = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{RIGHT SINGLE QUOTATION MARK}"


def number(value: float, decimals: int = 2, signed: bool = False) -> str:
    """A number: '+0.61', or a dash where it is not finite."""
    if not np.isfinite(value):
        return DASH
    return f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", MINUS)


def interval(found: Interval, signed: bool = True) -> str:
    """Mean and interval: '+0.61 [+0.42, +0.80]'; the mean alone where there is no interval."""
    return _with_bounds((found.mean, found.low, found.high), 2, signed)


def mean(figure: str, found: Mean) -> str:
    """Mean and interval of a quality figure, in its own decimals."""
    return _with_bounds((found.mean, found.low, found.high), FIGURES[figure].decimals, False)


def _with_bounds(three: tuple[float, float, float], decimals: int, signed: bool) -> str:
    middle, low, high = (number(value, decimals, signed) for value in three)
    return f"{middle} [{low}, {high}]" if np.isfinite(three[1]) else middle


def share(count: int, total: int) -> str:
    """'8 of 12 (35% to 90%)': with its 95% interval."""
    low, high = share_interval(count, total)
    return f"{count} of {total} ({low:.0%} to {high:.0%})"


def trainings(count: int) -> str:
    """'1 training', '2 trainings'."""
    return f"{count} training{'s' if count != 1 else ''}"


def typeset(text: str) -> str:
    """Plain text with real minus signs and apostrophes."""
    return re.sub(r"(?<!\w)-(?=\d)", MINUS, text).replace("'", APOSTROPHE)
