"""A study as a grid: its cells, its trainings, and what sets one study apart from another."""

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from srez.options.config import Config, to_dict
from srez.options.rules import in_words


@dataclass(frozen=True)
class Cell:
    """One combination: its label by axis, the options that it means, and why it is left out (or nothing)."""

    labels: dict[str, str]
    options: dict[str, Any]
    excluded: str = ""

    @property
    def name(self) -> str:
        """Its labels in one word, safe as a file name: 'wgangp-resnet-layer'."""
        return "-".join(slug(label) for label in self.labels.values())

    @property
    def title(self) -> str:
        """Its labels for people: 'wgan-gp / resnet / layer'."""
        return " / ".join(self.labels.values()) or "all options as in [base]"

    def config(self, seed: int) -> Config:
        """The options of its training with a seed, the others at their defaults."""
        return Config(**{"run": "train", **self.options, "random_seed": seed})


@dataclass(frozen=True)
class StudyRun:
    """One training: a cell and a seed. Its name, 'wgangp-resnet-layer-s0', is that of its folder."""

    name: str
    cell: Cell
    seed: int
    options: dict[str, Any]


@dataclass(frozen=True)
class Exclusion:
    """Cells that are left out, and why: those with one of these labels on each of these axes."""

    labels: dict[str, list[str]]
    reason: str

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether it leaves a cell out."""
        return all(labels[axis] in those for axis, those in self.labels.items())


@dataclass(frozen=True)
class Study:
    """A grid of trainings; `settings` holds the options of each label of each axis."""

    name: str
    title: str
    question: str
    seeds: list[int]
    base: dict[str, Any]
    settings: dict[str, dict[str, dict[str, Any]]]
    exclusions: list[Exclusion]

    @property
    def axes(self) -> dict[str, list[str]]:
        """The labels of each axis, in the order of the file."""
        return {axis: list(labels) for axis, labels in self.settings.items()}

    def cells(self) -> list[Cell]:
        """Every combination of labels, left out or not; the first axis changes slowest."""
        found = []
        for combination in itertools.product(*self.axes.values()):
            labels = dict(zip(self.settings, combination, strict=True))
            options = {"train_time": 0.0} | self.base
            for axis, label in labels.items():
                options |= self.settings[axis][label]
            reasons = (exclusion.reason for exclusion in self.exclusions if exclusion.matches(labels))
            found.append(Cell(labels, options, next(reasons, "")))
        return found

    def runs(self) -> list[StudyRun]:
        """All trainings: the first seed of every cell comes before the second of any."""
        found = []
        for seed, cell in itertools.product(self.seeds, self.cells()):
            if not cell.excluded:
                name = f"{cell.name}-s{seed}" if cell.name else f"s{seed}"
                found.append(StudyRun(name, cell, seed, cell.options | {"random_seed": seed}))
        return found


def slug(label: str) -> str:
    """A label as a part of a file name: its letters, digits and inner dots."""
    return re.sub(r"[^A-Za-z0-9.]", "", label).strip(".")


def differences(old: Study, new: Study) -> list[str]:
    """What a new study would change in the trainings of an old one, or drop.

    More trainings (seeds, labels, cells that were left out) are no difference, nor are longer ones: a
    training goes on exactly where it stopped.
    """
    there = {run.name: run for run in new.runs()}
    found: Counter[str] = Counter()
    for run in old.runs():
        if run.name not in there:
            found[f"{run.name} is gone"] += 1
            continue
        before = to_dict(run.cell.config(run.seed))
        now = to_dict(there[run.name].cell.config(run.seed))
        for name in before:
            longer = name == "max_batches" and now[name] > before[name]
            if before[name] != now[name] and not longer:
                was, now_is = (in_words(name, those[name]) for those in (before, now))
                found[f"{name} was {was}, now {now_is}"] += 1
    return [text if count == 1 else f"{text} in {count} trainings" for text, count in found.items()]
