"""The rules of options: the range of each, and which contradict each other."""

import dataclasses
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from srez.errors import UserError, closest

FRESH_BATCH = 8  # faces in a batch of fresh critics
LARGEST_INT = 2**31 - 1  # whole numbers become TensorFlow's int32
# objectives that are kept as 2017 spelled them, so that old runs go on
OBJECTIVES_OF_2017 = {"gan": "dcgan", "wgan-gp": "wgangp"}
OBJECTIVE_NAMES = {kept: name for name, kept in OBJECTIVES_OF_2017.items()}
# each bound's words, its sign, and whether a value keeps it
BOUNDS = {
    "low": ("at least", ">=", operator.ge),
    "above": ("above", ">", operator.gt),
    "high": ("at most", "<=", operator.le),
    "below": ("below", "<", operator.lt),
}


def option(
    default: Any,
    help: str,
    *,
    group: str,
    unit: str = "",
    choices: Sequence | None = None,
    fixed: bool = False,
    path: bool = False,
    **bounds: float,
) -> Any:
    """A Config field. `bounds`: the allowed `low` and `high`, or `above` and `below`, themselves not allowed.

    `fixed` marks what a run cannot change when it is resumed, `path` what may name a file or folder. A tuple
    as default: the option may be repeated.
    """
    rule = {"help": help, "group": group, "unit": unit, "choices": choices, "fixed": fixed, "path": path}
    return dataclasses.field(default=default, metadata=rule | {"bounds": bounds})


def choices_in_words(rule: Mapping[str, Any]) -> list[str]:
    """The choices of an option as they are shown, objectives by OBJECTIVE_NAMES; `rule`: its metadata."""
    return [str(OBJECTIVE_NAMES.get(choice, choice)) for choice in rule["choices"]]


def one_of(names: Sequence[str], word: Any) -> str:
    """The names from which to take one in place of a word, and the one that it probably means."""
    close = closest(word, names) if isinstance(word, str) else ""
    return ", ".join(names) + (f"; did you mean {close}?" if close else "")


def in_words(name: str, value: Any) -> Any:
    """A value of an option as it is shown: gan where loss_func is dcgan, other options as they are."""
    return OBJECTIVE_NAMES.get(value, value) if name == "loss_func" else value


def out_of_range(value: Any, rule: Mapping[str, Any]) -> str:
    """What an option's value must be where it is not, else empty; `rule`: the option's metadata."""
    if isinstance(value, tuple):
        return next(filter(None, (out_of_range(v, rule) for v in value)), "")
    if rule["choices"] is not None:
        return "" if value in rule["choices"] else f"one of {one_of(choices_in_words(rule), value)}"
    if isinstance(value, str):
        return "" if value.strip() and "\0" not in value else "a name"
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        return f"at most {LARGEST_INT} in size"
    bounds = [(*BOUNDS[name], bound) for name, bound in rule["bounds"].items()]
    return "; ".join(f"{words} {bound:g}" for words, _, holds, bound in bounds if not holds(value, bound))


NEWEST = "newest"
AUTO = "auto"


def contradictions(c: Any) -> Iterator[tuple[str, str]]:
    """Problem, which names both flags, and remedy for a Config whose values are each in range."""
    if c.loss_func == "wgangp" and c.LAMBDA == 0:
        yield "--LAMBDA=0 with --loss_func=wgan-gp", "the gradient penalty needs a weight, 10 is usual"
    if c.noise_input and c.sample_size not in [c.noise_dimension * k for k in (2, 4, 8, 16)]:
        yield (
            f"--noise_dimension={c.noise_dimension} with --sample_size={c.sample_size}",
            "the output must be 2, 4, 8 or 16 times as large as the noise",
        )
    if c.noise_input and c.back_projection:
        problem = f"--back_projection={c.back_projection} with --input=noise: noise is no picture"
        yield problem, "leave one of them out"
    for name in ("gene_pixel_factor", "gene_lpips_factor"):
        if c.noise_input and (value := getattr(c, name)):
            yield f"--{name}={value:g} with --input=noise: noise has no label", "leave one of them out"
    if c.noise_input and c.degrade != "off":
        yield f"--degrade={c.degrade} with --input=noise: noise is no photograph", "leave one of them out"
    cosine = c.learning_rate_schedule == "cosine"
    if cosine != bool(c.learning_rate_batches):
        yield (
            f"--learning_rate_schedule={c.learning_rate_schedule} "
            f"with --learning_rate_batches={c.learning_rate_batches}",
            "say over how many batches the rate falls, such as those of --max_batches"
            if cosine
            else "only cosine falls over so many; add --learning_rate_batches=0 or take cosine",
        )
    if c.fresh_critics and c.test_vectors < 4 * FRESH_BATCH:
        problem = f"--fresh_critics={c.fresh_critics} with --test_vectors={c.test_vectors}"
        yield problem, f"hold out at least {4 * FRESH_BATCH}: each half needs two batches of {FRESH_BATCH}"
    if c.crop_size < c.sample_size:
        problem = f"--crop_size={c.crop_size} with --sample_size={c.sample_size}: the crop may not be smaller"
        yield problem, "raise the one or lower the other"
    if (c.crop_x == -1) != (c.crop_y == -1):
        yield f"--crop_x={c.crop_x} with --crop_y={c.crop_y}", "set both or neither"
    if not c.face:
        for given in _given(c, "compare", "aligned", "redraw", "only_largest", "paste", "min_face"):
            yield f"{given} without --face: it says what becomes of faces", "give both"
    if c.face and not c.aligned:
        for given in _given(c, "crop_size", "crop_x", "crop_y"):
            problem = f"{given} with --face: it frames faces as CelebA does"
            yield problem, "leave it out, or say with --aligned that the pictures are framed so"
    if c.paste == "on" and (c.aligned or c.redraw):
        which = "--aligned: the picture is the face" if c.aligned else "--redraw: that is a test"
        yield f"--paste=on with {which}", "leave one of them out"
    if c.aligned:
        for given in _given(c, "only_largest", "redraw", "min_face"):
            yield f"{given} with --aligned: no face is searched for", "leave one of them out"
    if c.all_checkpoints and c.checkpoint != NEWEST:
        yield f"--all_checkpoints with --checkpoint={c.checkpoint}", "give one of them"
    if c.run == "train" and not c.train_time and not c.max_batches:
        yield "--train_time=0 with --max_batches=0: nothing says when to stop", "set one of them"
    if c.precision == AUTO and c.run in ("train", "study"):
        yield f"--precision=auto with --run={c.run}: it is for --run=upscale", "name one, bfloat16 for a GPU"
    if c.run == "study" and c.strategy == "multiworker":
        yield (
            "--strategy=multiworker with --run=study: machines share a study by its trainings",
            "take --engine=ray, or give each machine a --study_shard",
        )
    if c.engine != "ray" and (c.ray_address != AUTO or c.ray_gpus != type(c).ray_gpus):
        name = "ray_gpus" if c.ray_address == AUTO else "ray_address"
        yield f"--{name} without --engine=ray: it is for a cluster", "give both"
    if c.ray_gpus > 1 and c.ray_gpus % 1:
        yield f"--ray_gpus={c.ray_gpus:g}", "must be a whole number, or a fraction of one GPU"
    if c.steps_at_once != "auto" and not re.fullmatch(r"0*[1-9]\d{0,4}", c.steps_at_once):
        yield f"--steps_at_once={c.steps_at_once}", "must be auto or a whole number from 1 to 99999"
    share = re.fullmatch(r"(\d+)/(\d+)", c.study_shard)
    if share is None or not 1 <= int(share[1]) <= int(share[2]):
        yield f"--study_shard={c.study_shard}", "must be I/N with I from 1 to N, as in 2/4"


def _given(config: Any, *names: str) -> Iterator[str]:
    """Those of the named options that are not at their defaults, as one writes them: --face, --paste=on."""
    for name in names:
        if (value := getattr(config, name)) != getattr(type(config), name):
            yield f"--{name}" if value is True else f"--{name}={value}"


def check(config: Any) -> None:
    """Raise UserError, one line, on a Config's first value out of range or contradiction."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if problem := out_of_range(value, f.metadata):
            shown = ",".join(value) if isinstance(value, tuple) else value
            raise UserError(f"--{f.name}={shown}", f"must be {problem} ({f.metadata['help']})")
    for problem, remedy in contradictions(config):
        raise UserError(problem, remedy)
