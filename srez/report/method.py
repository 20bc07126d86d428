"""How a study is judged, in words: the report prints it, and docs/method.md is made from it."""

from typing import NamedTuple

from srez.report.claims import INDICATOR_RULES, STABILITY_RULES
from srez.report.correlations import CORRELATION_KINDS, INDICATORS, MIN_PAIRS
from srez.report.results import METRICS
from srez.report.verdicts import GAIN, LEVELS, VERDICTS


class Section(NamedTuple):
    """A heading, its text with an empty line between paragraphs, and terms with their definitions."""

    heading: str
    text: str
    terms: dict[str, str]

    @property
    def paragraphs(self) -> list[str]:
        return [" ".join(paragraph.split()) for paragraph in self.text.split("\n\n")]


SECTIONS = [
    Section(
        "Quality",
        """
        Quality is measured at the sampled batches, on faces that were never trained on. Verdicts are read
        from the sliced Wasserstein distance (SWD) where it was recorded: it exists for noise input too, and
        no loss aims at it. Otherwise they are read from SSIM, then from PSNR. results.csv also has the
        verdicts by each of the others. Figures become levels, which are larger for better pictures, and in
        which equal steps mean alike:
        """,
        {METRICS[name].short: level.text for name, level in LEVELS.items()},
    ),
    Section(
        "Verdicts",
        f"""
        Every finished training gets one verdict: the first of these whose definition it meets. The last
        third is that of the batches. {GAIN} Diversity is the mean distance between two outputs over that
        between two real faces; as an output depends on its input alone, it tells whether it still does.
        """,
        {f"{rule.symbol} {word}": rule.text for word, rule in VERDICTS.items()},
    ),
    Section(
        "Several seeds",
        """
        A cell's verdict is the most frequent one of its seeds, and of equally frequent ones the first in
        the list above, together with how many seeds share it. Last figures are medians of a training's last
        three samples; a training that diverged has none.

        Every interval is one of 95%, and a simulation in the tests sees that it covers (93 to 97% for means
        and differences of means with three and with five seeds, 93% or more for shares).
        """,
        {
            "mean of a cell": "Student's t over its seeds, which reaches 4.3 standard errors to each side "
            "with three: these tell coarse differences only.",
            "mean over cells, fixed": "Only other seeds would give another value. The variances of the "
            "cells' means add up, with degrees of freedom by Welch and Satterthwaite, so that cells need not "
            "scatter alike; a difference of two such means likewise.",
            "mean over cells as a sample": "The cells stand for others that might have been tried: "
            "Student's t over their means.",
            "share over cells as a sample": "Korn and Graubard's interval (1998): Clopper and Pearson's with "
            "the effective number of trainings n / (1 + (m - 1) rho), m trainings a cell, multiplied by "
            "(t(n - 1) / t(cells - 1))², the squared ratio of Student's t, because few cells tell rho badly; "
            "but at least one training a cell. rho, the intra-class correlation, is estimated from the cells "
            "of every objective by analysis of variance, and is 1 where all trainings of each objective are "
            "alike, so that nothing tells it.",
            "difference of shares": "Newcombe's interval (1998, method 10), made of those of the two shares.",
        },
    ),
    Section(
        "Does an indicator tell quality?",
        f"""
        An indicator is a number that the training itself gives. Its value at a sample is the mean of what
        was logged since the previous sample. All correlations are Spearman's, within one training of at
        least {MIN_PAIRS} samples, and signed so that +1 means: the better by the indicator, the better
        in quality.

        Means are over cells, of the means over their seeds; the cells are fixed.

        A Wasserstein estimate is the critic's, on the batches that it trains on. A critic that learns them
        by heart sets it too high, one that lags behind the generator too low; the held-out estimate is the
        same critic's on faces that no network was trained on. Estimates of different trainings cannot be
        compared: each critic has its own scale. With --gene_l1_factor above 0 the generator's loss also
        holds the distance between its averaged-down output and the input, which goes with consistency and
        PSNR whatever the critic does. PSNR and SSIM may get worse while pictures look better (Blau and
        Michaeli 2018).
        """,
        {kind.title: kind.text for kind in CORRELATION_KINDS.values()}
        | {
            about.title: f"{'falls' if about.direction < 0 else 'rises'} as the generator gets better."
            for about in INDICATORS.values()
        },
    ),
    Section(
        "Claim 1: WGAN-GP trains stably and converges on a variety of architectures",
        "The answer is the first of these that applies:",
        STABILITY_RULES,
    ),
    Section(
        "Claim 2: the Wasserstein distance is an effective measure of training progress",
        "The answer is the first of these that applies:",
        INDICATOR_RULES,
    ),
]
