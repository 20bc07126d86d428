"""Studies on disk: a TOML file of axes, base and seeds is a grid of trainings. Needs no TensorFlow.

    name = "paper"                        # the file's own if not given
    title = "Which objective is stable?"
    question = "In plain words, what the study asks."
    seeds = [0, 1, 2]

    [base]                                # options of every training
    max_batches = 10000

    [axes]                                # each a list: values of the option that the axis is named for,
    critic_norm = ["batch", "layer"]      # or tables of options that change together, under a label
    objective = [
      {preset = "wgan-gp"},               # presets/wgan-gp.flags; its name is the label if none is given
      {label = "clipped", preset = "wgan", critic_iters = 1},
    ]

    [[exclude]]                           # cells that are left out: by labels, of the axes that matter
    objective = ["wgan-gp"]
    critic_norm = "batch"
    reason = "why"

Where two set the same option, an axis wins over the base, a later axis over an earlier one, and an option
over its table's preset.
"""

import dataclasses
import json
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from srez.errors import UserError, closest, one_line
from srez.options import flags
from srez.options.config import Config, fields
from srez.options.rules import check
from srez.study.cells import Cell, Exclusion, Study, slug
from srez.system.files import expand

STUDIES = Path(str(resources.files("srez"))) / "studies"
OPTIONS = {f.name: f for f in fields()}
OF_THE_COMMAND = [name for name, f in OPTIONS.items() if f.metadata["group"] in ("command", "use", "study")]
NOT_IN_A_STUDY = {
    **dict.fromkeys(OF_THE_COMMAND, "it belongs on the command line"),
    **dict.fromkeys(("checkpoint_dir", "train_dir", "summary_dir"), "each training has folders of its own"),
    "resume": "a study always goes on where it stopped",
    "random_seed": "the study's seeds are for that",
    "train_time": "trainings are compared at equal batches, set max_batches",
}
TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a word in quotes"}
TEXT_KEYS = ("name", "title", "question")
KEYS = (*TEXT_KEYS, "seeds", "base", "axes", "exclude")
MAX_LABEL_LENGTH = 40


def find(path: str) -> str:
    """The file of a study: a path, or the name of one of srez' own. Raises UserError."""
    for candidate in (Path(path), STUDIES.parent / path, STUDIES / f"{path}.toml"):
        if candidate.is_file():
            return str(candidate)
    names = ", ".join(sorted(own.stem for own in STUDIES.glob("*.toml")))
    raise UserError(f"there is no study '{path}'", f"take one of {names}, or the path of a .toml file")


def read_study(path: str) -> Study:
    """Read a study and check every training of it. Raises UserError: one line with file, place and remedy."""
    try:
        content = tomllib.loads(Path(find(path)).read_text(encoding="utf-8"))
    except ValueError as error:  # no TOML, or no UTF-8
        raise UserError(f"{path}: {one_line(error)}", "mend the file there") from None
    study = _Reader(path).study(content)
    _check(study, path)
    return study


def override(study: Study, options: dict[str, Any]) -> Study:
    """The study with options of the command line in its base. Raises UserError on those of an axis."""
    for name in options:
        axes = [axis for axis, labels in study.settings.items() if any(name in o for o in labels.values())]
        why = f"axis {axes[0]} of the study sets it" if axes else NOT_IN_A_STUDY.get(name)
        if why:
            raise UserError(f"--{name} with --run=study: {why}", "leave it out")
    changed = dataclasses.replace(study, base=study.base | options)
    _check(changed, study.name)
    return changed


def to_toml(study: Study) -> str:
    """A study as the text of a file that needs no preset; `read_study` makes the same study of it."""
    lines = [f"{key} = {_text(getattr(study, key))}" for key in (*TEXT_KEYS, "seeds")]
    lines += ["", "[base]", *(f"{name} = {_text(value)}" for name, value in study.base.items())]
    lines += ["", "[axes]"]
    for axis, labels in study.settings.items():
        lines.append(f"{_text(axis)} = [")
        for label, options in labels.items():
            pairs = (f"{name} = {_text(value)}" for name, value in ({"label": label} | options).items())
            lines.append(f"  {{{', '.join(pairs)}}},")
        lines.append("]")
    for exclusion in study.exclusions:
        pairs = (exclusion.labels | {"reason": exclusion.reason}).items()
        lines += ["", "[[exclude]]", *(f"{_text(key)} = {_text(value)}" for key, value in pairs)]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    """A value as TOML has it: JSON, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class _Reader:
    """A study out of the tables of its file; every problem is a UserError that names the place."""

    def __init__(self, path: str):
        self.path = path

    def study(self, content: dict[str, Any]) -> Study:
        self.known(content, KEYS, "the file")
        axes = self.typed(content.get("axes", {}), dict, "axes", "a table, [axes]")
        settings = {axis: self.axis(axis, values) for axis, values in axes.items()}
        tables = self.typed(content.get("exclude", []), list, "exclude", "tables, [[exclude]]")
        text = {key: self.typed(content.get(key, ""), str, key, "text in quotes") for key in TEXT_KEYS}
        return Study(
            text["name"] or Path(self.path).stem,
            text["title"],
            text["question"],
            self.seeds(content.get("seeds", [0])),
            self.options(content.get("base", {}), "[base]"),
            settings,
            [self.exclusion(table, settings) for table in tables],
        )

    def seeds(self, seeds: Any) -> list[int]:
        whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
        if not whole or not seeds or len(set(seeds)) < len(seeds):
            self.fail("seeds", "must be different whole numbers, as in [0, 1, 2]")
        return seeds

    def axis(self, axis: str, values: Any) -> dict[str, dict[str, Any]]:
        place = f"axis {axis}"
        if not self.typed(values, list, place, "a list"):
            self.fail(f"{place}: has no values", "give some, or leave it out")
        found: dict[str, dict[str, Any]] = {}
        for value in values:
            table = self.table(axis, value)
            label = table.pop("label", table.get("preset"))
            if not isinstance(label, str) or not slug(label) or len(label) > MAX_LABEL_LENGTH:
                remedy = f"needs a label of at most {MAX_LABEL_LENGTH} letters, digits and dots"
                self.fail(f"{place}: {value}", remedy)
            if label in found:
                self.fail(f"{place}: two values are labelled {label}", "give one another label")
            found[label] = self.options(table, f"{place}, {label}")
        return found

    def table(self, axis: str, value: Any) -> dict[str, Any]:
        """An axis' value as a table of options with its label."""
        if isinstance(value, dict):
            return dict(value)
        if axis not in OPTIONS:
            self.fail(
                f"axis {axis}: is not named for an option",
                f"write {_text(value)} as a table "
                'of options, as in {label = "b", critic_norm = "batch"}, or {preset = "gan"}',
            )
        return {"label": self.label(value), axis: value}

    def label(self, value: Any) -> str:
        return value if isinstance(value, str) else _text(value)

    def options(self, table: Any, place: str) -> dict[str, Any]:
        table = dict(self.typed(table, dict, place, "a table of options"))
        try:
            preset = flags.read_preset(str(table.pop("preset"))) if "preset" in table else {}
        except UserError as error:
            self.fail(f"{place}: {error.problem}", error.remedy)
        self.known(table, OPTIONS, place)
        for name in (*preset, *table):
            if name in NOT_IN_A_STUDY:
                self.fail(f"{place}: {name} cannot be set in a study", NOT_IN_A_STUDY[name])
        return preset | {name: self.value(name, value, place) for name, value in table.items()}

    def value(self, name: str, value: Any, place: str) -> Any:
        kind = OPTIONS[name].type
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:  # not isinstance: true is an int, too
            self.fail(f"{place}: {name} = {value!r}", f"must be {TYPES[kind]}")
        try:
            return expand(value) if OPTIONS[name].metadata["path"] else value
        except UserError as error:
            self.fail(f"{place}: {name}: {error.problem}", error.remedy)

    def exclusion(self, table: Any, settings: dict[str, dict[str, Any]]) -> Exclusion:
        table = dict(self.typed(table, dict, "exclude", "tables, [[exclude]]"))
        reason = table.pop("reason", "")
        if not table or not isinstance(reason, str) or not reason.strip():
            self.fail(f"[[exclude]]: {table or 'a table'}", "needs labels of an axis, and a reason")
        self.known(table, settings, "[[exclude]]")
        labels = {}
        for axis, those in table.items():
            labels[axis] = [self.label(one) for one in (those if isinstance(those, list) else [those])]
            self.known(labels[axis], settings[axis], f"[[exclude]], {axis}")
        return Exclusion(labels, reason)

    def known(self, names: Iterable[str], those: Iterable[str], place: str) -> None:
        for name in names:
            if name not in those:
                close = closest(name, those)
                hint = f"did you mean {close}?" if close else f"there are {', '.join(those)}"
                self.fail(f"{place}: {name!r} is not known", hint)

    def typed(self, value: Any, kind: type, place: str, what: str) -> Any:
        if not isinstance(value, kind):
            self.fail(place, f"must be {what}")
        return value

    def fail(self, problem: str, remedy: str) -> NoReturn:
        raise UserError(one_line(f"{self.path}, {problem}"), one_line(remedy))


def _check(study: Study, where: str) -> None:
    """Refuse what no training would take, cells that are the same, and names that are not unique."""
    cells = [cell for cell in study.cells() if not cell.excluded]
    if not cells:
        raise UserError(f"{where}: every cell is excluded", "leave one to train")
    configs: dict[Config, Cell] = {}
    names: dict[str, Cell] = {}
    for cell in cells:
        config = cell.config(study.seeds[0])
        if not config.max_batches:
            raise UserError(f"{where}: max_batches is not set", "say in [base] how long a training is")
        try:
            for seed in (min(study.seeds), max(study.seeds)):
                check(cell.config(seed))
        except UserError as error:
            raise UserError(f"{where}, cell {cell.title}: {error.problem}", error.remedy) from None
        if other := configs.get(config):
            raise UserError(
                f"{where}: the cells {other.title} and {cell.title} are the same training", "exclude one"
            )
        if other := names.get(cell.name.casefold()):  # some filesystems do not tell A from a
            raise UserError(
                f"{where}: the cells {other.title} and {cell.title} would share the folder {cell.name}",
                "choose labels that differ in their letters or digits",
            )
        configs[config] = names[cell.name.casefold()] = cell
