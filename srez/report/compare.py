"""Trainings side by side, whatever they were trained for: a table on the screen, and one HTML page."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from srez.errors import EXIT_DONE, EXIT_USER, PREFIX, UserError, as_user_error, few, one_line
from srez.options.config import CROP_OPTIONS, Config, fields, to_dict
from srez.options.rules import in_words
from srez.options.stored import from_dict
from srez.report import curves, figures
from srez.report.controls import bicubic_figures
from srez.report.correlations import CRITIC_LOSS, ESTIMATE, GENERATOR_LOSS, HELDOUT
from srez.report.faces import Gallery, gallery
from srez.report.indicator_tables import Group
from srez.report.page import fill
from srez.report.results import BICUBIC, FINISHED, METRICS, Results, RunResult, grouped
from srez.report.tables import curves_of
from srez.report.text import DASH, number, trainings
from srez.report.verdicts import MEDIAN_WINDOW, Curve
from srez.runs.run import METRICS as METRICS_FILE
from srez.runs.run import read_metrics
from srez.runs.trained import RUN_CHECKPOINTS, checkpoint_folder, read_description
from srez.study.cells import Study, StudyRun
from srez.system import files
from srez.system.screen import aligned

PAGE = "compare.html"
AXIS = "run"
RECIPE_GROUPS = ("training", "data", "networks", "objective", "optimizer", "machine")  # of options
# which faces are held out, and what of them is seen
HELD_OUT = ("test_vectors", "sample_size", *CROP_OPTIONS)
SHOWN = ("lpips", "psnr", "ssim", "consistency")  # where none of them was measured, all that were
ARROWS_MEAN = "\N{UPWARDS ARROW} higher, \N{DOWNWARDS ARROW} lower is better"
# options that say how far figures can be compared, told where all trainings have the same
COMMON = ("dataset", "test_vectors", "width", "batch_size", "random_seed", "max_batches", "train_time")
SIGNALS = (GENERATOR_LOSS, CRITIC_LOSS, ESTIMATE, HELDOUT, "gradient_penalty", "heldout_gradient_penalty")
MOST_NAMED = 4  # trainings in a title


class Training(NamedTuple):
    """A training as it lies on disk.

    folder: of its checkpoints. fingerprint: of its dataset. minutes: at its last line of figures. speed:
    pictures a second, median without the first interval, in which it starts up; memory: the most of a GPU's,
    10^6 bytes; not a number where they were not recorded.
    """

    folder: str
    config: Config
    fingerprint: str
    curves: dict[str, Curve]
    batches: int
    minutes: float
    speed: float
    memory: float

    @property
    def grids(self) -> str:
        """The folder of its grids, also where it was moved with that of its checkpoints, or by --noresume."""
        above, name = os.path.split(self.config.checkpoint_dir.rstrip("/"))
        here, called = os.path.split(self.folder.rstrip("/"))
        inside = self.config.train_dir.rstrip("/")
        suffix = called.removeprefix(name) if re.fullmatch(rf"{re.escape(name)}\.\d+", called) else ""
        if not above:
            return files.join(here, inside) + suffix
        if not inside.startswith(f"{above}/"):
            return inside + suffix
        return files.join(here, inside.removeprefix(f"{above}/")) + suffix


def compare(config: Config) -> int:
    """Compare the trainings of --folders; the exit code, 2 where any could not be read.

    Prints their differing options and their figures, and writes compare.html into --output. Raises UserError
    where no training can be read, OSError where the page cannot be written.
    """
    found, problems = find_trainings(config.folders)
    if not found:
        text = "; ".join(few(problems, "folders")) or "--run=compare without a folder"
        raise UserError(text, "name folders of trainings, as in --run compare runs/*")
    for problem in problems:
        print(f"{PREFIX}left out: {problem}", file=sys.stderr)
    results = as_results(found)
    groups = groups_of(found, results)
    for line in screen_lines(columns_of(found, results), groups, shutil.get_terminal_size((100, 24)).columns):
        print(line)
    if common := in_common(found):
        print(common)
    if unlike := unlike_faces(found):
        print(unlike)
    files.make_folder(config.output)
    path = files.join(config.output, PAGE)
    files.write_whole(path, render(found, results, groups, unlike).encode())
    print(f"page: {path}")
    return EXIT_USER if problems else EXIT_DONE


def find_trainings(words: Sequence[str]) -> tuple[dict[str, Training], list[str]]:
    """The trainings of folders and patterns, each once, by a short name; what is wrong with the others."""
    paths: list[str] = []
    found: dict[str, Training] = {}
    problems: list[str] = []
    for word in words:
        with _noted(problems):
            paths += [word] if files.exists(word) else files.matches(word) or [word]
    for path in paths:
        with _noted(problems):
            folder = checkpoint_folder(path)
            if files.real(folder) not in found:
                found[files.real(folder)] = read_training(folder)
    return dict(zip(short_names([t.folder for t in found.values()]), found.values(), strict=True)), problems


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """Add what the user can mend to `problems` instead of raising it."""
    try:
        yield
    except Exception as error:  # also TensorFlow's, which is not imported here
        if (cause := as_user_error(error)) is None:
            raise
        problems.append(cause.problem)


def short_names(folders: Sequence[str]) -> list[str]:
    """What trainings are called by their checkpoint folders: runs/a/checkpoint is a, if no other is."""
    paths = [folder.rstrip("/").removesuffix(f"/{RUN_CHECKPOINTS}") for folder in folders]
    last = [path.rsplit("/", 1)[-1] for path in paths]
    return [name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)]


def read_training(folder: str) -> Training:
    """The training of a checkpoint folder. Raises UserError where there is none, or its files are damaged."""
    if not files.exists(folder):
        raise UserError(f"'{folder}' is not there", "name the folder of a training")
    description, path = read_description(folder), files.join(folder, METRICS_FILE)
    lines = read_metrics(path) if files.exists(path) else []
    if not lines:
        raise UserError(f"'{folder}' has no figures in {METRICS_FILE}", "train it (--run train)")
    try:
        minutes, speeds, memory = (
            np.array([line[name] for line in lines if name in line], float)
            for name in ("minutes", "images_per_second", "gpu_memory_mb")
        )
        found = curves_of(lines)
    except (ValueError, TypeError) as error:
        raise UserError(f"'{path}' is damaged ({one_line(error)})", "put its backup back") from None
    return Training(
        folder,
        from_dict(description["options"]),
        description["dataset"]["fingerprint"],
        found,
        lines[-1]["batch"],
        float(minutes[-1]) if len(minutes) else np.nan,
        float(np.median(speeds[1:] if len(speeds) > 1 else speeds)) if len(speeds) else np.nan,
        float(memory.max()) if len(memory) else np.nan,
    )


def as_results(found: Mapping[str, Training]) -> Results:
    """Trainings as those of a study whose only axis is the training, for what a study's report draws.

    Bicubic enlargement is among their curves where all have the same held-out faces.
    """
    study = Study(
        "compare", "", "", [0], {}, {AXIS: {name: to_dict(t.config) for name, t in found.items()}}, []
    )
    left_out = set(BICUBIC.values()) if unlike_faces(found) else set()
    runs = []
    for cell, (name, t) in zip(study.cells(), found.items(), strict=True):
        run = StudyRun(name, cell, t.config.random_seed, cell.options)
        shown = {metric: curve for metric, curve in t.curves.items() if metric not in left_out}
        runs.append(RunResult(run, FINISHED, minutes=t.minutes, batches=t.batches, curves=shown))
    return Results(study, runs)


def unlike_faces(found: Mapping[str, Training]) -> str:
    """What to tell where the trainings do not hold out the same faces; '' where they do."""
    ways = {"the pictures of --dataset": {t.fingerprint for t in found.values()}}
    ways |= {f"--{name}": {getattr(t.config, name) for t in found.values()} for name in HELD_OUT}
    if not (different := [what for what, values in ways.items() if len(values) > 1]):
        return ""
    return (
        f"These trainings do not hold out the same faces (they differ in {', '.join(different)}): their "
        "figures cannot be compared closely, and their faces are not shown side by side."
    )


def in_common(found: Mapping[str, Training]) -> str:
    """One line of the options of COMMON that all trainings share; '' where there is one training or none."""
    every, shared = list(found.values()), {}
    if len(every) < 2:
        return ""
    for name in COMMON:
        texts = {_text(name, getattr(t.config, name)) for t in every}
        other_pictures = name == "dataset" and len({t.fingerprint for t in every}) > 1
        if len(texts) == 1 and not other_pictures:
            shared[name] = texts.pop()
    if "max_batches" in shared:  # the limit that is nearer, as a rule; 0 is none
        shared.pop("max_batches" if shared["max_batches"] == "0" else "train_time", None)
    return f"in common: {', '.join(map(' '.join, shared.items()))}" if shared else ""


def columns_of(found: Mapping[str, Training], results: Results) -> list[str]:
    """What the columns of the figures' table are called: the trainings, and bicubic where it was measured."""
    return [*found, *(["bicubic"] if bicubic_figures(results) else [])]


def groups_of(found: Mapping[str, Training], results: Results) -> list[Group]:
    """Rows of a label and a text for each of `columns_of`: options that differ, figures, cost."""
    every, bicubic = list(found.values()), bicubic_figures(results)
    options = [f.name for f in fields() if f.metadata["group"] in RECIPE_GROUPS or f.name == "dataset"]
    values = {name: [_text(name, getattr(t.config, name)) for t in every] for name in options}
    recipe = {name: texts for name, texts in values.items() if len(set(texts)) > 1}
    metrics = [name for name in SHOWN if name in results.metrics] or results.metrics
    best = {_label(n): [_best(r, n) for r in results.runs] for n in metrics if METRICS[n].sign}
    last = {_label(n): [_figure(r.last, n) for r in results.runs] for n in metrics}
    cost = {
        "batches": [f"{t.batches:,}" for t in every],
        "minutes": [number(t.minutes, 1) for t in every],
        "images/s": [number(t.speed, 1) for t in every],
        "GPU memory, MB": [number(t.memory, 0) for t in every],
    }
    told = {label: texts for label, texts in cost.items() if set(texts) != {DASH}}
    of_bicubic = {_label(n): _figure(bicubic, n) for n in metrics}
    medians = any(len(r.trained(n)[1]) >= MEDIAN_WINDOW for r in results.runs for n in metrics)
    name_of_last = f"last (median of {MEDIAN_WINDOW})" if medians else "last"
    groups = {"recipe": recipe, "best": best, name_of_last: last, "training": told}

    def row(label: str, texts: list[str]) -> list[str]:
        return [label, *texts, *([of_bicubic.get(label, "")] if bicubic else [])]

    return [Group(title, [row(*each) for each in rows.items()]) for title, rows in groups.items() if rows]


def _text(name: str, value: Any) -> str:
    """The value of an option, as it is written on the command line."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(in_words(name, value))


def _label(metric: str) -> str:
    about = METRICS[metric]
    return " ".join(filter(None, (about.short, about.unit, about.arrow)))


def _figure(values: Mapping[str, float], metric: str) -> str:
    return number(values.get(metric, np.nan), METRICS[metric].decimals)


def _best(r: RunResult, metric: str) -> str:
    """The best value of a metric and its batch: '23.51 at 4,000'; a dash where there is none."""
    batch, values = r.trained(metric)
    if not len(values):
        return DASH
    where = np.argmax(METRICS[metric].sign * values)
    return f"{number(values[where], METRICS[metric].decimals)} at {batch[where]:,.0f}"


def screen_lines(columns: Sequence[str], groups: Sequence[Group], width: int) -> Iterator[str]:
    """The table under the titles `columns` on a screen of so many characters, in parts below each other."""
    table = [[ARROWS_MEAN, *columns]]
    for group in groups:
        table.append([group.title, *[""] * len(columns)])
        table += [[f"  {label}", *rest] for label, *rest in group.rows]
    widths = [2 + max(map(len, column)) for column in zip(*table, strict=True)]
    parts: list[list[int]] = [[]]
    for column in range(1, len(widths)):
        if parts[-1] and widths[0] - 2 + sum(widths[c] for c in (*parts[-1], column)) > width:
            parts.append([])
        parts[-1].append(column)
    for part in parts:
        lines = aligned([[row[c] for c in (0, *part)] for row in table])
        yield from [*(line.rstrip() for line in lines), ""]


def render(found: Mapping[str, Training], results: Results, groups: Sequence[Group], unlike: str) -> str:
    """The page as HTML: the tables, curves of quality and losses, and the same faces of all."""
    objectives = grouped((in_words("loss_func", cell.loss_func), cell) for cell in results.included)
    with matplotlib.rc_context(figures.STYLE):
        quality = [panel for name in results.metrics for panel in curves.quality_panels(results, name)]
        signals = curves.panels_by_title(results, SIGNALS, objectives)
    faces: Gallery | None = None if unlike else gallery(results, lambda name: found[name].grids, (1,))
    names = list(found)
    few_names = f"{', '.join(names[:-1])} and {names[-1]}" if 1 < len(names) <= MOST_NAMED else names[0]
    sections = {
        "figures": ("Figures", True),
        "curves": ("Quality", quality),
        "losses": ("Losses", signals),
        "faces": ("Faces", True),
    }
    return fill(
        "compare.html",
        title=f"Compared: {few_names if len(names) <= MOST_NAMED else trainings(len(names))}",
        columns=columns_of(found, results),
        several=len(names) > 1,
        common=in_common(found),
        arrows_mean=ARROWS_MEAN,
        same_recipe=all(group.title != "recipe" for group in groups),
        groups=groups,
        quality=quality,
        signals=signals,
        gallery=faces,
        unlike=unlike,
        metrics=METRICS,
        sections=[(key, title) for key, (title, shown) in sections.items() if shown],
    )
