"""What the verdicts can promise: the method in words, and rates measured by `benchmarks/statistics_simulation.py`."""

from __future__ import annotations

from typing import NamedTuple

from reports.analysis.power import MINIMUM_SEEDS

METHOD = (
    "The seed is the unit. Each difference is the variant minus the baseline at the same seed, so that what a seed does to "
    "both cancels. The test is the two-sided paired t test, Holm-adjusted over the family at 5%: the plan's comparisons, whether "
    "they could be tested or not; without a plan, all of the table. The interval is the t interval at the level at which Holm "
    "tested the comparison: 'helps' and 'hurts' mean that it lies above or below 0, and 'by more than X' that all of it lies "
    "beyond the margin X as well. 'Equivalent within X' comes first: two one-sided paired t tests (TOST) at 5%, Holm-adjusted "
    "likewise, put the mean difference inside X; this answers to a 90% interval, so the one shown may reach a little past X. A "
    "difference and an equivalence cannot both be false for one comparison, but a family that makes both kinds of claim runs up "
    "to 5% of risk for each kind. 'Failed' means that a seed of either side failed, diverged or skipped every step: the seeds "
    "that survived are not judged without it. 'Undecided' gives the seeds that would settle a difference of X with 80% power, "
    "whichever way it falls, from the observed spread of the differences and the strictest Holm step. That spread is itself "
    "uncertain, so read the number as an order of size. Runs that are identical in all common seeds are equivalent, however few; "
    "else below 3 seeds everything is undecided. Without common seeds Welch's test replaces the paired one. The mean is what is "
    "estimated: where seeds now and then collapse, it may describe no seed, so read every seed's value too. The sign test "
    "and the median's interval assume no distribution, and the latter needs 6 seeds. Adding seeds until a verdict appears "
    "raises the false positives: choose the number of seeds first."
)


class Rates(NamedTuple):
    """Measured rates, in [0, 1], for one comparison but where a table is named.

    Null comparisons claimed as a difference; tables of four with any such claim; 95% intervals that hold the truth; effects
    of one standard deviation of the differences that are found; effects of the margin's size called "no difference".
    """

    false_positive: float
    family_wise: float
    coverage: float
    power_1sd: float
    false_equivalence: float


NOISES = ("normal", "skewed", "bimodal")
"""The noise of differences in `MEASURED`. Skewed: exponential towards bad values. Bimodal: one seed in five collapses."""

MEASURED = {
    3: ((0.05, 0.05, 0.95, 0.171, 0.049), (0.115, 0.153, 0.885, 0.124, 0.161), (0.074, 0.077, 0.926, 0.129, 0.124)),
    4: ((0.05, 0.048, 0.95, 0.286, 0.051), (0.117, 0.196, 0.883, 0.248, 0.164), (0.091, 0.102, 0.909, 0.226, 0.142)),
    5: ((0.051, 0.054, 0.949, 0.406, 0.051), (0.117, 0.206, 0.883, 0.463, 0.156), (0.098, 0.122, 0.902, 0.359, 0.142)),
    6: ((0.049, 0.044, 0.951, 0.504, 0.053), (0.115, 0.21, 0.885, 0.6, 0.156), (0.1, 0.142, 0.9, 0.483, 0.135)),
    7: ((0.05, 0.049, 0.95, 0.597, 0.055), (0.109, 0.207, 0.891, 0.646, 0.143), (0.096, 0.147, 0.904, 0.569, 0.125)),
    8: ((0.049, 0.052, 0.952, 0.679, 0.05), (0.107, 0.195, 0.893, 0.691, 0.139), (0.091, 0.15, 0.909, 0.629, 0.121)),
    9: ((0.05, 0.049, 0.95, 0.748, 0.048), (0.1, 0.191, 0.9, 0.724, 0.136), (0.086, 0.152, 0.914, 0.696, 0.109)),
    10: ((0.048, 0.048, 0.952, 0.802, 0.05), (0.098, 0.184, 0.902, 0.76, 0.129), (0.079, 0.147, 0.921, 0.745, 0.103)),
}  # fmt: skip
"""Seeds -> the fields of `Rates` for paired comparisons under each of NOISES, from
`python benchmarks/statistics_simulation.py --experiments 10000 --constant`.
"""


def promise(n: int) -> str:
    """What the verdicts of `n` seeds can promise and what they cannot, in one line, from the simulation's figures.

    More seeds than were simulated are held to the figures of the most that were.
    """
    if n < MINIMUM_SEEDS:
        return f"{n} seed{'' if n == 1 else 's'}: no verdict below {MINIMUM_SEEDS}; single runs are anecdotes."
    seeds = min(n, max(MEASURED))
    normal, *uneven = (Rates(*one) for one in MEASURED[seeds])
    beyond = "" if n == seeds else f" (no worse than {seeds}, the most simulated)"
    false = max(rates.false_positive for rates in uneven)
    tables = max(rates.family_wise for rates in uneven)
    equivalent = max(rates.false_equivalence for rates in uneven)
    coverage = min(rates.coverage for rates in uneven)
    return (
        f"{n} seeds{beyond}: with normal noise {normal.false_positive:.1%} false claims, {normal.coverage:.1%} coverage, and "
        f"{normal.power_1sd:.0%} of effects as large as the spread are found; not so where one side alone has seeds that "
        f"collapse: up to {false:.0%} false claims ({tables:.0%} of tables of four), {equivalent:.0%} false 'no difference', "
        f"{coverage:.0%} coverage."
    )
