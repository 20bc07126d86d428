"""Numbers of a study in words: a real minus sign, a dash where there is none, intervals, shares."""

import re

import numpy as np

from srez.report.intervals import Interval

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


def percent(found: Interval, signed: bool = False) -> str:
    """A share or a difference of shares with its interval: '83% [62%, 95%]'; a dash where there is none."""
    if not np.isfinite(found.mean):
        return DASH
    texts = [number(100 * value, 0, signed) for value in found[:3]]
    return f"{texts[0]}% [{texts[1]}%, {texts[2]}%]"


def share(found: Interval) -> str:
    """A share of trainings with its 95% interval: '8 of 12 (35% to 90%)'."""
    return f"{round(found.mean * found.runs)} of {found.runs} ({found.low:.0%} to {found.high:.0%})"


def trainings(count: int) -> str:
    """A number of trainings in words: '1 training', '2 trainings'."""
    return f"{count} training{'s' if count != 1 else ''}"


def typeset(text: str) -> str:
    """Plain text with real minus signs and apostrophes."""
    return re.sub(r"(?<!\w)-(?=\d)", MINUS, text).replace("'", APOSTROPHE)
