"""Numbers of a study in words: a real minus sign, a dash where there is none, intervals, shares."""

import re

import numpy as np

from srez.report.intervals import Interval, Spread

MINUS, DASH, APOSTROPHE = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{RIGHT SINGLE QUOTATION MARK}"


def number(value: float, decimals: int = 2, signed: bool = False) -> str:
    """A number: '+0.61', or a dash where it is not finite."""
    if not np.isfinite(value):
        return DASH
    rounded = round(value, decimals) + 0.0  # a zero without a sign
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", MINUS)


def interval(mean: Interval, decimals: int = 2, signed: bool = True) -> str:
    """Mean and interval: '+0.61 [+0.42, +0.80]'; the mean alone where there is no interval."""
    text = number(mean.mean, decimals, signed)
    if not np.isfinite(mean.low):
        return text
    return f"{text} [{number(mean.low, decimals, signed)}, {number(mean.high, decimals, signed)}]"


def median_and_range(found: Spread, decimals: int = 2, signed: bool = False, unit: str = "") -> str:
    """Median and range: '0.61 (0.42 to 0.80)'; a dash where there is none, '0.61' of a single value."""
    text = number(found.median, decimals, signed)
    if not found.runs:
        return DASH
    text += unit
    if found.runs == 1:
        return text
    return f"{text} ({number(found.low, decimals, signed)} to {number(found.high, decimals, signed)})"


def percent(found: Interval) -> str:
    """A share with its interval: '83% [62, 95]'; a dash where there is none."""
    return _hundredths(found, "%", signed=False)


def points(found: Interval) -> str:
    """A difference of shares in percentage points with its interval: '+6 [+2, +42]'; a dash for none."""
    return _hundredths(found, "", signed=True)


def _hundredths(found: Interval, unit: str, signed: bool) -> str:
    if not np.isfinite(found.mean):
        return DASH
    mean, low, high = (number(100 * value, 0, signed) for value in found[:3])
    if not np.isfinite(found.low):
        return f"{mean}{unit}"
    return f"{mean}{unit} [{low}, {high}]"


def share(found: Interval) -> str:
    """A share of trainings in counts and with its interval: '8 of 12, 67% [35, 90]'."""
    return f"{round(found.mean * found.runs)} of {found.runs}, {percent(found)}"


def trainings(count: int) -> str:
    """A number of trainings in words: '1 training', '2 trainings'."""
    return f"{count} training{'s' if count != 1 else ''}"


def typeset(text: str) -> str:
    """Plain text with real minus signs and apostrophes."""
    return re.sub(r"(?<!\w)-(?=\d)", MINUS, text).replace("'", APOSTROPHE)
