"""Wilcoxon's signed-rank test, exact, with the interval that belongs to it: for noise under which the t test's power dies.

All of it rests on the averages of every two differences (a difference with itself among them; Walsh averages): the statistic is
how many lie above a value, the estimate is their median (Hodges & Lehmann 1963, Ann. Math. Stat. 34), and the ends of the interval
are two of them. Exact where the differences are symmetric about their centre, as between runs that are alike: no normality, no
equal variances, and a seed that collapses counts as one bad seed however deep it falls.
Source: Wilcoxon 1945, Biometrics Bulletin 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from reports.analysis.ttests import Array, rounding


def least_p(n: int) -> float:
    """The smallest two-sided p that n seeds can reach, when all improve: 2 / 2**n.

    >>> [least_p(n) for n in (3, 5, 6)]
    [0.25, 0.0625, 0.03125]
    """
    return float(2.0 ** (1 - n))


def fewest_seeds(level: float) -> int:
    """The fewest seeds that can reach a two-sided level in (0, 1).

    >>> fewest_seeds(0.05), fewest_seeds(0.05 / 5)
    (6, 8)
    """
    return 1 + math.ceil(-math.log2(level))


@lru_cache(maxsize=64)
def upper_tail(n: int) -> Array:
    """The chance, under no difference, that the statistic of n seeds is k or more; by k, 0 to n (n + 1) / 2 + 1."""
    chances = np.ones(1)
    for rank in range(1, n + 1):  # each rank is positive in half of the cases
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return np.asarray(np.append(np.cumsum(chances[::-1])[::-1], 0.0))


def pairwise_averages(differences: Sequence[float]) -> Array:
    """The n (n + 1) / 2 averages of every two differences, sorted."""
    given = np.asarray(differences, dtype=np.float64)
    first, second = np.triu_indices(len(given))
    return np.asarray(np.sort(given[first] / 2 + given[second] / 2))


def centre(differences: Sequence[float]) -> float:
    """The Hodges-Lehmann estimate of the centre of the differences."""
    return float(np.median(pairwise_averages(differences)))


def one_sided(differences: Sequence[float], value: float) -> tuple[float, float]:
    """p for a centre above, and for one below, `value`. Averages within rounding of it count against both."""
    averages, slack = pairwise_averages(differences), rounding([*differences, value])
    tail = upper_tail(len(differences))
    above, below = int(np.sum(averages > value + slack)), int(np.sum(averages < value - slack))
    return min(1.0, float(tail[above])), min(1.0, float(tail[below]))


def two_sided(differences: Sequence[float]) -> float:
    """p for no difference."""
    return min(1.0, 2 * min(one_sided(differences, 0.0)))


def equivalence(differences: Sequence[float], margin: float) -> float:
    """p of two one-sided tests that the centre lies within +-margin."""
    return max(one_sided(differences, -margin)[0], one_sided(differences, margin)[1])


def interval(differences: Sequence[float], level: float) -> tuple[float | None, float | None]:
    """The centres that a two-sided test at `level` does not reject; None, None where so few seeds can reject nothing."""
    averages, tail = pairwise_averages(differences), upper_tail(len(differences))
    least = int(np.argmax(tail <= level / 2))  # the statistic from which on a side is rejected
    if least > len(averages):
        return None, None
    return float(averages[-least]), float(averages[least - 1])
