"""The command line: absl flags, --help and README's option table, all made from Config."""

import dataclasses
import textwrap
from collections.abc import Sequence

from absl import flags
from absl import logging as _absl_logging  # noqa: F401  (declares --verbosity)

from srez.errors import UserError, one_line
from srez.options.config import IN_USE, RUNS, Config, check, fields

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
_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_multi_string,
}
PICTURE_RUNS = ("upscale", "eval")  # leftover words are pictures there


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
    """Declare every option, and --help, as absl flags; --verbosity is absl's own."""
    flags.DEFINE_boolean("help", False, "show this help", short_name="h", flag_values=values)
    for f in fields():
        _DEFINE[f.type](f.name, f.default, describe(f), flag_values=values)
    values.set_gnu_getopt(True)  # options may also come after words


def parse(argv: Sequence[str], values: flags.FlagValues = flags.FLAGS) -> Config | None:
    """The checked Config of a command line (argv[0] is the program), or None when help was asked for.

    Raises UserError on an unknown flag, a wrong value, a leftover word or a contradiction.
    """
    try:
        leftover = values(list(argv))[1:]
    except (flags.Error, OSError, ValueError) as error:  # a flagfile that is not there, or is no text
        raise UserError(f"{one_line(error)} (--help lists all options)") from None
    if values.help:
        return None
    given = {f.name: _value(values[f.name], f, values.run) for f in fields()}
    if values.run in PICTURE_RUNS:
        given["images"] += tuple(leftover)
    elif leftover:
        raise UserError(
            f"leftover word '{leftover[0]}': options are written --name=value, switches --name or --noname"
        )
    config = Config(**given)
    check(config)
    return config


def given(values: flags.FlagValues = flags.FLAGS) -> dict[str, object]:
    """The options that a parsed command line sets itself, with what it sets them to."""
    return {f.name: _value(values[f.name], f, values.run) for f in fields() if values[f.name].present}


def read_flagfile(path: str) -> dict[str, object]:
    """The options that a flagfile sets. Raises UserError as `parse` does."""
    values = flags.FlagValues()
    define_flags(values)
    parse(["", f"--flagfile={path}"], values)
    return given(values)


def _value(flag: flags.Flag, f: dataclasses.Field, run: str) -> object:
    """What an option was set to, or its default for this kind of run."""
    if not flag.present and run in IN_USE and f.metadata["in_use"] is not None:
        return f.metadata["in_use"]
    if f.type is not tuple:
        return flag.value
    if f.metadata["choices"] is None:
        return tuple(flag.value)
    return tuple(part.strip() for value in flag.value for part in value.split(","))


def verbose(values: flags.FlagValues = flags.FLAGS) -> bool:
    """Whether --verbosity asks for TensorFlow's own messages."""
    return values.verbosity > 0


def describe(f: dataclasses.Field) -> str:
    """Help of one option: what it is, unit, range or choices."""
    unit = f"; {f.metadata['unit']}" if f.metadata["unit"] else ""
    values = allowed(f)
    return f.metadata["help"] + unit + (f"; {values}" if values else "")


def allowed(f: dataclasses.Field) -> str:
    """Range or choices of one option, empty where anything goes."""
    m = f.metadata
    if m["choices"] is not None:
        return " | ".join(map(str, m["choices"]))
    signs = (("low", ">="), ("above", ">"), ("high", "<="), ("below", "<"))
    return ", ".join(f"{sign} {m[name]:g}" for name, sign in signs if m[name] is not None)


def default_text(f: dataclasses.Field) -> str:
    """How an option's default is shown."""
    if f.type is tuple:
        return ",".join(f.default) or "none"
    text = str(f.default).lower() if f.type is bool else str(f.default)
    return text if f.metadata["in_use"] is None else f"{text}; {f.metadata['in_use']} in {', '.join(IN_USE)}"


def help_text() -> str:
    """What --help prints."""
    lines = [f"usage: python3 srez_main.py --run {'|'.join(RUNS)} [--option=value ...] [PICTURE ...]"]
    for group, title in GROUPS.items():
        lines += ["", title]
        for f in fields():
            if f.metadata["group"] == group:
                name = f"--[no]{f.name}" if f.type is bool else f"--{f.name}"
                text = f"{describe(f)} (default: {default_text(f)})"
                lines += textwrap.wrap(text, 100, initial_indent=f"  {name:<26} ", subsequent_indent=" " * 29)
    lines += [
        "",
        "Further",
        "  --flagfile=FILE            read options from a file, one a line (srez/presets/*.flags)",
    ]
    lines += ["  --verbosity=1              show TensorFlow's own messages too"]
    return "\n".join(lines)


def options_table() -> str:
    """The options as README's Markdown tables, one a group."""
    lines = []
    for group, title in GROUPS.items():
        lines += [f"**{title}**", "", "| option | default | values | meaning |", "|---|---|---|---|"]
        for f in fields():
            if f.metadata["group"] == group:
                default = default_text(f)
                values = allowed(f).replace("|", "\\|")
                unit = f" ({f.metadata['unit']})" if f.metadata["unit"] else ""
                lines.append(f"| `{f.name}` | {default} | {values} | {f.metadata['help']}{unit} |")
        lines.append("")
    return "\n".join(lines)
