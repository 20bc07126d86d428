"""The rules of options: the range of each, and which contradict each other."""

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
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


NEWEST = "newest"


def contradictions(c: Any) -> Iterator[str]:
    """What is wrong with a Config whose values are each in range: one line, naming both flags."""
    if c.loss_func == "wgangp" and c.LAMBDA == 0:
        yield "--LAMBDA=0 with --loss_func=wgangp: the gradient penalty needs a weight, 10 is usual"
    if c.noise_input and c.sample_size not in [c.noise_dimension * k for k in (2, 4, 8, 16)]:
        yield (
            f"--noise_dimension={c.noise_dimension} with --sample_size={c.sample_size}: "
            "the output must be 2, 4, 8 or 16 times as large as the noise"
        )
    if c.noise_input and c.back_projection:
        yield f"--back_projection={c.back_projection} with --input=noise: noise is no picture to be true to"
    if c.noise_input and c.gene_pixel_factor:
        yield f"--gene_pixel_factor={c.gene_pixel_factor:g} with --input=noise: noise has no label"
    if c.crop_size < c.sample_size:
        yield f"--crop_size={c.crop_size} with --sample_size={c.sample_size}: the crop may not be smaller"
    if (c.crop_x == -1) != (c.crop_y == -1):
        yield f"--crop_x={c.crop_x} with --crop_y={c.crop_y}: set both or neither"
    if c.compare and not c.face:
        yield "--compare without --face: only a face that was averaged down has an original to compare with"
    if c.all_checkpoints and c.checkpoint != NEWEST:
        yield f"--all_checkpoints with --checkpoint={c.checkpoint}: give one of them"
    if c.run == "train" and not c.train_time and not c.max_batches:
        yield "--train_time=0 with --max_batches=0: nothing says when to stop, set one of them"
    if c.run == "study" and c.strategy == "multiworker":
        yield (
            "--strategy=multiworker with --run=study: machines share a study by its trainings, "
            "give each machine the same --study_dir or a --study_shard"
        )
    share = re.fullmatch(r"(\d+)/(\d+)", c.study_shard)
    if share is None or not 1 <= int(share[1]) <= int(share[2]):
        yield f"--study_shard={c.study_shard}: must be I/N with I from 1 to N, as in 2/4"
