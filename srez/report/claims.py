"""Whether the two claims of the 2017 paper hold in a study: an answer by written rules, with its evidence."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats

from srez.report.correlations import INDICATORS, WASSERSTEIN, has_fallen
from srez.report.intervals import Interval, difference, share_over_cells
from srez.report.results import FINISHED, METRICS, CellResult, Results
from srez.report.text import interval, number, share, trainings
from srez.report.verdicts import UNSTABLE

HOLDS, EXCEPTIONS, PARTLY, FAILS, OPEN = (
    "holds here",
    "holds here with exceptions",
    "holds here in part",
    "does not hold here",
    "not decided here",
)
WGAN_GP, GAN = "wgangp", "dcgan"  # values of --loss_func
ARCHITECTURE_OPTIONS = ("input", "gen_architect", "gen_norm", "critic_norm", "width", "back_projection")
MAX_UNSTABLE_SHARE = 0.2  # of the trainings with WGAN-GP, for claim 1 to hold with exceptions
MIN_SEEDS = 3
NO_PROGRESS = ("too short", "no gain", "collapsed", "diverged")
STRONG_CORRELATION = 0.5  # a rank correlation from which on one may steer by an indicator
MAX_NAMED = 6  # trainings in a list of names
ESTIMATE = "wasserstein_estimate"

STABILITY_RULES = {
    OPEN: "WGAN-GP was not trained, a training with it is unfinished or too short for a verdict, or there "
    f"are fewer than two architectures or {MIN_SEEDS} seeds.",
    HOLDS: "Every training with WGAN-GP converged.",
    PARTLY: "Every one is stable (none diverged, collapsed, oscillated or ended without gain), but some had "
    "not converged when their batches were over.",
    EXCEPTIONS: f"At most {MAX_UNSTABLE_SHARE:.0%} of them are not stable.",
    FAILS: f"More than {MAX_UNSTABLE_SHARE:.0%} of them are not stable.",
}
INDICATOR_RULES = {
    OPEN: "No Wasserstein objective was trained, a training with one is unfinished, there are fewer than "
    f"{MIN_SEEDS} seeds, most of these trainings made no progress (too short, no gain, collapsed or "
    "diverged), or none has enough samples.",
    HOLDS: f"For every Wasserstein objective and quality figure the interval of the correlation lies above "
    f"{STRONG_CORRELATION:g}, and that of the changes above 0.",
    PARTLY: "For at least half of them the interval of the correlation lies above 0.",
    FAILS: f"For more than half of them it does not, and ends below {STRONG_CORRELATION:g}.",
    f"{OPEN}, too": "None of these.",
}


GRADES = {
    "follows": "the estimate follows quality, also from sample to sample",
    "trend": "it shares quality's trend, no more is proved",
    "opposes": "it goes against quality",
    "weak": "it hardly goes with quality",
    "unclear": "the interval is too wide to say",
}


class Assessment(NamedTuple):
    """A claim of the paper with its answer, the reason in one sentence, and the figures behind it."""

    name: str
    text: str
    answer: str
    reason: str
    evidence: list[str]


def assess_stability(results: Results) -> Assessment:
    """Claim 1: WGAN-GP trains stably and converges on a variety of architectures."""
    cells = [cell for cell in results.included if cell.loss_func == WGAN_GP]
    words = _verdicts(cells)
    stable, converged, total = _stable(words), words.count("converged"), len(words)
    if obstacle := _stability_obstacle(results, cells):
        answer, reason = OPEN, f"because {obstacle}"
    else:
        answer = _stability_answer(total - stable, converged, total)
        reason = f"of {trainings(total)} with WGAN-GP {stable} are stable and {converged} converged"
    return Assessment(
        "Claim 1",
        "WGAN-GP trains stably and converges on a variety of architectures.",
        answer,
        reason,
        list(_stability_evidence(results, cells)),
    )


def _stability_answer(unstable: int, converged: int, total: int) -> str:
    """The answer to claim 1, by how many of the trainings with WGAN-GP are not stable and converged."""
    if converged == total:
        return HOLDS
    if unstable == 0:
        return PARTLY
    return EXCEPTIONS if unstable <= MAX_UNSTABLE_SHARE * total else FAILS


def _verdicts(cells: list[CellResult]) -> list[str]:
    return [word for cell in cells for word in cell.verdicts]


def _stable(verdicts: list[str]) -> int:
    return sum(map(_is_stable, verdicts))


def _is_stable(word: str) -> bool:
    return word not in UNSTABLE


def _share(cells: list[CellResult], counts: Callable[[str], bool]) -> str:
    """The share of the cells' trainings whose verdict counts, in words."""
    return share(share_over_cells([[counts(word) for word in cell.verdicts] for cell in cells]))


def _unfinished(cells: list[CellResult]) -> str:
    """How many trainings of these cells are unfinished, in words; '' if all have finished."""
    runs = [r for cell in cells for r in cell.runs]
    count = sum(r.state != FINISHED for r in runs)
    verb = "has" if count == 1 else "have"
    return f"{count} of its {trainings(len(runs))} {verb} not finished" if count else ""


def _too_few_seeds(results: Results) -> str:
    """How many seeds a study has, in words, if they are too few to judge a claim; else ''."""
    count = len(results.study.seeds)
    return f"{count} seeds are fewer than {MIN_SEEDS}" if count < MIN_SEEDS else ""


def _stability_obstacle(results: Results, cells: list[CellResult]) -> str:
    """Why claim 1 cannot be judged by these cells with WGAN-GP; '' if it can."""
    if not cells:
        return "no training here uses WGAN-GP"
    if unfinished := _unfinished(cells):
        return unfinished
    if short := _verdicts(cells).count("too short"):
        return f"{trainings(short)} had too few samples for a verdict"
    configs = [cell.cell.config(0) for cell in cells]
    if len({tuple(getattr(config, option) for option in ARCHITECTURE_OPTIONS) for config in configs}) < 2:
        return "all its WGAN-GP trainings share one architecture"
    return _too_few_seeds(results)


def _stability_evidence(results: Results, cells: list[CellResult]) -> Iterator[str]:
    """Sentences: stability by objective, unstable trainings of the cells with WGAN-GP, spread over seeds."""
    wgan_gp = _verdicts(cells)
    # WGAN-GP before all others
    by_objective = sorted(results.objectives.items(), key=lambda item: item[1][0].loss_func != WGAN_GP)
    for objective, others in by_objective:
        words = _verdicts(others)
        if not words:
            continue
        stable, converged = _share(others, _is_stable), _share(others, "converged".__eq__)
        text = f"{objective}: stable {stable}, converged {converged}"
        if wgan_gp and others[0].loss_func != WGAN_GP:
            counts = [[_stable(w), len(w) - _stable(w)] for w in (wgan_gp, words)]
            p = float(stats.fisher_exact(counts).pvalue)
            result = "told apart" if p < 0.05 else "not told apart"
            text += f"; its stability is {result} from WGAN-GP's (Fisher's exact test, p = {p:.2g})"
        yield f"{text}."
    unstable = [r for cell in cells for r in cell.finished if r.verdict.word in UNSTABLE]
    if unstable:
        names = [f"{r.run.name} ({r.verdict.word}: {r.verdict.reason})" for r in unstable[:MAX_NAMED]]
        if len(unstable) > MAX_NAMED:
            names.append(f"{len(unstable) - MAX_NAMED} more")
        yield f"Not stable with WGAN-GP: {'; '.join(names)}."
    yield from _deviations(results)


def _deviations(results: Results) -> Iterator[str]:
    """A sentence with the standard deviation of quality over seeds, by objective; none without quality."""
    medians = []
    for objective, cells in results.objectives.items():
        values = [cell.last(results.quality) for cell in cells]
        deviations = [np.std(by_seed, ddof=1) for by_seed in values if len(by_seed) > 1]
        if deviations:
            median = number(float(np.median(deviations)), METRICS[results.quality].decimals)
            medians.append(f"{objective} {median}")
    if medians:
        short = METRICS[results.quality].short
        yield f"Standard deviation of the last {short} over seeds, median of cells: {', '.join(medians)}."


def assess_indicator(results: Results) -> Assessment:
    """Claim 2: the Wasserstein distance is an effective measure of training progress."""
    objectives = [name for name, cells in results.objectives.items() if cells[0].loss_func in WASSERSTEIN]
    pairs = itertools.product(objectives, results.qualities)
    grades = [grade(*_estimate_correlations(results, *pair)) for pair in pairs]
    grades = [word for word in grades if word]
    obstacle = _indicator_obstacle(results, [c for name in objectives for c in results.objectives[name]])
    if not obstacle and not grades:
        obstacle = "no training has enough samples"
    counts = [f"in {grades.count(word)} {text}" for word, text in GRADES.items() if word in grades]
    reason = f"of {len(grades)} pairs of objective and quality figure, {'; '.join(counts)}"
    return Assessment(
        "Claim 2",
        "The Wasserstein distance is an effective measure of training progress.",
        OPEN if obstacle else indicator_answer(grades),
        f"because {obstacle}" if obstacle else reason,
        [*_estimate_evidence(results, objectives), *_control_evidence(results, objectives)],
    )


def grade(within: Interval, changes: Interval) -> str:
    """A word of GRADES for an indicator with two intervals; '' where there is no interval.

    within: of its correlation with quality over the training. changes: of that of their changes.
    """
    if not np.isfinite(within.low):
        return ""
    if within.low > STRONG_CORRELATION and changes.low > 0:
        return "follows"
    if within.low > 0:
        return "trend"
    if within.high < 0:
        return "opposes"
    return "weak" if within.high < STRONG_CORRELATION else "unclear"


def indicator_answer(grades: list[str]) -> str:
    """The answer to claim 2, by the grade of every pair of Wasserstein objective and quality metric."""
    half = len(grades) / 2
    if not grades:
        return OPEN
    if all(word == "follows" for word in grades):
        return HOLDS
    if sum(word in ("follows", "trend") for word in grades) >= half:
        return PARTLY
    return FAILS if sum(word in ("opposes", "weak") for word in grades) > half else OPEN


def _indicator_obstacle(results: Results, cells: list[CellResult]) -> str:
    """Why claim 2 cannot be judged by these cells with a Wasserstein objective; '' if it can."""
    if not cells:
        return "no training here has a Wasserstein objective"
    if obstacle := _unfinished(cells) or _too_few_seeds(results):
        return obstacle
    words = _verdicts(cells)
    count = sum(word in NO_PROGRESS for word in words)
    if count > len(words) / 2:
        return f"{count} of its {trainings(len(words))} made no progress that could be told"
    return ""


def _estimate_correlations(results: Results, objective: str, quality: str) -> tuple[Interval, Interval]:
    """Correlations of an objective's Wasserstein estimate with quality: over the training, and of changes."""
    key = (objective, ESTIMATE, quality)
    return results.mean_correlation(*key, "within_run"), results.mean_correlation(*key, "of_changes")


def _estimate_evidence(results: Results, objectives: list[str]) -> Iterator[str]:
    """Sentences: how the estimate of each Wasserstein objective goes with quality."""
    for objective in objectives:
        found = {name: _estimate_correlations(results, objective, name) for name in results.qualities}
        found = {name: (within, changes) for name, (within, changes) in found.items() if within.runs}
        if not found:
            continue
        quality, (within, changes) = next(iter(found.items()))
        text = (
            f"{objective}: rank correlation of estimate and {METRICS[quality].short} {interval(within)}, "
            f"of their changes {interval(changes)}"
        )
        if len(found) > 1:
            means = [within.mean for within, _ in found.values()]
            low, high = number(min(means), signed=True), number(max(means), signed=True)
            text += f"; over all {len(found)} quality figures {low} to {high}"
        runs = [r for cell in results.objectives[objective] for r in cell.finished if ESTIMATE in r.curves]
        fallen = [fell for r in runs if (fell := has_fallen(r.curves[ESTIMATE])) is not None]
        if fallen:
            count = f"{sum(fallen)} of {trainings(len(fallen))}"
            text += f"; the estimate's last third was lower than its first in {count}"
        yield f"{text}."


def _control_evidence(results: Results, objectives: list[str]) -> Iterator[str]:
    """Sentences: how the losses of the GAN go with quality, and which objectives' estimates beat them."""
    controls = [name for name, cells in results.objectives.items() if cells[0].loss_func == GAN]
    if not controls:
        yield "Control: no GAN was trained here, so nothing says whether its losses would do as well."
    for control, loss in itertools.product(controls, ("generator_loss", "discriminator_tot_loss")):
        correlation = results.mean_correlation(control, loss, results.quality, "within_run")
        if not correlation.runs:
            continue
        text = f"{INDICATORS[loss].title} and {METRICS[results.quality].short} {interval(correlation)}"
        leads = []
        for objective in objectives:
            estimates = results.correlations(objective, ESTIMATE, results.quality, "within_run")
            losses = results.correlations(control, loss, results.quality, "within_run")
            lead = difference(estimates, losses)
            if lead.runs:
                leads.append(f"{objective} by {interval(lead)}")
        if leads:
            text += f"; ahead of it are the estimates of {', '.join(leads)}"
        yield f"Control, {control}: {text}."
