"""Numbers of a study in words: a real minus sign, a dash where there is none, intervals, shares."""

import re
from typing import TypeVar

import numpy as np

from srez.report.intervals import Interval, Spread

MINUS, DASH, APOSTROPHE = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{RIGHT SINGLE QUOTATION MARK}"
Figures = TypeVar("Figures", Interval, Spread)


def number(value: float, decimals: int = 2, signed: bool = False) -> str:
    """A number: '+0.61', or a dash where it is not finite."""
    if not np.isfinite(value):
        return DASH
    rounded = round(value, decimals) + 0.0  # a zero without a sign
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", MINUS)


def interval(found: Interval, decimals: int = 2, signed: bool = True, unit: str = "") -> str:
    """Mean and interval: '+0.61 [+0.42, +0.80]'; the mean alone where it has no interval, a dash for none."""
    if not np.isfinite(found.mean):
        return DASH
    mean, low, high = (number(value, decimals, signed) for value in found[:3])
    return f"{mean}{unit} [{low}, {high}]" if np.isfinite(found.low) else f"{mean}{unit}"


def median_and_range(found: Spread, decimals: int = 2, signed: bool = False, unit: str = "") -> str:
    """Median and range: '0.61 (0.42 to 0.80)'; a dash where there is none, '0.61' of a single value."""
    if not found.runs:
        return DASH
    median, low, high = (number(value, decimals, signed) for value in found[:3])
    return f"{median}{unit} ({low} to {high})" if found.runs > 1 else f"{median}{unit}"


def hundredfold(found: Figures) -> Figures:
    """Shares as percentages."""
    return found._make([*(100 * value for value in found[:3]), *found[3:]])


def percent(found: Interval) -> str:
    """A share with its interval: '83% [62, 95]'; a dash where there is none."""
    return interval(hundredfold(found), 0, signed=False, unit="%")


def points(found: Interval) -> str:
    """A difference of shares in percentage points with its interval: '+6 [+2, +42]'; a dash for none."""
    return interval(hundredfold(found), 0)


def share(found: Interval) -> str:
    """A share of trainings in counts and with its interval: '8 of 12, 67% [35, 90]'."""
    return f"{round(found.mean * found.runs)} of {found.runs}, {percent(found)}"


def trainings(count: int) -> str:
    """A number of trainings in words: '1 training', '2 trainings'."""
    return f"{count} training{'s' if count != 1 else ''}"


def typeset(text: str) -> str:
    """Plain text with real minus signs and apostrophes."""
    return re.sub(r"(?<!\w)-(?=\d)", MINUS, text).replace("'", APOSTROPHE)
