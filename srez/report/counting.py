"""Stable trainings, counted: by objective, and WGAN-GP beside the GAN architecture by architecture."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from srez.options.rules import in_words
from srez.report.intervals import Interval, likeness, over_seeds, share_of_independent, share_over_cells
from srez.report.results import CellResult, Results, format_labels, grouped
from srez.report.verdicts import RULE, STABLE, Limits

WGAN_GP, GAN = "wgangp", "dcgan"  # values of --loss_func
ARCHITECTURE_OPTIONS = ("input", "gen_architect", "gen_norm", "critic_norm", "width", "back_projection")
GENERATOR_OPTIONS = tuple(name for name in ARCHITECTURE_OPTIONS if name != "critic_norm")
SAMPLE, INDEPENDENT = "cells as a sample", "trainings as independent"
ARCHITECTURES = "architectures as a sample"
UNITS = (SAMPLE, INDEPENDENT, ARCHITECTURES)
TOGETHER = "all of them together"
ONLY = "the one of this study"  # the title of an architecture, or generator, that has no other beside it


class Way(NamedTuple):
    """A way to count: the quality that verdicts are read from, the words that count, unit, and limits."""

    quality: str
    words: Sequence[str] = STABLE
    unit: str = SAMPLE
    limits: Limits = RULE


class Pairing(NamedTuple):
    """An objective with WGAN-GP, or all of them, beside the GAN on the architectures that both have.

    Architectures count alike: shares are means over them, the lead that of their differences, -1 to 1.
    differences: options, beside the objective, in which the trainings are not those of the GAN.
    """

    title: str
    architectures: int
    share: float
    gan: float
    lead: Interval
    differences: list[str]


def cells_with(results: Results, loss_func: str) -> list[CellResult]:
    """The cells with an objective that are no controls."""
    return [cell for cell in results.included if cell.loss_func == loss_func and not cell.control]


def architecture(cell: CellResult) -> tuple:
    """The options that make both networks of a cell."""
    return _options(cell, ARCHITECTURE_OPTIONS)


def generator(cell: CellResult) -> tuple:
    """The options that make the generator of a cell."""
    return _options(cell, GENERATOR_OPTIONS)


def _options(cell: CellResult, names: Sequence[str]) -> tuple:
    config = cell.cell.config(0)
    return tuple(getattr(config, name) for name in names)


def titles(keys: Iterable[tuple], names: Sequence[str]) -> dict[tuple, str]:
    """Architectures, or generators, with titles for people: the options `names` in which they differ."""
    keys = list(dict.fromkeys(keys))
    differing = [i for i in range(len(names)) if len({key[i] for key in keys}) > 1]
    return {key: format_labels({names[i]: str(key[i]) for i in differing}) or ONLY for key in keys}


def outcomes(cells: Iterable[CellResult], way: Way) -> list[list[bool]]:
    """Whether the verdict is one of those that count, of the finished trainings of each cell."""
    return [
        [r.verdict_by(way.quality, way.limits).word in way.words for r in cell.finished] for cell in cells
    ]


def stable_share(results: Results, cells: list[CellResult], way: Way) -> Interval:
    """The share of some cells' finished trainings whose verdict is one of those that count."""
    if way.unit == INDEPENDENT:
        return share_of_independent(outcomes(cells, way))
    return share_over_cells(_sampled(cells, way), stable_likeness(results, way))


def stable_likeness(results: Results, way: Way) -> float:
    """The intra-class correlation of being stable, of trainings of one cell, or of one architecture."""
    groups = results.tested
    if way.unit == ARCHITECTURES:
        groups = grouped((cell.loss_func, cell) for cell in results.included if not cell.control)
    return likeness([_sampled(cells, way) for cells in groups.values()])


def _sampled(cells: Sequence[CellResult], way: Way) -> list[list[bool]]:
    """The outcomes of each cell, or of each architecture where these are the unit."""
    by_architecture = way.unit == ARCHITECTURES
    return list(_by_architecture(cells, way).values()) if by_architecture else outcomes(cells, way)


def pairings(results: Results, way: Way) -> list[Pairing]:
    """Each objective with WGAN-GP beside the GAN; where there are several, all of them together too, last."""
    gan = list(_objectives(results, GAN).values())
    wgan_gp = _objectives(results, WGAN_GP)
    groups = {name: [cells] for name, cells in wgan_gp.items()}
    if len(groups) > 1:
        groups[TOGETHER] = list(wgan_gp.values())
    found = [_pairing(title, group, gan, way) for title, group in groups.items()]
    return [one for one in found if one.architectures]


def _pairing(title: str, first: list[list[CellResult]], second: list[list[CellResult]], way: Way) -> Pairing:
    shares, others = (_share_by_architecture(group, way) for group in (first, second))
    both = [key for key in shares if key in others]
    lead = over_seeds([[shares[key] - others[key] for key in both]], (-1, 1))._replace(cells=len(both))
    if lead.low == lead.high:  # differences that are all alike do not tell how they scatter
        lead = lead._replace(low=np.nan, high=np.nan)
    means = (float(np.mean([of[key] for key in both])) if both else np.nan for of in (shares, others))
    cells = ([c for those in group for c in those if architecture(c) in both] for group in (first, second))
    return Pairing(title, len(both), *means, lead, _differences(*cells))


def _objectives(results: Results, loss_func: str) -> dict[str, list[CellResult]]:
    """The objectives with a loss function, without controls."""
    return grouped((n, c) for n, cells in results.tested.items() for c in cells if c.loss_func == loss_func)


def _by_architecture(cells: Sequence[CellResult], way: Way) -> dict[tuple, list[bool]]:
    """Architecture -> outcomes of its trainings, whatever cells they come from."""
    found = zip(map(architecture, cells), outcomes(cells, way), strict=True)
    return {key: list(itertools.chain(*lists)) for key, lists in grouped(found).items()}


def _share_by_architecture(objectives: list[list[CellResult]], way: Way) -> dict[tuple, float]:
    """Architecture -> share of the finished trainings that are stable, a mean over objectives."""
    found = grouped(
        (key, float(np.mean(values)))
        for cells in objectives
        for key, values in _by_architecture(cells, way).items()
        if values
    )
    return {key: float(np.mean(shares)) for key, shares in found.items()}


def _differences(first: list[CellResult], second: list[CellResult]) -> list[str]:
    """Options of the first cells that are others in the second, beside architecture and objective."""
    options, others = _values(first), _values(second)
    told = {*ARCHITECTURE_OPTIONS, "loss_func"}
    return [
        f"{name} {' or '.join(str(in_words(name, value)) for value in values)}"
        for name, values in options.items()
        if name not in told and values != others.get(name)
    ]


def _values(cells: list[CellResult]) -> dict[str, list[Any]]:
    """Option -> its values in some cells."""
    configs = [dataclasses.asdict(cell.cell.config(0)) for cell in cells]
    return {name: list(dict.fromkeys(c[name] for c in configs)) for name in (configs[0] if configs else ())}
