"""What the seeds allow us to say of a treated run beside the baseline of its seed: differences, intervals, verdicts.

Pure functions on numbers. The unit of replication is the seed. Every rate that `promises.promise` quotes was measured by
`benchmarks/statistics_simulation.py`, which runs these functions.

Bad input never raises and never makes a claim: a missing interval is None and the verdict says why. Only a wrong request (a
margin that is not positive, a factorial plan with holes) raises RequestError.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from harness.errors import RequestError
from reports.analysis import signed_rank, verdicts
from reports.analysis.estimates import Estimate, Values, estimate
from reports.analysis.power import MINIMUM_SEEDS
from reports.analysis.ttests import (
    CONFIDENCE,
    TTest,
    as_float,
    holm,
    holm_levels,
    is_flat,
    mean_of,
    median_interval,
    paired_t,
    rounding,
    sign_test,
    t_interval,
    welch_t,
)
from reports.analysis.verdicts import Kind, Verdict

MARGIN = 0.005
"""The default smallest difference of interest, in units of the metric (SSIM)."""


@dataclass(frozen=True)
class Comparison:
    """Treated minus baseline, in units of the metric, and what may be said of it.

    Paired: `differences` are by seed, in the order of `seeds`. Unpaired (Welch): both are empty and `n` is the smaller arm.
    `mean`, `sd` (of the differences), `low` and `high` are None where they do not exist; so is `p` (two-sided), with
    `p_adjusted` (Holm over the family), and `p_equivalence` (TOST at `margin`) with its adjusted value. `low` and `high` are
    the interval at the level at which Holm tested it: it excludes 0 if and only if `p_adjusted` is at most alpha; `low_alone`
    and `high_alone` are at 95%, for this comparison alone. `relative` is the mean difference over the baseline's absolute mean.
    `better` counts the seeds that improved, `worse` those that got worse. `p_sign` (two-sided, ties dropped) and the median's
    interval (at least 95%; None below 6 seeds) assume no distribution. `unpaired` names seeds that only one side has;
    `excluded` seeds at which either side is not finite.
    """

    name: str
    method: Literal["paired", "unpaired"]
    n: int
    margin: float
    verdict: Verdict
    seeds: tuple[int, ...] = ()
    differences: tuple[float, ...] = ()
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    low_alone: float | None = None
    high_alone: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    p_equivalence: float | None = None
    p_equivalence_adjusted: float | None = None
    relative: float | None = None
    better: int | None = None
    worse: int | None = None
    p_sign: float | None = None
    median: float | None = None
    median_low: float | None = None
    median_high: float | None = None
    unpaired: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    baseline: Estimate | None = None
    treated: Estimate | None = None
    error: float | None = None
    df: float | None = None
    """Standard error of `mean`, and its degrees of freedom."""
    low_joint: float | None = None
    high_joint: float | None = None
    test: str = "t"
    """t (Student's; Welch's where unpaired) or signed-rank, in which `mean` is the Hodges-Lehmann estimate."""

    def document(self, reference: str = "base") -> dict[str, Any]:
        """One entry of `comparisons` in JSON: arm, reference, difference, adjusted interval, adjusted p, verdict."""
        return {
            "arm": self.name,
            "reference": reference,
            "seeds": self.n,
            "difference": self.mean,
            "low": self.low,
            "high": self.high,
            "p": self.p_adjusted,
            "verdict": self.verdict.kind.value,
            "words": self.verdict.words,
            "seeds_needed": self.verdict.seeds_needed,
        }


PENDING = Verdict(Kind.UNDECIDED, "no verdict yet")


def compare(
    baseline: Values,
    treated: Values,
    *,
    name: str = "",
    margin: float = MARGIN,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    test: str = "t",
) -> Comparison:
    """One comparison paired by seed; see `compare_all`."""
    table = {name: treated}
    return compare_all(baseline, table, margin=margin, alpha=alpha, higher_is_better=higher_is_better, test=test)[0]


def compare_all(
    baseline: Values,
    treated: Mapping[str, Values],
    *,
    margin: float = MARGIN,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    test: str = "t",
) -> list[Comparison]:
    """Each treated sample against the baseline, paired by seed, with Holm's adjustment over all of them.

    `margin` is the difference, in units of the metric, below which the user does not care; for a cost, pass
    `higher_is_better=False` and a margin in its units. Verdicts are those of `verdicts.Kind`: failed (a value is None or not
    finite), equivalent (identical, or Holm-adjusted TOST p <= alpha), helps or hurts (Holm-adjusted p <= alpha, by sign),
    undecided (fewer than 3 seeds, every difference the same non-zero number, or neither p is small).

    A run whose metric is not finite blocks the verdict: leaving it out would judge a variant by the seeds that it survived.
    A comparison that cannot be tested still counts in Holm's family, so a failed run makes no other claim easier.

    Raises RequestError where the margin is not a positive number, alpha is outside (0, 1), or a value is no number.
    """
    check(margin, alpha)
    drafts = [draft(name, baseline, values, margin, higher_is_better, test) for name, values in treated.items()]
    return settle(drafts, alpha, higher_is_better)


def compare_unpaired(
    baseline: Values,
    treated: Values,
    *,
    name: str = "",
    margin: float = MARGIN,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> Comparison:
    """Two samples with seeds of their own, by Welch's test: an A/A plan, or two reports without common seeds.

    It assumes that the samples are independent. Common seeds with a shared influence make it err on the side of caution.
    """
    check(margin, alpha)
    a, b = estimate(baseline), estimate(treated)
    x = [value for value in a.values if math.isfinite(value)]
    y = [value for value in b.values if math.isfinite(value)]
    excluded = tuple(sorted({*a.excluded, *b.excluded}))
    mean = None if a.mean is None or b.mean is None else b.mean - a.mean
    flat = is_flat(x, x) and is_flat(y, y)
    verdict = PENDING
    if excluded:
        verdict = verdicts.failed(b.excluded, a.excluded)
    elif min(a.n, b.n) < MINIMUM_SEEDS:
        verdict = verdicts.too_few(min(a.n, b.n))
    elif flat and is_flat(x + y, x + y):
        verdict = Verdict(Kind.EQUIVALENT, f"equivalent: identical in every seed of both ({a.n} and {b.n})")
    elif flat:
        verdict = verdicts.no_spread(mean)
    draft = Comparison(
        name=name,
        method="unpaired",
        n=min(a.n, b.n),
        margin=margin,
        verdict=verdict,
        mean=mean,
        relative=_relative(mean, a.mean),
        excluded=excluded,
        baseline=a,
        treated=b,
    )
    if min(a.n, b.n) >= 2 and not flat:
        draft = _with_test(draft, welch_t(x, y, margin))
    return settle([draft], alpha, higher_is_better)[0]


def regression(
    a: Values,
    b: Values,
    *,
    name: str = "",
    margin: float = MARGIN,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    test: str = "t",
) -> Comparison:
    """Whether B is worse than A beyond noise: it is if, and only if, the verdict's kind is HURTS.

    Paired by seed where at least 3 seeds are common, or where the runs of common seeds are identical; otherwise Welch's test
    over all seeds of both, where the test is t.
    """
    common = len(set(a) & set(b))
    pairs = compare(a, b, name=name, margin=margin, alpha=alpha, higher_is_better=higher_is_better, test=test)
    if common >= MINIMUM_SEEDS or pairs.verdict.kind is Kind.EQUIVALENT or test != "t":
        return pairs
    return compare_unpaired(a, b, name=name, margin=margin, alpha=alpha, higher_is_better=higher_is_better)


def draft(
    name: str, baseline: Values, treated: Values, margin: float, higher_is_better: bool, test: str = "t"
) -> Comparison:
    """A paired comparison before its family is known: see `settle`."""
    common = tuple(sorted(set(baseline) & set(treated)))
    pairs = tuple((as_float(baseline[seed]), as_float(treated[seed])) for seed in common)
    return _draft(name, common, pairs, tuple(sorted(set(baseline) ^ set(treated))), margin, higher_is_better, test)


@lru_cache(4096)  # a page asks for one comparison in several tables
def _draft(
    name: str,
    common: tuple[int, ...],
    values: tuple[tuple[float, float], ...],
    unpaired: tuple[int, ...],
    margin: float,
    higher_is_better: bool,
    test: str,
) -> Comparison:
    pairs = dict(zip(common, values, strict=True))
    seeds = tuple(seed for seed in common if all(map(math.isfinite, pairs[seed])))
    blank = Comparison(
        name=name,
        method="paired",
        n=len(seeds),
        margin=margin,
        verdict=PENDING,
        seeds=seeds,
        differences=tuple(pairs[seed][1] - pairs[seed][0] for seed in seeds),
        unpaired=unpaired,
        excluded=tuple(seed for seed in common if seed not in seeds),
        baseline=estimate({seed: pairs[seed][0] for seed in common}),
        treated=estimate({seed: pairs[seed][1] for seed in common}),
        test=test,
    )
    reach = [max(map(abs, pairs[seed])) for seed in seeds]
    return paired(blank, reach, mean_of([pairs[seed][0] for seed in seeds]), higher_is_better)


def paired(blank: Comparison, reach: Sequence[float], baseline_mean: float | None, higher_is_better: bool) -> Comparison:
    """What the differences say without their table. `reach` is the size of the numbers that were subtracted."""
    differences, n = blank.differences, blank.n
    mean = mean_of(differences)
    flat = is_flat(differences, reach)
    nil = all(abs(difference) <= rounding(reach) for difference in differences)
    verdict = PENDING
    if blank.excluded:
        sides = [side.excluded if side else () for side in (blank.treated, blank.baseline)]
        verdict = verdicts.failed(*sides) if any(sides) else verdicts.failed(blank.excluded, ())
    elif nil and n:
        verdict = verdicts.identical(n, exact=not any(differences))
    elif n < MINIMUM_SEEDS:
        verdict = verdicts.too_few(n)
    elif flat:
        verdict = verdicts.no_spread(mean)
    draft = replace(blank, mean=mean, verdict=verdict)
    if n >= 2:
        draft = replace(draft, sd=0.0) if flat or nil else _with_test(draft, paired_t(differences, blank.margin))
    if n == 0:
        return draft
    draft = replace(draft, relative=_relative(draft.mean, baseline_mean))
    up, down = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    low, high = median_interval(differences)
    return replace(
        draft,
        better=up if higher_is_better else down,
        worse=down if higher_is_better else up,
        p_sign=sign_test(up, down),
        median=float(np.median(differences)),
        median_low=low,
        median_high=high,
    )


def _with_test(draft: Comparison, test: TTest) -> Comparison:
    low, high = float(test.low), float(test.high)
    draft = replace(draft, sd=float(test.sd), low=low, high=high, low_alone=low, high_alone=high)
    draft = replace(draft, error=float(test.error), df=float(test.df))
    if draft.test == "signed-rank":
        given = draft.differences
        start, end = signed_rank.interval(given, 1 - CONFIDENCE)
        draft = replace(draft, mean=signed_rank.centre(given), low=start, high=end, low_alone=start, high_alone=end)
    if draft.verdict is not PENDING:  # a table must not show a test of the seeds that survived, or of two of them
        return draft
    if draft.test == "signed-rank":
        equivalence = signed_rank.equivalence(draft.differences, draft.margin)
        return replace(draft, p=signed_rank.two_sided(draft.differences), p_equivalence=equivalence)
    return replace(draft, p=float(test.p), p_equivalence=float(test.p_equivalence))


def settle(
    drafts: Sequence[Comparison],
    alpha: float,
    higher_is_better: bool,
    interactions: Collection[str] = (),
) -> list[Comparison]:
    """Adjusts the p values and intervals over the family and gives the verdicts."""
    if not drafts:
        return []
    raw = [1.0 if draft.p is None else draft.p for draft in drafts]
    adjusted, levels = holm(raw), holm_levels(raw, alpha)
    equivalent = holm([1.0 if draft.p_equivalence is None else draft.p_equivalence for draft in drafts])
    settled = []
    for draft, p, q, level in zip(drafts, adjusted.tolist(), equivalent.tolist(), levels.tolist(), strict=True):
        if draft.mean is None or draft.error is None or draft.df is None:
            settled.append(draft)
            continue
        low, high = _interval(draft, level)
        low_joint, high_joint = _interval(draft, alpha / len(drafts))
        draft = replace(draft, low=low, high=high, low_joint=low_joint, high_joint=high_joint)
        if draft.p is None or draft.sd is None or draft.mean is None:
            settled.append(draft)
            continue
        words = verdicts.INTERACTION_WORDS if draft.name in interactions else verdicts.DIRECTION_WORDS
        arms: Literal[1, 2] = 1 if draft.method == "paired" else 2
        beyond = (
            low_joint is not None and high_joint is not None and (low_joint > draft.margin or high_joint < -draft.margin)
        )
        fewest = signed_rank.fewest_seeds(alpha / len(drafts)) if draft.test == "signed-rank" else MINIMUM_SEEDS
        verdict = verdicts.decide(
            draft.mean, draft.sd, p, q, beyond=beyond, n=draft.n, margin=draft.margin, arms=arms,
            alpha=alpha, table=len(drafts), higher_is_better=higher_is_better, words=words, fewest=fewest,
        )  # fmt: skip
        settled.append(replace(draft, p_adjusted=p, p_equivalence_adjusted=q, verdict=verdict))
    return settled


def _interval(draft: Comparison, level: float) -> tuple[float | None, float | None]:
    """The interval that misses the truth with the chance `level`, by the comparison's own test."""
    if draft.test == "signed-rank":
        return signed_rank.interval(draft.differences, level)
    assert draft.mean is not None
    assert draft.error is not None
    assert draft.df is not None
    return t_interval(draft.mean, draft.error, draft.df, level)


def check(margin: float, alpha: float = 0.05) -> None:
    """Raises RequestError unless the margin is a positive number and alpha lies between 0 and 1."""
    if not (math.isfinite(margin) and margin > 0):
        raise RequestError(
            f"the margin must be a positive number in units of the metric, such as {MARGIN:g}; given: {margin}"
        )
    if not 0 < alpha < 1:
        raise RequestError(f"alpha must lie between 0 and 1, such as 0.05; given: {alpha}")


def _relative(mean: float | None, baseline: float | None) -> float | None:
    if mean is None or not baseline:
        return None
    ratio = mean / abs(baseline)
    return ratio if math.isfinite(ratio) else None
