"""How many seeds a claim needs: the power of the paired and unpaired t test, and of the equivalence test."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from harness.ablation.noise import POWER, power

__all__ = ["MINIMUM_SEEDS", "MOST_SEEDS", "POWER", "equivalence_power", "power", "seeds_as_observed", "seeds_needed"]

MINIMUM_SEEDS = 3
"""Below this no verdict is given: two differences leave one degree of freedom, whose spread says next to nothing."""
MOST_SEEDS = 100_000


def equivalence_power(
    margin: float, sd: float, n: int, *, effect: float = 0.0, alpha: float = 0.05, arms: Literal[1, 2] = 1
) -> float:
    """The chance, or a little less, that TOST at `alpha` with `n` seeds puts a true `effect` within +-margin, in [0, 1].

    From two noncentral t probabilities. Source: Phillips 1990, Journal of Pharmacokinetics and Biopharmaceutics 18.
    """
    from scipy import stats

    if n < 2 or sd <= 0:
        return math.nan
    if abs(effect) >= margin:
        return 0.0
    root = math.sqrt(n / arms)
    df = (n - 1) * arms
    critical = stats.t.isf(alpha, df)
    nearer = min((margin - abs(effect)) / sd, 50.0) * root
    farther = min((margin + abs(effect)) / sd, 50.0) * root
    # By symmetry P(T(-nc) <= -c) = P(T(nc) >= c).
    found = stats.nct.sf(critical, df, nearer) - stats.nct.cdf(critical, df, farther)
    return max(0.0, float(found))


def seeds_needed(
    sd: float, margin: float, *, alpha: float = 0.05, target: float = POWER, arms: Literal[1, 2] = 1
) -> int | None:
    """The least number of seeds that settles a difference of `margin` with the power `target`.

    Enough both to see a true difference of `margin` and to show that there is none beyond it. The plan is for the margin, not
    the observed mean: a mean from few seeds is often an exaggeration. None: more than 100,000 seeds, or no spread.
    """

    def settles(n: int) -> bool:
        return (
            power(margin, sd, n, alpha=alpha, arms=arms) >= target
            and equivalence_power(margin, sd, n, alpha=alpha, arms=arms) >= target
        )

    return _least(settles) if sd > 0 and math.isfinite(sd) else None


def seeds_as_observed(mean: float, sd: float, margin: float, alpha: float, arms: Literal[1, 2]) -> int | None:
    """The least number of seeds for a verdict if the true effect is the observed mean."""

    def settles(n: int) -> bool:
        return (
            power(mean, sd, n, alpha=alpha, arms=arms) >= POWER
            or equivalence_power(margin, sd, n, effect=mean, alpha=alpha, arms=arms) >= POWER
        )

    return _least(settles)


def _least(settles: Callable[[int], bool]) -> int | None:
    """The least n in [MINIMUM_SEEDS, MOST_SEEDS] at which a growing condition holds."""
    high = MINIMUM_SEEDS
    while not settles(high):
        if high >= MOST_SEEDS:
            return None
        high = min(2 * high, MOST_SEEDS)
    low = max(MINIMUM_SEEDS, high // 2)
    while low < high:
        middle = (low + high) // 2
        if settles(middle):
            high = middle
        else:
            low = middle + 1
    return high
