"""The command line: absl flags, --help and the tables of docs/options.md, all made from Config."""

import dataclasses
import re
import textwrap
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from absl import flags
from absl import logging as _absl_logging  # noqa: F401  (declares --verbosity)

from srez.errors import UserError, closest, one_line
from srez.options.config import RUNS, USE_DEFAULTS, USE_RUNS, Config, fields
from srez.options.rules import BOUNDS, check, choices_in_words, in_words
from srez.system.files import expand

GROUPS = {
    "command": "What to do",
    "files": "Files and their rhythm",
    "training": "Length and repeatability",
    "data": "Pictures",
    "networks": "Networks",
    "objective": "Objective",
    "optimizer": "Optimizer",
    "machine": "Machine",
    "use": "Use of a trained network",
    "study": "Studies",
}
_DEFINE_FLAG = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_multi_string,
}
WORDS_OF = {"upscale": "images", "eval": "images", "compare": "folders"}  # the option that leftover words are
NAMED_RUNS = ("train", "demo", *USE_RUNS)  # what --name is for
RENAMED_PRESETS = {"gan": "2017-gan"}  # old names, which go on working
PRESETS = Path(str(resources.files("srez"))) / "presets"
RUNS_FOLDER = "runs"  # where a run with a --name has its folder, and in that these
RUN_FOLDERS = ("train", "checkpoint", "summary")
BYTE_ORDER_MARK = "\ufeff"
USAGE = f"usage: python3 srez_main.py --run {'|'.join(RUNS)} [--option=value ...] [PICTURE or FOLDER ...]"
EXAMPLES = """
  --run train --dataset synthetic --preset quick    train on drawn faces for five minutes
  --run train --dataset FOLDER --preset sharp       train on photographs
  --run demo                                        a film of the training
  --run upscale --face party.jpg                    enlarge the small faces of a photograph
  --run eval                                        figures against interpolation
  --run compare runs/*                              trainings, each with a --name, side by side
  --run study --study signal                        a grid of trainings; --run report writes its report anew

--help lists all options"""


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Declare every option, --help, --version and --preset as absl flags; --verbosity is absl's own."""
    flags.DEFINE_boolean("help", False, "show this help", short_name="h", flag_values=values)
    flags.DEFINE_boolean("version", False, "show the version", flag_values=values)
    flags.DEFINE_string("preset", None, "a recipe: see help_text", flag_values=values)
    flags.DEFINE_string("name", None, "a run's folder: see help_text", flag_values=values)
    for f in fields():
        _DEFINE_FLAG[f.type](f.name, f.default, f.metadata["help"], flag_values=values)
    values.set_gnu_getopt(True)  # options may also come after words


def parse(argv: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> Config | str:
    """The checked Config of a command line (argv[0] is the program), or the text that it asks for.

    A text: help, the version, or without any words the usage. Raises UserError on an unknown flag, a wrong
    value, a leftover word or a contradiction.
    """
    try:
        words = values.read_flags_from_files([_expand_flagfile(word) for word in argv[1:]], force_gnu=False)
        leftover = values([argv[0], *_without_marks(words)])[1:]
    except flags.UnrecognizedFlagError as error:
        close = closest(error.flagname, values)
        remedy = "--help lists all options"
        remedy = f"did you mean --{close}? ({remedy})" if close else remedy
        raise UserError(f"there is no --{error.flagname}", remedy) from None
    except (flags.Error, OSError, ValueError) as error:  # a flagfile that is not there, or is no text
        raise UserError(one_line(error), "--help lists all options") from None
    if values.help:
        return help_text()
    if values.version:
        import srez

        return f"srez {srez.__version__}"
    if len(argv) < 2:
        return USAGE + "\n" + EXAMPLES
    chosen = given_options(values)
    run = chosen.get("run", Config.run)
    config = Config(**((USE_DEFAULTS if run in USE_RUNS else {}) | chosen))
    if run not in RUNS:
        check(config)
    if option := WORDS_OF.get(run):
        words = getattr(config, option) + tuple(map(expand, leftover))
        config = dataclasses.replace(config, **{option: words})
    elif leftover and leftover[0] in RUNS:
        raise UserError(f"leftover word '{leftover[0]}'", f"write --run {leftover[0]}")
    elif leftover:
        before = "" if "run" in chosen else "; before a picture write --run upscale"
        raise UserError(
            f"leftover word '{leftover[0]}'",
            f"options are written --name=value, switches --name or --noname{before}",
        )
    check(config)
    return config


def _without_marks(words: Sequence[str]) -> list[str]:
    """Words without the byte-order marks with which some editors begin a flagfile, perhaps its comment."""
    found = []
    for word in words:
        text = word.removeprefix(BYTE_ORDER_MARK)
        if text == word or (text.strip() and not text.startswith("#")):
            found.append(text)
    return found


def _expand_flagfile(word: str) -> str:
    """A word of the command line, its path expanded where it names a flagfile: absl expands ~ alone."""
    name, equals, path = word.partition("=")
    return name + equals + expand(path) if name in ("--flagfile", "-flagfile") and path else word


def given_options(values: flags.FlagValues = flags.FLAGS) -> dict[str, object]:
    """The options that a parsed command line sets: its own before those of its preset and of its name."""
    chosen = read_preset(values.preset) if values.preset is not None else {}
    chosen |= {f.name: _flag_value(values[f.name], f) for f in fields() if values[f.name].present}
    return chosen if values.name is None else named_folders(values.name, chosen) | chosen


def named_folders(name: str, chosen: Mapping[str, object]) -> dict[str, object]:
    """The options that --name stands for: all folders of a run, below runs/NAME.

    chosen: the options beside it. Raises UserError where these name a folder of the run or want none, where
    the name is no file's, and where the run is to be used and is not there.
    """
    if not re.fullmatch(r"\w[\w .,+=@-]*", name):
        raise UserError(f"--name={name}", "must be a file name: letters and digits, after the first also .-_")
    folder, run = f"{RUNS_FOLDER}/{name}", chosen.get("run", Config.run)
    if run in RUNS and run not in NAMED_RUNS:
        raise UserError(
            f"--name={name} with --run={run}", f"leave it out; it is for --run {', '.join(NAMED_RUNS)}"
        )
    folders = {f"{part}_dir": f"{folder}/{part}" for part in RUN_FOLDERS}
    for option in folders:
        if option in chosen:
            problem = f"--name={name} with --{option}={chosen[option]}: the run's folders are in {folder}"
            raise UserError(problem, "leave one of them out")
    if run in USE_RUNS and not Path(folder).is_dir():
        raise UserError(f"--name={name}: there is no {folder}", f"train it first (--run train --name {name})")
    return folders | {"output": f"{folder}/output"}


def read_preset(name: str) -> dict[str, object]:
    """The options of a preset of srez/presets, or of the flagfile at a path. Raises UserError."""
    own = PRESETS / f"{RENAMED_PRESETS.get(name, name)}.flags"
    for path in (own, Path(expand(name))):
        if path.is_file():
            return read_flagfile(str(path))
    names = preset_names()
    close = f" (did you mean {close}?)" if (close := closest(name, names)) else ""
    remedy = f"take one of {', '.join(names)}, or the path of a flagfile"
    raise UserError(f"there is no preset '{name}'{close}", remedy)


def preset_names() -> list[str]:
    """The presets that come with srez, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.flags"))


def read_flagfile(path: str) -> dict[str, object]:
    """The options that a flagfile sets. Raises UserError as `parse` does."""
    values = flags.FlagValues()
    define_flags(values)
    parse(["", f"--flagfile={path}"], values)
    return given_options(values)


def _flag_value(flag: flags.Flag, f: dataclasses.Field) -> object:
    """What an absl flag sets its option to: a tuple where it may be given repeatedly; paths are expanded."""
    if f.metadata["path"]:
        return tuple(map(expand, flag.value)) if f.type is tuple else expand(flag.value)
    if f.type is not tuple:
        return flag.value
    if f.metadata["choices"] is None:
        return tuple(flag.value)
    return tuple(part.strip() for value in flag.value for part in value.split(","))


def verbose(values: flags.FlagValues = flags.FLAGS) -> bool:
    """Whether --verbosity asks for TensorFlow's own messages."""
    return values.verbosity > 0


def allowed_values(f: dataclasses.Field) -> str:
    """Range or choices of one option, empty where anything goes."""
    if f.metadata["choices"] is not None:
        return " | ".join(choices_in_words(f.metadata))
    return ", ".join(f"{BOUNDS[name][1]} {bound:g}" for name, bound in f.metadata["bounds"].items())


def default_text(f: dataclasses.Field) -> str:
    """An option's default, as --help and docs/options.md show it."""
    if f.type is tuple:
        return ",".join(f.default) or "none"
    text = str(f.default).lower() if f.type is bool else str(in_words(f.name, f.default))
    return f"{text}; {USE_DEFAULTS[f.name]} in {', '.join(USE_RUNS)}" if f.name in USE_DEFAULTS else text


def options_by_group() -> dict[str, list[dataclasses.Field]]:
    """The options under the title of their group."""
    return {title: [f for f in fields() if f.metadata["group"] == group] for group, title in GROUPS.items()}


def help_text() -> str:
    """What --help prints."""
    sections: dict[str, dict[str, str]] = {}
    for title, options in options_by_group().items():
        sections[title] = {}
        for f in options:
            parts = [f.metadata["help"], f.metadata["unit"], allowed_values(f)]
            text = "; ".join(filter(None, parts)) + f" (default: {default_text(f)})"
            sections[title][f"--[no]{f.name}" if f.type is bool else f"--{f.name}"] = text
    presets = ", ".join(preset_names())
    sections["Further"] = {
        "--preset=NAME": f"a recipe, {presets}, or the path of a flagfile; options beside it win",
        "--name=NAME": "keep all of a run, what it trains, writes and tells, in runs/NAME",
        "--flagfile=FILE": "read options from a file, one a line; of two that are the same the last counts",
        "--verbosity=1": "show TensorFlow's own messages too",
        "--version": "show the version",
    }
    lines = [USAGE]
    for title, section in sections.items():
        lines += ["", title]
        for name, text in section.items():
            lines += textwrap.wrap(text, 100, initial_indent=f"  {name:<26} ", subsequent_indent=" " * 29)
    return "\n".join(lines)


def options_table() -> str:
    """The options as the Markdown tables of docs/options.md, each group under a heading."""
    lines = []
    for title, options in options_by_group().items():
        lines += [f"## {title}", "", "| option | default | values | meaning |", "|---|---|---|---|"]
        for f in options:
            unit = f" ({f.metadata['unit']})" if f.metadata["unit"] else ""
            cells = [f"`{f.name}`", default_text(f), allowed_values(f), f.metadata["help"] + unit]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)
