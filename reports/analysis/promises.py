"""What the verdicts can promise: the method in words, and rates simulated at the size of the table that is judged."""

from __future__ import annotations

from reports.analysis.power import MINIMUM_SEEDS
from reports.analysis.signed_rank import fewest_seeds, least_p
from reports.analysis.simulated import ALPHA, OUTSIDE, PROMISED, count_tables, rates
from reports.analysis.words import counted

MOST_SEEDS, MOST_COMPARISONS = 100, 40
"""Larger tables are not simulated, so that no report waits for it."""
METHOD = (
    "The seed is the unit. Each difference is the variant minus the baseline at the same seed, so that what a seed does to "
    "both cancels. The test is the two-sided paired t test, Holm-adjusted over the family at 5%: the plan's comparisons, "
    "whether they could be tested or not; without a plan, all of the table. The interval is the t interval at the level at "
    "which Holm tested the comparison: 'helps' and 'hurts' mean that it lies above or below 0 and that equivalence is not "
    "shown; such intervals agree with the verdicts, but do not all hold their truths at once with 95%. The joint intervals "
    "do (Bonferroni: each at 5% over the number of comparisons), and 'by more than X' means that all of the joint interval "
    "lies beyond the margin X. 'Equivalent within X' comes first: two one-sided paired t tests (TOST) at 5%, Holm-adjusted "
    "likewise, put the mean difference inside X; this answers to a 90% interval, so the one shown may reach a little past "
    "X. A difference and an equivalence cannot both be false for one comparison, but a family that makes both kinds of "
    "claim runs up to 5% of risk for each kind. A plan with --test signed-rank has Wilcoxon's exact test in place of t, "
    "with its own intervals and the median of pairwise averages as the estimate. 'Failed' means that a seed of either side "
    "failed, diverged or skipped every step: the seeds that survived are not judged without it. 'Undecided' gives the seeds"
    " that would settle a difference of X with 80% power, whichever way it falls, from the observed spread of the "
    "differences and the strictest Holm step. That spread is itself uncertain, so read the number as an order of size. Runs"
    " that are identical in all common seeds are equivalent, however few; else below 3 seeds everything is undecided. "
    "Without common seeds Welch's test replaces the paired one. The mean is what is estimated: where seeds now and then "
    "collapse, it may describe no seed, so read every seed's value too. The sign test and the median's interval assume no "
    "distribution, and the latter needs 6 seeds. Adding seeds until a verdict appears raises the false positives: choose "
    "the number of seeds first."
)


def promise(n: int, comparisons: int = 1, test: str = "t") -> str:
    """What the verdicts of a table of `comparisons` over `n` seeds can promise and what they cannot, in one line.

    Simulated at this size, with Holm's steps over all comparisons, by `reports.analysis.simulated`.
    """
    size = f"{counted(n, 'seed')}, {counted(comparisons, 'comparison')}"
    if n < MINIMUM_SEEDS:
        return f"{size}: no verdict below {MINIMUM_SEEDS} seeds; single runs are anecdotes."
    if test == "signed-rank" and least_p(n) > ALPHA / comparisons:
        enough = fewest_seeds(ALPHA / comparisons)
        return (
            f"{size}: the least p of the signed-rank test is {least_p(n):.2g}, above Holm's first level of "
            f"{ALPHA / comparisons:.2g}, so no arm alone can be found, whatever it gains; with {enough} seeds it can."
        )
    used = min(n, MOST_SEEDS), min(comparisons, MOST_COMPARISONS)
    beyond = "" if used == (n, comparisons) else f" (simulated for {used[0]} and {used[1]}, the most)"
    tables = count_tables(*used)
    normal, *others = (rates(kind, *used, test) for kind in PROMISED)
    every, outside = (normal, *others), rates(OUTSIDE, *used, test)
    false = max(one.false_difference for one in every)
    equivalent = max(one.false_equivalence for one in every)
    tails, _, collapse = others
    return (
        f"{size}{beyond}, after Holm's steps: at most {false:.1%} of such tables make a false claim of a difference, at most "
        f"{equivalent:.1%} a false claim of equivalence, and in at least {1 - false:.1%} all joint intervals hold the truth, under "
        "normal noise, heavy tails, unequal variances, and where one run in 33 collapses by 30 sd. An effect as large as the "
        f"spread of the differences is found with {normal.power_1sd:.0%} (heavy tails {tails.power_1sd:.0%}, collapses "
        f"{collapse.power_1sd:.0%}), one twice as large with {normal.power_2sd:.0%} ({tails.power_2sd:.0%}, "
        f"{collapse.power_2sd:.0%}). Not promised: where arms alone collapse and are better in all other seeds, so that the "
        f"means are equal, {outside.false_difference:.0%} of tables claim a difference. ({tables:,} tables simulated for each.)"
    )
