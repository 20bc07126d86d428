"""How a study is judged, in words: the report prints it, and docs/method.md is made from it."""

from typing import NamedTuple

from srez.report.claims import COUNTED_LIMITS, COUNTED_WORDS, ENOUGH, STABILITY_RULES
from srez.report.correlations import ESTIMATE, INDICATORS, LATE, MIN_PAIRS, MOMENTS, SAMPLES
from srez.report.indicator import INDICATOR_RULES
from srez.report.measures import FACES, TERMS
from srez.report.relations import CEILING, MAX_PENALTY
from srez.report.results import METRICS
from srez.report.verdicts import GAIN, LEVELS, MIN_GRADIENT_SHARE, MIXED, STABLE, UNSTABLE, VERDICTS


class Section(NamedTuple):
    """A heading, its text with an empty line between paragraphs, and terms with their definitions."""

    heading: str
    text: str
    terms: dict[str, str]

    @property
    def paragraphs(self) -> list[str]:
        return [" ".join(paragraph.split()) for paragraph in self.text.split("\n\n")]


_COUNTED = ", ".join(COUNTED_WORDS)
_LIMITS = ", ".join(f"{share:.0%}" for share in sorted({limits.oscillation for limits in COUNTED_LIMITS}))
SECTIONS = [
    Section(
        "Quality",
        """
        Quality is measured at the sampled batches, on faces that were never trained on. Verdicts are read
        from LPIPS (AlexNet), the distance of an output from the truth in a network's features; for noise
        input, which has no truth, from the Fréchet distance between generated and real faces in the same
        features. Where neither was recorded, as before there was LPIPS, they are read from SSIM, then from
        PSNR. Which it was stands beside the verdicts, and results.csv has the verdicts by each of the
        others too. SWD is shown and decides nothing: it finds nearest-neighbour enlargement better than
        bicubic. At 64x64 LPIPS tells how much a picture looks like a sharp face, and less whose: another
        person's photograph is nearer to the truth by it than bicubic enlargement is; that is what
        consistency and PSNR are for. The Fréchet distance is recorded with 100 held-out faces or more; for
        noise input, where nothing else measures the faces, also with fewer, though of few it tells their
        number more than their quality.

        Figures become levels, which are larger for better pictures, and in which equal steps mean alike:
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
        f"""
        A cell's verdict is the word that more than two thirds of its finished trainings share, otherwise
        "{MIXED}". Last figures are medians of a training's last three samples; a training that diverged has
        none.

        Stable are: {", ".join(STABLE)}. Unstable are: {", ".join(UNSTABLE)}. The other words are neither, so
        that a training of which nothing can be said does not count for stability.

        Every interval is one of 95%. The tests simulate how often these hold the truth: means over seeds and
        differences of means, of values that are normal, with one, three and six cells and three and five
        seeds (93 to 97%), and shares (93% or more). Values that are far from normal were not simulated; what
        is said of correlations stands under "Does an indicator tell quality?".
        """,
        {
            "mean of a cell": "Student's t over its seeds, which reaches 4.3 standard errors to each side "
            "with three: these tell coarse differences only.",
            "mean over cells, fixed": "Only other seeds would give another value. The variances of the "
            "cells' means add up, with degrees of freedom by Welch and Satterthwaite, so that cells need not "
            "scatter alike; a difference of two such means likewise.",
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
        An indicator is a number that can be had without looking at the pictures; the truth that it should
        tell is the quality that verdicts are read from. Its value at a sample is the mean of what was
        logged since the previous sample; batch 0 is left out. Correlations are Spearman's over the samples
        of one training, signed so that +1 means: the better by the indicator, the better in truth. They are
        taken over all samples (at least {MIN_PAIRS[SAMPLES]}), and over the moments alone (at least
        {MIN_PAIRS[MOMENTS]}): the samples at which fresh critics were trained. An estimate of every batch
        is compared with fresh critics by what both say at the moments.

        Whatever goes one way during a training correlates with quality, a clock too. So r, the mean
        correlation within trainings, stands beside its null: the mean correlation of a training's indicator
        with the quality of the same cell's other trainings at the same batches, which share the clock but
        not the training. The excess is r beyond the null, (r - null) / (1 - r null): r itself where the
        null is 0, and 0 for a clock. Where every training improves alike from sample to sample, null and r
        are both near 1, no study can tell an indicator from a clock: an excess has no interval where it has
        no spread or where the null is above {CEILING:g} or below -{CEILING:g} (a ceiling; added after the
        first run of the study `signal`, it changes no answer there). How much can be seen depends on how many
        samples there are: of an indicator that is coupled to quality as closely as to noise, five seeds show
        an excess in nine of ten simulated studies with 32 samples, and in one of five with six.

        Means are taken on Fisher's scale (the inverse hyperbolic tangent; a correlation of 1 counts as half
        as far from 1 as the next that so many ranks can have) and given back as correlations; over seeds,
        and over cells where an objective has several, which are fixed. Intervals are 95% and Student's t
        over seeds, as under Several seeds. Differences of one cell's seeds from their null share that null;
        so the excess and its interval are those of the jackknife, which leaves out one training at a time.
        An excess needs three seeds. Simulated are trainings of one cell with a trend and lasting noise, five
        with 32 and with six samples and three with 32: in 2,000 simulated studies of each the interval of r
        held the truth in 94 to 96%, that of the excess in 95 to 97%; the tests ask for 93 to 98% of 400.
        Not simulated are several cells of an objective, curves of another kind, and the interval of r
        across trainings.

        An estimate counts in a cell only where its critic can estimate a distance, by medians over the
        samples after batch 0 and then over seeds: the critic that the generator learns from must live, in
        no control and with a share of at least {MIN_GRADIENT_SHARE:.0%} of the generator's gradient on its
        output; and the gradient penalty of a penalized critic, whichever gives the estimate, must be at
        most {MAX_PENALTY:g}, which is a slope that is off by about a third. Cells in which it does not
        count are named and left out. A training that diverged takes part with the samples that it has.

        That rule is a cut on the distance itself, which was seen only after the first run of `signal`: with
        --LAMBDA 10 the best critic's slope is 1 + W / 20 for a distance W, so its penalty is (W / 20)² and
        "at most {MAX_PENALTY:g}" means W of at most 6.3. Over the 120 measurements of fresh critics in that
        run, without the frozen critic's, estimate and penalty have rank correlation 0.98. The rule stays, as
        it was written before; every answer is also given whatever the penalty.

        Regret is what it costs to go by an indicator: the quality at the sample where the indicator is
        best, in percent worse than at the training's best sample, and how much more that is than at the last
        sample, which is what a clock would choose. A sample at random has the mean of all. Given are median,
        smallest and largest of the trainings that have as many samples as a correlation needs: regrets are
        many zeros and a long tail, of which Student's t over five covers too little.

        Across trainings an indicator can only be compared where its scale does not depend on the critic at
        hand, as that of exact transport and that of fresh critics, which are all trained alike. Its rank
        correlation with quality at the last moment is given over all trainings, with the interval of
        Fisher's z, over the means of cells, and within cells (median and range), without trainings that
        diverged. Trainings of one cell are not independent, so that the interval is too narrow; and a cell
        that lies far from the others, as a frozen critic's, makes the first two large by itself.

        Secondary, added after the first run of `signal`, and part of no rule: whether an estimate can be one
        of a distance at all (at how many of the samples it is below 0, which is what a critic that says the
        same of every picture estimates, and what part it is of fresh critics' at the last moment,
        whatever the penalty); the size of the own estimate, without its sign; the own estimate in the second
        half of the batches alone (at least {MIN_PAIRS[LATE]} samples), as estimates may need a while; every
        answer whatever the penalty.
        """,
        {
            about.title: f"{about.text} It {'falls' if about.direction < 0 else 'rises'} as the generator "
            "gets better."
            for about in INDICATORS.values()
        },
    ),
    Section(
        "Controls",
        """
        No critic that learns has a say in the controls, so that what they reach is no merit of any
        objective. Bicubic is bicubic enlargement of the same held-out faces. "L1 only" is the generator
        trained by its L1 term alone (--gene_l1_factor 1). "Frozen critic" is trained against a critic that
        stays as random as it was made (--critic_iters 0). They are told by these options, whatever a study
        calls them, and are left out of the claims.
        """,
        {},
    ),
    Section(
        "Claim 1: WGAN-GP trains stably and converges on a variety of architectures",
        f"""
        The endpoint is the share of the trainings with WGAN-GP, with any number of critic steps, that are
        stable, with its 95% interval over cells as a sample, since the claim speaks of a variety. It is asked
        to be {ENOUGH:.0%}, four of five.

        The second endpoint is that share minus the GAN's on the same architectures. Half the width of its
        interval tells what difference could have been seen. As both depend on how one counts, the report
        has a table of every way: what counts as stable ({_COUNTED}), trainings as independent or cells as
        a sample, and verdicts read from LPIPS, SSIM or PSNR. Where all trainings of each objective end
        alike, nothing tells whether other seeds say more than other cells do: each cell then counts once,
        and even if all are stable it takes 17 cells for "holds here".

        Added after the trainings of the first study "stability" had begun: (1) The verdict "no adversary".
        As it changes what counts as stable, the answer without it stands beside the other, as it was defined
        beforehand. All else is secondary to the endpoint: (2) WGAN-GP beside the GAN, architecture by
        architecture: on each architecture that both have, the share of stable trainings of one objective
        with WGAN-GP, or the mean of the shares of all of them, minus the GAN's; then the mean over
        architectures with Student's t over them. In the second endpoint an architecture weighs as much as
        it has trainings, and cells of several objectives on one architecture count as independent; here it
        counts once, whatever was trained on it. No interval is given where all differences are alike; how
        well it covers with shares of few seeds was not simulated. (3) Architectures as a third unit of the
        table of every way: all that was trained on one is taken
        together, rho too. (4) Other limits of oscillating ({_LIMITS}), both of the swing and of falling
        back. (5) How many trainings would have had to be stable for either answer: by the same interval,
        with rho as it was estimated. (6) The verdicts of the control "L1 only" beside those of each
        architecture with its generator: "worse than bicubic" there tells of the generator, not of an
        objective.

        The answer is the first of these that applies:
        """,
        STABILITY_RULES,
    ),
    Section(
        "Claim 2: the Wasserstein distance is an effective measure of training progress",
        f"""
        The endpoint is the {INDICATORS[ESTIMATE].title}, on the batches that the critic trains on, over all
        samples, with the quality that verdicts are read from (LPIPS wherever there is a truth). It and the
        rules below were written down before the trainings of the study `signal` began. The answer is the
        first of these that applies; the same rules answer for the estimate on held-out faces, and, of every
        objective and over the samples at which they were measured, for fresh critics (is it the distance that
        tells quality, if not the critic at hand?) and for exact transport (would the distance itself, if a
        critic could tell it?). Those answers, other qualities, losses, regret and what is said across
        trainings stand beside the endpoint, and are not corrected for how many they are.
        """,
        INDICATOR_RULES,
    ),
    Section(
        "What the measures see",
        f"""
        No measure sees what people see. Here every measure orders pictures of the same {FACES:,} held-out
        faces of CelebA, 64x64, best first. They are the faces themselves; these with 70% of their contrast,
        blurred by a Gaussian of one pixel's deviation, with noise of deviation 0.05, mirrored, upside down,
        cut into 16 tiles that are shuffled; their enlargements from 16x16, bicubic and nearest; and as many
        other real faces in their place. A measure that finds nearest better than bicubic may decide no
        verdict: consistency, SWD and recall do.

        LPIPS minds contrast and noise little at this size, which is that of the patches it was calibrated on
        (Zhang et al. 2018).

        The measures from "AlexNet Fréchet" on compare sets, whoever is on which picture. Their features are
        those of the last of the five layers that LPIPS reads, channels of length 1, the mean over all
        positions: 256 numbers a picture. The means of the first two layers put nearest before bicubic in the
        Fréchet distance; the last tells them apart best. These figures depend on the number of pictures: the
        Fréchet distance of real faces from other real ones is 7 with 240 of each and 1 with 2,000. Pictures
        made of the very faces have an advantage over other faces, which differ by chance too. Precision,
        recall, density and coverage are of 5 neighbours (Kynkäänniemi et al. 2019, Naeem et al. 2020).
        """,
        TERMS,
    ),
]
