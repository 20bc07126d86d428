"""Numbers as they are printed."""

import numpy as np

from srez.report.intervals import Interval, share_of_independent
from srez.report.text import DASH, MINUS, interval, number, share, typeset


def test_numbers_in_words():
    assert number(-1.5, 1) == f"{MINUS}1.5"
    assert number(float("nan")) == DASH
    assert interval(Interval(0.5, 0.25, 0.75, 6, 2)) == "+0.50 [+0.25, +0.75]"
    assert interval(Interval(0.5, np.nan, np.nan, 1, 1)) == "+0.50"
    assert share(share_of_independent([[1] * 8])) == "8 of 8, 100% [63, 100]"
    assert typeset("wgan-gp: -3 it's") == f"wgan-gp: {MINUS}3 it\N{RIGHT SINGLE QUOTATION MARK}s"
