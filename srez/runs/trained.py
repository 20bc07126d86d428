"""A trained network on disk: its checkpoints or files of weights, its config.json. Needs no TensorFlow."""

import dataclasses
import json
import os
import re
from importlib import resources
from typing import Any

from srez.errors import UserError, one_line
from srez.options.config import PRETRAINED, SCRATCH, Config
from srez.options.rules import NEWEST
from srez.options.stored import from_dict
from srez.system import files

CONFIG, CHECKPOINT_NAME = "config.json", "srez"
RUN_CHECKPOINTS = "checkpoint"  # folder for these in that of a run
# written by --run export; the second with kernels in float16
WEIGHTS, HALF_WEIGHTS = "generator.weights.h5", "generator.float16.weights.h5"
MARKER, LOCK = ".srez", "lock"  # files in the folder of a training: that it is one, that it is under way
# a folder for each generator that comes along, and the one that is taken where none is named
PRETRAINED_FOLDER, SHARP = str(resources.files("srez") / "pretrained"), "sharp"
GENERATOR_OPTIONS = ("input", "gen_architect", "gen_norm", "width")  # decide its weights, with the factor


def checkpoint_folder(path: str) -> str:
    """The checkpoint folder that a path means: itself, or that inside of a run's folder, as runs/NAME is."""
    inside = files.join(path, RUN_CHECKPOINTS)
    if files.exists(files.join(inside, CONFIG)) and not files.exists(files.join(path, CONFIG)):
        return inside
    return path


def saved_batches(folder: str) -> list[int]:
    """The batches whose checkpoints lie in a folder, oldest first."""
    found = (re.fullmatch(rf"{CHECKPOINT_NAME}-(\d+)\.index", name) for name in files.names(folder))
    return sorted(int(match[1]) for match in found if match)


def checkpoint_path(folder: str, which: str) -> str:
    """The path of a checkpoint, or file of weights: 'newest', a batch number, or a path. Raises UserError."""
    batches = saved_batches(folder)
    if which == NEWEST and not batches:
        for weights in (files.join(folder, name) for name in (WEIGHTS, HALF_WEIGHTS)):
            if files.exists(weights):
                return weights
    elif which == NEWEST:
        which = str(batches[-1])
    if which in map(str, batches):
        return files.join(folder, f"{CHECKPOINT_NAME}-{which}")
    which = which.removesuffix(".index")
    for path in (which, files.join(folder, which)):
        if files.exists(f"{path}.index") or (path.endswith(".h5") and files.exists(path)):
            return path
    saved = ", ".join(map(str, batches))
    there = f"it has those of batches {saved}" if batches else "train first (--run train)"
    raise UserError(
        f"'{folder}' has no checkpoint '{which}'",
        f"{there}, or name a .weights.h5 file, or what comes with srez ({', '.join(pretrained_names())})",
    )


def pretrained_names() -> list[str]:
    """The names of the generators that come with srez, sorted."""
    return [name for name in files.names(PRETRAINED_FOLDER) if files.exists(_pretrained(name, CONFIG))]


def _pretrained(*names: str) -> str:
    return os.path.join(PRETRAINED_FOLDER, *names)


def or_pretrained(folder: str, checkpoint: str = NEWEST) -> tuple[str, str]:
    """The folder, and which checkpoint in it, that --checkpoint_dir and --checkpoint mean.

    Those of a generator that comes with srez where its name is given, whatever the folder holds; of SHARP for
    the newest of a folder that holds nothing: not more than what a training leaves that was refused or
    stopped before its first checkpoint. Raises UserError where a checkpoint is named that is not there.
    """
    if checkpoint in pretrained_names():
        return _pretrained(checkpoint), NEWEST
    if files.needs_tensorflow(folder):
        return folder, checkpoint
    if checkpoint != NEWEST:
        checkpoint_path(folder, checkpoint)
    elif not set(files.names(folder)) - {MARKER, LOCK}:
        folder = _pretrained(SHARP)
    return folder, checkpoint


def read_description(folder: str) -> dict[str, Any]:
    """The config.json of a checkpoint folder. Raises UserError where it is missing or damaged."""
    path = files.join(folder, CONFIG)
    if not files.exists(path):
        raise UserError(f"'{folder}' has no {CONFIG}", "--checkpoint_dir must name the folder of a training")
    try:
        content = json.loads(files.read_bytes(path))
        options, dataset = dict(content["options"]), content["dataset"]
        from_dict(options)
        return {"options": options, "dataset": {name: dataset[name] for name in ("fingerprint", "pictures")}}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"'{path}' is damaged ({one_line(error)})", "put its backup back or use --noresume"
        ) from None


def load_config(folder: str) -> Config:
    """The options of a training. Raises UserError."""
    return from_dict(read_description(folder)["options"])


def replace_folders(config: Config, other: Config) -> Config:
    """A run's options, with the folders of another command line; the dataset only if that names one."""
    folders = {name: getattr(other, name) for name in ("train_dir", "checkpoint_dir", "summary_dir")}
    if other.dataset != Config.dataset:
        folders["dataset"] = other.dataset
    return dataclasses.replace(config, **folders)


def generator_part(config: Config) -> str:
    """The part of a checkpoint that holds the generator to use: "average" with gene_ema, or "generator"."""
    return "average" if config.gene_ema else "generator"


def start_folder(start_from: str) -> str:
    """The checkpoint folder that a value of start_from means, which is not SCRATCH."""
    name = SHARP if start_from == PRETRAINED else start_from
    return _pretrained(name) if name in pretrained_names() else checkpoint_folder(start_from)


def start_weights(config: Config) -> tuple[str, str] | None:
    """The weights that start_from means: their path, and which part of that checkpoint; None: there are none.

    Raises UserError where they are not there or are those of another network.
    """
    if config.start_from == SCRATCH:
        return None
    folder = start_folder(config.start_from)
    try:
        its, path = load_config(folder), checkpoint_path(folder, NEWEST)
    except UserError as error:
        raise cannot_start_from(config, error.problem) from None  # its remedy is for another option
    for name in GENERATOR_OPTIONS:
        if getattr(its, name) != getattr(config, name):
            raise UserError(
                f"--start_from={config.start_from}: its generator has --{name}={getattr(its, name)}, "
                f"not {getattr(config, name)}",
                "give the same",
            )
    if its.factor != config.factor:
        raise UserError(
            f"--start_from={config.start_from}: its generator enlarges {its.factor} times, "
            f"not {config.factor}",
            "give the same --scale_factor, or for noise the same sizes",
        )
    return path, generator_part(its)


def cannot_start_from(config: Config, problem: str) -> UserError:
    """The error to raise where start_from cannot be used."""
    return UserError(
        f"--start_from={config.start_from} cannot be used ({problem})",
        "name a --checkpoint_dir, a folder that --run export wrote, or what comes with srez "
        f"({', '.join(pretrained_names())})",
    )


def nothing_to_show(config: Config, why: str = "") -> UserError:
    """The error to raise where a training has left nothing for a film; why: one was to be made at all."""
    return UserError(
        f"nothing to show: no grids in '{config.train_dir}', no checkpoint in '{config.checkpoint_dir}'",
        f"{why}train first (--run train) or name the run's --train_dir and --checkpoint_dir",
    )
