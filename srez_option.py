"""One option: its help, unit and rule, and whether a value keeps to the rule."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

MOST = 2**31 - 1  # of whole numbers, which become TensorFlow's


def option(
    default: Any,
    help: str,
    *,
    group: str = "training",
    unit: str = "",
    choices: Sequence | None = None,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    fixed: bool = False,
    in_use: Any = None,
) -> Any:
    """A Config field. `low` and `high` are allowed values, `above` and `below` are not.

    `fixed` marks what a run cannot change when it is resumed; `in_use` is another default for the runs of
    IN_USE. A default that is a tuple may be given repeatedly.
    """
    metadata = {
        "help": help,
        "group": group,
        "unit": unit,
        "choices": choices,
        "low": low,
        "high": high,
        "above": above,
        "below": below,
        "fixed": fixed,
        "in_use": in_use,
    }
    return dataclasses.field(default=default, metadata=metadata)


def out_of_range(value: Any, rule: dict[str, Any]) -> str:
    """What a value must be, where it is not; `rule`: an option's metadata."""
    if isinstance(value, tuple):
        return next(filter(None, (out_of_range(v, rule) for v in value)), "")
    if rule["choices"] is not None:
        return "" if value in rule["choices"] else "one of " + ", ".join(map(str, rule["choices"]))
    if isinstance(value, str):
        return "" if value.strip() and "\0" not in value else "a name"
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if isinstance(value, int) and abs(value) > MOST:
        return f"at most {MOST} in size"
    bounds = (
        (rule["low"], "at least", lambda v, b: v >= b),
        (rule["above"], "above", lambda v, b: v > b),
        (rule["high"], "at most", lambda v, b: v <= b),
        (rule["below"], "below", lambda v, b: v < b),
    )
    return "; ".join(
        f"{word} {bound:g}" for bound, word, holds in bounds if bound is not None and not holds(value, bound)
    )
