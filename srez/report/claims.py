"""Whether the two claims of the 2017 paper hold in a study: an answer by written rules, with its evidence."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats

from srez.report.correlations import INDICATORS, WASSERSTEIN, Interval, difference, falls
from srez.report.results import FIGURES, FINISHED, CellResult, Result, Results
from srez.report.text import interval, number, share, trainings
from srez.report.verdicts import UNSTABLE

HOLDS, EXCEPTIONS, PARTLY, FAILS, OPEN = (
    "holds here",
    "holds here with exceptions",
    "holds here in part",
    "does not hold here",
    "not decided here",
)
PENALIZED, CONTROL = "wgangp", "dcgan"  # values of --loss_func
ARCHITECTURE = ("input", "gen_architect", "gen_norm", "critic_norm", "width", "back_projection")
MOST_EXCEPTIONS = 0.2  # of the trainings; more, and it does not hold
FEWEST_SEEDS = 3
NO_PROGRESS = ("too short", "no gain", "collapsed", "diverged")
STRONG = 0.5  # a rank correlation from which on one may steer by an indicator
SHOWN = 6  # trainings that are named, at most
ESTIMATE = "wasserstein_estimate"

STABILITY_RULES = {
    OPEN: "WGAN-GP was not trained, a training with it is unfinished or too short for a verdict, or there "
    f"are fewer than two architectures or {FEWEST_SEEDS} seeds.",
    HOLDS: "Every training with WGAN-GP converged.",
    PARTLY: "Every one is stable (none diverged, collapsed, oscillated or ended without gain), but some had "
    "not converged when their batches were over.",
    EXCEPTIONS: f"At most {MOST_EXCEPTIONS:.0%} of them are not stable.",
    FAILS: f"More than {MOST_EXCEPTIONS:.0%} of them are not stable.",
}
INDICATOR_RULES = {
    OPEN: "No Wasserstein objective was trained, a training with one is unfinished, there are fewer than "
    f"{FEWEST_SEEDS} seeds, most of these trainings made no progress (too short, no gain, collapsed or "
    "diverged), or none has enough samples.",
    HOLDS: f"For every Wasserstein objective and quality figure the interval of the correlation lies above "
    f"{STRONG:g}, and that of the changes above 0.",
    PARTLY: "For at least half of them the interval of the correlation lies above 0.",
    FAILS: f"For more than half of them it does not, and ends below {STRONG:g}.",
    f"{OPEN}, too": "None of these.",
}


class Claim(NamedTuple):
    """A claim, the answer to it, the answer's reason in one sentence, and the figures behind it."""

    name: str
    text: str
    answer: str
    reason: str
    evidence: list[str]
    rules: dict[str, str]


def claims(results: Results) -> list[Claim]:
    """Both claims as far as the study decides them."""
    return [stability(results), indicator(results)]


def _named(results: list[Result]) -> str:
    shown = [f"{r.run.name} ({r.verdict.word}: {r.verdict.reason})" for r in results[:SHOWN]]
    more = [f"{len(results) - SHOWN} more"] if len(results) > SHOWN else []
    return "; ".join(shown + more)


# ---- claim 1 ---------------------------------------------------------------------------------------


def _stable(r: Result) -> bool:
    return r.verdict.word not in UNSTABLE


def _converged(r: Result) -> bool:
    return r.verdict.word == "converged"


def _finished(cells: list[CellResult]) -> list[Result]:
    return [r for cell in cells for r in cell.finished]


def _missing(cells: list[CellResult]) -> str:
    """What keeps a group of trainings from being judged, or nothing."""
    runs = [r for cell in cells for r in cell.results]
    waiting = sum(r.state != FINISHED for r in runs)
    if waiting:
        return f"{waiting} of its {trainings(len(runs))} {'has' if waiting == 1 else 'have'} not finished"
    return ""


def _few_seeds(results: Results) -> str:
    count = len(results.study.seeds)
    return f"{count} seeds are fewer than {FEWEST_SEEDS}" if count < FEWEST_SEEDS else ""


def _undecided(results: Results, cells: list[CellResult]) -> str:
    """Why the first claim cannot be judged, or nothing."""
    if not cells:
        return "no training here uses WGAN-GP"
    if missing := _missing(cells):
        return missing
    if short := sum(r.verdict.word == "too short" for r in _finished(cells)):
        return f"{trainings(short)} had too few samples for a verdict"
    if len({tuple(getattr(c.cell.config(0), option) for option in ARCHITECTURE) for c in cells}) < 2:
        return "all its WGAN-GP trainings share one architecture"
    return _few_seeds(results)


def stability(results: Results) -> Claim:
    """Claim 1: WGAN-GP trains stably and converges on a variety of architectures."""
    cells = [cell for cell in results.live if cell.loss_func == PENALIZED]
    runs = _finished(cells)
    bad = [r for r in runs if not _stable(r)]
    done = sum(map(_converged, runs))
    answer = _stability_answer(len(bad), done, len(runs))
    reason = f"of {trainings(len(runs))} with WGAN-GP {len(runs) - len(bad)} are stable and {done} converged"
    if undecided := _undecided(results, cells):
        answer, reason = OPEN, f"because {undecided}"
    return Claim(
        "Claim 1",
        "WGAN-GP trains stably and converges on a variety of architectures.",
        answer,
        reason,
        list(_stability_evidence(results, bad)),
        STABILITY_RULES,
    )


def _stability_answer(bad: int, done: int, total: int) -> str:
    """The answer by STABILITY_RULES, of so many trainings that are not stable or converged."""
    if done == total:
        return HOLDS
    if bad == 0:
        return PARTLY
    return EXCEPTIONS if bad <= MOST_EXCEPTIONS * total else FAILS


def _stability_evidence(results: Results, bad: list[Result]) -> Iterator[str]:
    penalized = [r for c in results.live if c.loss_func == PENALIZED for r in c.finished]
    ours = {group: cells[0].loss_func == PENALIZED for group, cells in results.groups.items()}
    for group in sorted(ours, key=lambda group: not ours[group]):  # WGAN-GP before all others
        runs = _finished(results.groups[group])
        if not runs:
            continue
        stable, done = sum(map(_stable, runs)), sum(map(_converged, runs))
        text = f"{group}: stable {share(stable, len(runs))}, converged {share(done, len(runs))}"
        yield text + (_compared(penalized, runs) if penalized and not ours[group] else "") + "."
    if bad:
        yield f"Not stable with WGAN-GP: {_named(bad)}."
    yield from _spread(results)


def _compared(ones: list[Result], others: list[Result]) -> str:
    counts = [[sum(map(_stable, runs)), sum(not _stable(r) for r in runs)] for runs in (ones, others)]
    p = float(stats.fisher_exact(counts).pvalue)
    told = "told apart" if p < 0.05 else "not told apart"
    return f"; its stability is {told} from WGAN-GP's (Fisher's exact test, p = {p:.2g})"


def _spread(results: Results) -> Iterator[str]:
    if not results.quality:
        return
    figure = FIGURES[results.quality]
    found = {}
    for group, cells in results.groups.items():
        deviations = [cell.mean(results.quality).deviation for cell in cells]
        deviations = [d for d in deviations if np.isfinite(d)]
        if deviations:
            found[group] = number(float(np.median(deviations)), figure.decimals)
    if found:
        text = ", ".join(f"{group} {deviation}" for group, deviation in found.items())
        yield f"Standard deviation of the last {figure.short} over seeds, median of cells: {text}."


# ---- claim 2 ---------------------------------------------------------------------------------------


def grade(within: Interval, changes: Interval) -> str:
    """What two intervals say of an indicator: a word of GRADES, or nothing without an interval."""
    if not np.isfinite(within.low):
        return ""
    if within.low > STRONG and changes.low > 0:
        return "follows"
    if within.low > 0:
        return "trend"
    if within.high < 0:
        return "opposes"
    return "weak" if within.high < STRONG else "unclear"


def answer_to(grades: list[str]) -> str:
    """The answer to the second claim."""
    half = len(grades) / 2
    if not grades:
        return OPEN
    if all(g == "follows" for g in grades):
        return HOLDS
    if sum(g in ("follows", "trend") for g in grades) >= half:
        return PARTLY
    return FAILS if sum(g in ("opposes", "weak") for g in grades) > half else OPEN


def indicator(results: Results) -> Claim:
    """Claim 2: the Wasserstein distance is an effective measure of training progress."""
    groups = {name: cells for name, cells in results.groups.items() if cells[0].loss_func in WASSERSTEIN}
    cells = [cell for those in groups.values() for cell in those]
    found = {
        (group, quality): grade(*_two(results, group, ESTIMATE, quality))
        for group in groups
        for quality in results.qualities
    }
    graded = {where: word for where, word in found.items() if word}
    missing = _unmeasured(results, cells) or ("" if graded else "no training has enough samples")
    answer = OPEN if missing else answer_to(list(graded.values()))
    reason = f"because {missing}" if missing else _counted(list(graded.values()))
    return Claim(
        "Claim 2",
        "The Wasserstein distance is an effective measure of training progress.",
        answer,
        reason,
        list(_indicator_evidence(results, groups)),
        INDICATOR_RULES,
    )


def _unmeasured(results: Results, cells: list[CellResult]) -> str:
    """Why the second claim cannot be judged, or nothing."""
    if not cells:
        return "no training here has a Wasserstein objective"
    if missing := _missing(cells) or _few_seeds(results):
        return missing
    runs = _finished(cells)
    still = sum(r.verdict.word in NO_PROGRESS for r in runs)
    return (
        f"{still} of its {trainings(len(runs))} made no progress that could be told"
        if still > len(runs) / 2
        else ""
    )


def _two(results: Results, group: str, name: str, quality: str) -> tuple[Interval, Interval]:
    return tuple(results.correlation(group, name, quality, kind) for kind in ("within_run", "of_changes"))


GRADES = {
    "follows": "the estimate follows quality, also from sample to sample",
    "trend": "it shares quality's trend, no more is proved",
    "opposes": "it goes against quality",
    "weak": "it hardly goes with quality",
    "unclear": "the interval is too wide to say",
}


def _counted(grades: list[str]) -> str:
    counts = [f"in {grades.count(word)} {text}" for word, text in GRADES.items() if word in grades]
    return f"of {len(grades)} pairs of objective and quality figure, {'; '.join(counts)}"


def _indicator_evidence(results: Results, groups: dict[str, list[CellResult]]) -> Iterator[str]:
    for group, cells in groups.items():
        found = {quality: _two(results, group, ESTIMATE, quality) for quality in results.qualities}
        found = {quality: two for quality, two in found.items() if two[0].runs}
        for quality, (within, changes) in list(found.items())[:1]:
            yield (
                f"{group}: rank correlation of estimate and {FIGURES[quality].short} {interval(within)}, "
                f"of their changes {interval(changes)}{_range(list(found.values()))}{_fell(cells)}."
            )
    yield from _controls(results, groups)


def _fell(cells: list[CellResult]) -> str:
    """In how many trainings the estimate fell."""
    went = [falls(r.curves[ESTIMATE]) for r in _finished(cells) if ESTIMATE in r.curves]
    went = [down for down in went if down is not None]
    if not went:
        return ""
    return f"; the estimate's last third was lower than its first in {sum(went)} of {trainings(len(went))}"


def _range(found: list[tuple[Interval, Interval]]) -> str:
    """The smallest and the largest mean correlation of all quality figures."""
    if len(found) < 2:
        return ""
    means = [within.mean for within, _ in found]
    low, high = number(min(means), signed=True), number(max(means), signed=True)
    return f"; over all {len(found)} quality figures {low} to {high}"


def _controls(results: Results, groups: dict[str, list[CellResult]]) -> Iterator[str]:
    """The losses of the GAN beside the estimate, for the quality figure that verdicts are read from."""
    controls = [name for name, cells in results.groups.items() if cells[0].loss_func == CONTROL]
    if not controls:
        yield "Control: no GAN was trained here, so nothing says whether its losses would do as well."
        return
    for control in controls if results.quality else []:
        for name in ("generator_loss", "discriminator_tot_loss"):
            alone = results.correlation(control, name, results.quality, "within_run")
            if not alone.runs:
                continue
            what = f"{INDICATORS[name].title} and {FIGURES[results.quality].short}"
            ahead = ", ".join(filter(None, (_ahead(results, group, control, name) for group in groups)))
            text = f"; ahead of it are the estimates of {ahead}" if ahead else ""
            yield f"Control, {control}: {what} {interval(alone)}{text}."


def _ahead(results: Results, group: str, control: str, name: str) -> str:
    ones = results.values(group, ESTIMATE, results.quality, "within_run")
    others = results.values(control, name, results.quality, "within_run")
    found = difference(ones, others)
    return f"{group} by {interval(found)}" if found.runs else ""
