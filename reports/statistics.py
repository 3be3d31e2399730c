"""What the seeds allow us to say: paired comparisons, their intervals, and verdicts in words.

Pure functions on numbers. The unit of replication is the seed; a comparison is the treated run minus the baseline run of the
same seed. Every rate that `promise` quotes was measured by `benchmarks/statistics_simulation.py`, which runs these
functions.

Bad input never raises and never makes a claim: a missing interval is None and the verdict says why. Only a wrong request
(a margin that is not positive, a factorial plan with holes) raises RequestError.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import RequestError

Array = npt.NDArray[np.float64]
Values = Mapping[int, float | None]
"""Seed -> one number. None, NaN and infinities are accepted and stand for a run that gave no usable number."""

CONFIDENCE = 0.95
MARGIN = 0.005
"""The default smallest difference of interest, in units of the metric (SSIM)."""
MINIMUM_SEEDS = 3
"""Below this no verdict is given: two differences leave one degree of freedom, whose spread says next to nothing."""
DISTRIBUTION_FREE_SEEDS = 6
"""The fewest seeds from which the sign test can reach 5% and an interval for the median 95% (2 / 2**6 = 3.1%)."""
POWER = 0.8
MOST_SEEDS = 100_000
HUGE, TINY = 1e150, 1e-150
"""A number beyond the first counts as infinite (its square overflows), a difference below the second as rounding."""

METHOD = (
    "The seed is the unit. Each difference is the variant minus the baseline at the same seed, so that what a seed does to "
    "both cancels. The interval is the 95% Student t interval of the mean difference; it is for that comparison alone, not "
    "adjusted for the others. The test is the two-sided paired t test, Holm-adjusted over the comparisons of the table at "
    "5%; comparisons that could not be tested count too. 'No difference beyond X' means that two one-sided paired t tests "
    "(TOST) at 5%, Holm-adjusted likewise, both put the mean difference inside X; this answers to the 90% interval, so the "
    "95% interval may reach a little past X. A difference and an equivalence cannot both be false for one comparison, but "
    "a table that makes both kinds of claim runs up to 5% of risk for each kind. 'Not enough seeds' gives the seeds that "
    "would settle a difference of X with 80% power, whichever way it falls, from the observed spread of the differences "
    "and the strictest Holm step. That spread is itself uncertain, so read the number as an order of size. Below 3 seeds "
    "there is no verdict. Without common seeds (A/A plans) Welch's test replaces the paired one. The mean is what is "
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

MEASURED: dict[int, tuple[Rates, Rates, Rates]] = {
    3: (
        Rates(0.05, 0.05, 0.95, 0.171, 0.049),
        Rates(0.115, 0.153, 0.885, 0.124, 0.161),
        Rates(0.074, 0.077, 0.926, 0.129, 0.124),
    ),
    4: (
        Rates(0.05, 0.048, 0.95, 0.286, 0.051),
        Rates(0.117, 0.196, 0.883, 0.248, 0.164),
        Rates(0.091, 0.102, 0.909, 0.226, 0.142),
    ),
    5: (
        Rates(0.051, 0.054, 0.949, 0.406, 0.051),
        Rates(0.117, 0.206, 0.883, 0.463, 0.156),
        Rates(0.098, 0.122, 0.902, 0.359, 0.142),
    ),
    6: (
        Rates(0.049, 0.044, 0.951, 0.504, 0.053),
        Rates(0.115, 0.21, 0.885, 0.6, 0.156),
        Rates(0.1, 0.142, 0.9, 0.483, 0.135),
    ),
    7: (
        Rates(0.05, 0.049, 0.95, 0.597, 0.055),
        Rates(0.109, 0.207, 0.891, 0.646, 0.143),
        Rates(0.096, 0.147, 0.904, 0.569, 0.125),
    ),
    8: (
        Rates(0.049, 0.052, 0.952, 0.679, 0.05),
        Rates(0.107, 0.195, 0.893, 0.691, 0.139),
        Rates(0.091, 0.15, 0.909, 0.629, 0.121),
    ),
    9: (
        Rates(0.05, 0.049, 0.95, 0.748, 0.048),
        Rates(0.1, 0.191, 0.9, 0.724, 0.136),
        Rates(0.086, 0.152, 0.914, 0.696, 0.109),
    ),
    10: (
        Rates(0.048, 0.048, 0.952, 0.802, 0.05),
        Rates(0.098, 0.184, 0.902, 0.76, 0.129),
        Rates(0.079, 0.147, 0.921, 0.745, 0.103),
    ),
}
"""Seeds -> rates of paired comparisons for each of NOISES, from
`python benchmarks/statistics_simulation.py --experiments 10000 --constant`.
"""


class Kind(StrEnum):
    """What a verdict claims. HELPS and HURTS are in the metric's own direction."""

    HELPS = "helps"
    HURTS = "hurts"
    NO_DIFFERENCE = "no difference"
    IDENTICAL = "identical"
    NOT_ENOUGH = "not enough seeds"
    NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Verdict:
    """A claim and the sentence that states it.

    `seeds_needed` is a total (for unpaired comparisons: in each arm), set only for NOT_ENOUGH; None there means that more
    than 100,000 would be needed. `seeds_more` is what that adds to the seeds seen. `seeds_if_as_observed` is the smaller
    total that would do if the true effect were the observed mean; it is optimistic, since a mean from few seeds is often an
    exaggeration.
    """

    kind: Kind
    words: str
    seeds_needed: int | None = None
    seeds_more: int | None = None
    seeds_if_as_observed: int | None = None


@dataclass(frozen=True)
class Estimate:
    """One sample's mean over seeds with its 95% t interval, in units of the metric.

    `values` holds every seed's value, in the order of `seeds`; NaN where the run gave none. `mean`, `sd` and the interval
    are over the `n` finite ones; `excluded` names the seeds left out. `mean` is None without values; `sd` below two;
    the interval (`low`, `high`) below two, or where the values do not spread.
    """

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    excluded: tuple[int, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Treated minus baseline, in units of the metric, and what may be said of it.

    Paired: `differences` are by seed, in the order of `seeds`. Unpaired (Welch): both are empty and `n` is the smaller arm.
    `mean`, `sd` (of the differences), `low` and `high` (95%, unadjusted) are None where they cannot be had; so is `p`
    (two-sided), with `p_adjusted` (Holm over the table), and `p_equivalence` (TOST at `margin`) with its adjusted value.
    `relative` is the mean difference over the baseline's absolute mean. `better` counts the seeds that improved, `worse`
    those that got worse. `p_sign` (two-sided, ties dropped) and the median's interval (at least 95%; None below 6 seeds)
    assume no distribution. `unpaired` names seeds that only one side has; `excluded` seeds at which either side is not
    finite.
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


@dataclass(frozen=True)
class Effect:
    """An effect of a factorial plan, main (one factor) or interaction (two), as a `Comparison` over per-seed contrasts.

    Main: the metric with the factor minus without it, averaged over the other factors. Interaction of a and b: what a adds
    in the presence of b minus what it adds without b; positive (for a metric to be raised) is better than the sum of both.
    """

    factors: tuple[str, ...]
    comparison: Comparison


class TTest(NamedTuple):
    """Results along the last axis: mean, its 95% interval, two-sided p for no difference, and p for equivalence (TOST)."""

    mean: Array
    sd: Array
    low: Array
    high: Array
    p: Array
    p_equivalence: Array


_PENDING = Verdict(Kind.NO_VERDICT, "no verdict yet")
_DIRECTION_WORDS = {Kind.HELPS: "helps", Kind.HURTS: "hurts"}
_INTERACTION_WORDS = {Kind.HELPS: "together better than the sum", Kind.HURTS: "together worse than the sum"}


# --- the tests, over the last axis of arrays: what a report runs on one row, the simulation runs on thousands ---


def paired_t(differences: npt.ArrayLike, margin: float) -> TTest:
    """Student's t over differences of shape (..., n), n >= 2, which must be finite and spread; equivalence at +-margin."""
    from scipy import stats

    raw = np.asarray(differences, dtype=np.float64)
    scale = float(np.max(np.abs(raw)))  # keeps squares of huge or tiny numbers in range; t does not depend on it
    scaled = raw / scale
    bound = margin / scale
    test = stats.ttest_1samp(scaled, 0.0, axis=-1)
    interval = test.confidence_interval(CONFIDENCE)
    above = stats.ttest_1samp(scaled, -bound, axis=-1, alternative="greater").pvalue
    below = stats.ttest_1samp(scaled, bound, axis=-1, alternative="less").pvalue
    mean, sd = scaled.mean(axis=-1), scaled.std(axis=-1, ddof=1)
    low, high = _times(interval.low, scale), _times(interval.high, scale)
    p, equivalence = _times(test.pvalue), _times(np.maximum(above, below))
    return TTest(_times(mean, scale), _times(sd, scale), low, high, p, equivalence)


def welch_t(baseline: npt.ArrayLike, treated: npt.ArrayLike, margin: float) -> TTest:
    """Welch's t for treated (..., m) minus baseline (..., n); equivalence at +-margin; `sd` is the arms' quadratic mean."""
    import warnings

    from scipy import stats

    a, b = np.asarray(baseline, dtype=np.float64), np.asarray(treated, dtype=np.float64)
    scale = float(max(np.max(np.abs(a)), np.max(np.abs(b))))
    a, b, bound = a / scale, b / scale, margin / scale
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)  # one arm may be constant: Welch allows it
        test = stats.ttest_ind(b, a, axis=-1, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
        above = stats.ttest_ind(b + bound, a, axis=-1, equal_var=False, alternative="greater").pvalue
        below = stats.ttest_ind(b - bound, a, axis=-1, equal_var=False, alternative="less").pvalue
    mean = b.mean(axis=-1) - a.mean(axis=-1)
    sd = np.sqrt((a.var(axis=-1, ddof=1) + b.var(axis=-1, ddof=1)) / 2)
    low, high = _times(interval.low, scale), _times(interval.high, scale)
    p, equivalence = _times(test.pvalue), _times(np.maximum(above, below))
    return TTest(_times(mean, scale), _times(sd, scale), low, high, p, equivalence)


def _times(values: npt.ArrayLike, scale: float = 1.0) -> Array:
    return np.asarray(np.asarray(values, dtype=np.float64) * scale)


def holm(p: npt.ArrayLike) -> Array:
    """Holm's adjusted p values (in [0, 1]) over the last axis of (..., comparisons). Source: Holm 1979.

    The tests hold it to statsmodels' multipletests, which takes one row and collects garbage on each call (80 ms of it).
    """
    raw = np.asarray(p, dtype=np.float64)
    order = np.argsort(raw, axis=-1, kind="stable")
    steps = np.arange(raw.shape[-1], 0, -1)
    stepped = np.minimum(np.maximum.accumulate(np.take_along_axis(raw, order, axis=-1) * steps, axis=-1), 1.0)
    adjusted = np.empty_like(raw)
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    return adjusted


# --- how many seeds ---


def power(effect: float, sd: float, n: int, *, alpha: float = 0.05, arms: Literal[1, 2] = 1) -> float:
    """The chance that the two-sided t test at `alpha` sees a true mean difference `effect` with `n` seeds, in [0, 1].

    One arm: paired, `sd` is that of the differences. Two arms: `n` seeds each, `sd` is that of one arm.
    """
    from statsmodels.stats.power import TTestIndPower, TTestPower

    if n < 2 or sd <= 0:
        return math.nan
    size = min(abs(effect) / sd, 50.0)  # beyond this the power is one and the noncentral t runs out of digits
    found = TTestPower().power(size, n, alpha) if arms == 1 else TTestIndPower().power(size, n, alpha, ratio=1)
    return float(found)


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
    """The least number of seeds that settles a difference of `margin` with the power `target`, whichever way it falls.

    Enough both to see a true difference of `margin` and to show, where there is none, that there is none beyond `margin`. It
    is planned for the margin and not for the observed mean, because the margin is what the user calls worth knowing, while a
    mean from few seeds is often an exaggeration and would promise too few seeds. None: more than 100,000, or no spread.
    """

    def settles(n: int) -> bool:
        return (
            power(margin, sd, n, alpha=alpha, arms=arms) >= target
            and equivalence_power(margin, sd, n, alpha=alpha, arms=arms) >= target
        )

    return _least(settles) if sd > 0 and math.isfinite(sd) else None


def _seeds_as_observed(mean: float, sd: float, margin: float, alpha: float, arms: Literal[1, 2]) -> int | None:
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


def promise(n: int) -> str:
    """What the verdicts of `n` seeds can promise and what they cannot, in one line, from the simulation's figures.

    More seeds than were simulated are held to the figures of the most that were.
    """
    if n < MINIMUM_SEEDS:
        return f"{n} seed{'' if n == 1 else 's'}: no verdict below {MINIMUM_SEEDS}; single runs are anecdotes."
    seeds = min(n, max(MEASURED))
    normal, *uneven = MEASURED[seeds]
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


# --- one sample ---


def estimate(values: Values | Sequence[float | None]) -> Estimate:
    """The mean of one number per seed with its 95% t interval. A sequence counts as seeds 0, 1, 2, ...

    Raises RequestError for a value that is not a number at all.
    """
    given = values if isinstance(values, Mapping) else dict(enumerate(values))
    seeds = tuple(sorted(given))
    numbers = tuple(_number(given[seed]) for seed in seeds)
    finite = [number for number in numbers if math.isfinite(number)]
    sd = low = high = None
    if len(finite) >= 2:
        if _flat(finite, finite):
            sd = 0.0
        else:
            test = paired_t(finite, 1.0)
            sd, low, high = float(test.sd), float(test.low), float(test.high)
    excluded = tuple(seed for seed, number in zip(seeds, numbers, strict=True) if not math.isfinite(number))
    return Estimate(seeds, numbers, len(finite), _mean(finite), sd, low, high, excluded)


# --- comparisons ---


def compare(
    baseline: Values,
    treated: Values,
    *,
    name: str = "",
    margin: float = MARGIN,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> Comparison:
    """One comparison paired by seed; see `compare_all`."""
    return compare_all(baseline, {name: treated}, margin=margin, alpha=alpha, higher_is_better=higher_is_better)[0]


def compare_all(
    baseline: Values,
    treated: Mapping[str, Values],
    *,
    margin: float = MARGIN,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> list[Comparison]:
    """Each treated sample against the baseline, paired by seed, with Holm's adjustment over all of them.

    `margin` is the difference, in units of the metric, below which the user does not care; for a cost, pass
    `higher_is_better=False` and a margin in its units. Verdicts, in this order: no verdict (a value is not finite, or every
    difference is the same non-zero number); not enough seeds (fewer than 3); identical; helps or hurts (Holm-adjusted p <=
    alpha, by sign); no difference beyond the margin (Holm-adjusted TOST p <= alpha); not enough seeds.

    A run whose metric is not finite blocks the verdict: leaving it out would judge a variant by the seeds that it survived.
    A comparison that cannot be tested still counts in Holm's table, so a failed run makes no other claim easier.

    Raises RequestError where the margin is not a positive number, alpha is outside (0, 1), or a value is no number.
    """
    _check(margin, alpha)
    drafts = [_draft(name, baseline, values, margin, higher_is_better) for name, values in treated.items()]
    return _settle(drafts, alpha, higher_is_better)


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
    _check(margin, alpha)
    a, b = estimate(baseline), estimate(treated)
    x = [value for value in a.values if math.isfinite(value)]
    y = [value for value in b.values if math.isfinite(value)]
    excluded = tuple(sorted({*a.excluded, *b.excluded}))
    mean = None if a.mean is None or b.mean is None else b.mean - a.mean
    flat = _flat(x, x) and _flat(y, y)
    verdict = _PENDING
    if excluded:
        verdict = _unusable(excluded)
    elif min(a.n, b.n) < MINIMUM_SEEDS:
        verdict = _too_few(min(a.n, b.n))
    elif flat and _flat(x + y, x + y):
        verdict = Verdict(Kind.IDENTICAL, f"identical in every seed of both ({a.n} and {b.n})")
    elif flat:
        verdict = _no_spread(mean)
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
    return _settle([draft], alpha, higher_is_better)[0]


def regression(
    a: Values, b: Values, *, name: str = "", margin: float = MARGIN, alpha: float = 0.05, higher_is_better: bool = True
) -> Comparison:
    """Whether B is worse than A beyond noise: it is if, and only if, the verdict's kind is HURTS.

    Paired by seed where at least 3 seeds are common; otherwise Welch's test over all seeds of both.
    """
    common = len(set(a) & set(b))
    test = compare if common >= MINIMUM_SEEDS else compare_unpaired
    return test(a, b, name=name, margin=margin, alpha=alpha, higher_is_better=higher_is_better)


# --- factorial plans ---


def factorial_effects(
    cells: Mapping[frozenset[str], Values], *, margin: float = MARGIN, alpha: float = 0.05, higher_is_better: bool = True
) -> list[Effect]:
    """Main effects and pairwise interactions of a two-level factorial plan, with seeds as blocks.

    `cells` maps the set of active factors to that cell's value for each seed. Each seed yields one contrast for each effect,
    and the contrasts are tested over seeds as differences are, with Holm's adjustment over all effects. In a balanced plan
    the means equal the coefficients of a regression with a block for each seed and factors coded -1/2 and +1/2; the error
    differs on purpose: each effect has its own over seeds (n - 1 degrees of freedom), with no assumption that all cells
    scatter alike. Seeds that some cell lacks are left out of all effects and named in `unpaired`.

    A full plan works, and a fraction whose main effects and pairs are clear of each other (resolution V); interactions of
    three or more are then taken to be nil. Raises RequestError without factors or where cells are missing (it names them).
    """
    _check(margin, alpha)
    factors = sorted(set().union(*cells)) if cells else []
    if not factors:
        raise RequestError("factorial effects need cells with at least one factor; given: none")
    names: list[tuple[str, ...]] = [*((factor,) for factor in factors), *itertools.combinations(factors, 2)]
    order = sorted(cells, key=lambda cell: (len(cell), sorted(cell)))
    coded = np.array([[1.0 if factor in cell else -1.0 for factor in factors] for cell in order])
    columns = np.column_stack(
        [np.ones(len(order)), *(np.prod(coded[:, [factors.index(part) for part in name]], axis=1) for name in names)]
    )
    if not np.array_equal(columns.T @ columns, len(order) * np.eye(len(names) + 1)):
        full = [frozenset(c) for size in range(len(factors) + 1) for c in itertools.combinations(factors, size)]
        missing = ["+".join(sorted(cell)) or "(none active)" for cell in full if cell not in cells]
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        raise RequestError(
            f"the factorial plan of {', '.join(factors)} lacks cells: {shown}; "
            f"run them, or leave a factor out ({len(order)} of {len(full)} cells given)"
        )

    everywhere = set.intersection(*(set(cells[cell]) for cell in order))
    anywhere = set().union(*(cells[cell] for cell in order))
    numbers = {seed: [_number(cells[cell][seed]) for cell in order] for seed in sorted(everywhere)}
    excluded = tuple(seed for seed, row in numbers.items() if not all(math.isfinite(value) for value in row))
    seeds = tuple(seed for seed in numbers if seed not in excluded)
    unpaired = tuple(sorted(anywhere - everywhere))
    off = _mean([numbers[seed][order.index(frozenset())] for seed in seeds]) if frozenset() in cells else None

    drafts = []
    for index, name in enumerate(names, start=1):
        halves = 2.0 ** len(name)  # -1/2, +1/2 coding: a difference for one factor, a difference of differences for two
        weights = (columns[:, index] * halves / len(order)).tolist()
        contrasts = tuple(
            sum(weight * value for weight, value in zip(weights, numbers[seed], strict=True)) for seed in seeds
        )
        reach = [max(abs(value) for value in numbers[seed]) for seed in seeds]
        blank = Comparison(" x ".join(name), "paired", len(seeds), margin, _PENDING, seeds, contrasts)
        blank = replace(blank, unpaired=unpaired, excluded=excluded)
        drafts.append(_paired(blank, reach, off, higher_is_better))
    settled = _settle(drafts, alpha, higher_is_better, interactions={d.name for d in drafts[len(factors) :]})
    return [Effect(name, comparison) for name, comparison in zip(names, settled, strict=True)]


# --- inside ---


def _draft(name: str, baseline: Values, treated: Values, margin: float, higher_is_better: bool) -> Comparison:
    common = sorted(set(baseline) & set(treated))
    pairs = {seed: (_number(baseline[seed]), _number(treated[seed])) for seed in common}
    seeds = tuple(seed for seed in common if all(map(math.isfinite, pairs[seed])))
    blank = Comparison(
        name=name,
        method="paired",
        n=len(seeds),
        margin=margin,
        verdict=_PENDING,
        seeds=seeds,
        differences=tuple(pairs[seed][1] - pairs[seed][0] for seed in seeds),
        unpaired=tuple(sorted(set(baseline) ^ set(treated))),
        excluded=tuple(seed for seed in common if seed not in seeds),
        baseline=estimate({seed: pairs[seed][0] for seed in common}),
        treated=estimate({seed: pairs[seed][1] for seed in common}),
    )
    reach = [max(map(abs, pairs[seed])) for seed in seeds]
    return _paired(blank, reach, _mean([pairs[seed][0] for seed in seeds]), higher_is_better)


def _paired(blank: Comparison, reach: Sequence[float], baseline_mean: float | None, higher_is_better: bool) -> Comparison:
    """All that the differences say without their table. `reach` is the size of the numbers that were subtracted."""
    differences, n = blank.differences, blank.n
    mean = _mean(differences)
    flat = _flat(differences, reach)
    nil = all(abs(difference) <= _rounding(reach) for difference in differences)
    verdict = _PENDING
    if blank.excluded:
        verdict = _unusable(blank.excluded)
    elif n < MINIMUM_SEEDS:
        verdict = _too_few(n)
    elif nil:
        exact = "up to rounding" if any(differences) else "to the last bit"
        verdict = Verdict(Kind.IDENTICAL, f"identical in all {n} seeds, {exact}")
    elif flat:
        verdict = _no_spread(mean)
    draft = replace(blank, mean=mean, relative=_relative(mean, baseline_mean), verdict=verdict)
    if n >= 2:
        draft = replace(draft, sd=0.0) if flat or nil else _with_test(draft, paired_t(differences, blank.margin))
    if n == 0:
        return draft
    up, down = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    low, high = median_interval(differences)
    return replace(
        draft,
        better=up if higher_is_better else down,
        worse=down if higher_is_better else up,
        p_sign=_sign_test(up, down),
        median=float(np.median(differences)),
        median_low=low,
        median_high=high,
    )


def _with_test(draft: Comparison, test: TTest) -> Comparison:
    draft = replace(draft, sd=float(test.sd), low=float(test.low), high=float(test.high))
    if draft.verdict is not _PENDING:  # a table must not show a test of the seeds that survived, or of two of them
        return draft
    return replace(draft, p=float(test.p), p_equivalence=float(test.p_equivalence))


def _settle(
    drafts: Sequence[Comparison],
    alpha: float,
    higher_is_better: bool,
    interactions: Collection[str] = (),
) -> list[Comparison]:
    """Adjust over the table and give the verdicts."""
    if not drafts:
        return []
    adjusted = holm([1.0 if draft.p is None else draft.p for draft in drafts])
    equivalent = holm([1.0 if draft.p_equivalence is None else draft.p_equivalence for draft in drafts])
    settled = []
    for draft, p, q in zip(drafts, adjusted.tolist(), equivalent.tolist(), strict=True):
        if draft.p is None or draft.mean is None or draft.sd is None:
            settled.append(draft)
            continue
        words = _INTERACTION_WORDS if draft.name in interactions else _DIRECTION_WORDS
        verdict = _decide(
            draft,
            draft.mean,
            draft.sd,
            p,
            q,
            alpha=alpha,
            table=len(drafts),
            higher_is_better=higher_is_better,
            words=words,
        )
        settled.append(replace(draft, p_adjusted=p, p_equivalence_adjusted=q, verdict=verdict))
    return settled


def _decide(
    draft: Comparison,
    mean: float,
    sd: float,
    p: float,
    q: float,
    *,
    alpha: float,
    table: int,
    higher_is_better: bool,
    words: Mapping[Kind, str],
) -> Verdict:
    margin, n = draft.margin, draft.n
    if p <= alpha:
        kind = Kind.HELPS if (mean > 0) == higher_is_better else Kind.HURTS
        return Verdict(kind, words[kind] + (f", but by less than {margin:g}" if q <= alpha else ""))
    if q <= alpha:
        return Verdict(Kind.NO_DIFFERENCE, f"no difference beyond {margin:g}")

    arms: Literal[1, 2] = 1 if draft.method == "paired" else 2
    step = alpha / table  # the strictest step of Holm: enough wherever the comparison falls in the order
    total = seeds_needed(sd, margin, alpha=step, arms=arms)
    observed = _seeds_as_observed(mean, sd, margin, step, arms)
    seen = f"not enough seeds: {n}{' in the smaller arm' if arms == 2 else ''} seen; "
    whole = "in each arm" if arms == 2 else "in all"
    guess = f"the effect is what it looks like ({mean:+.3g})"
    if total is not None and total <= n:  # the plan is met, and the effect lies near the margin: go by what was seen
        if observed is None:
            return Verdict(Kind.NOT_ENOUGH, f"{seen}the effect is too near the margin of {margin:g} to settle")
        total = max(observed, n + 1)
        return Verdict(
            Kind.NOT_ENOUGH, f"{seen}about {total} {whole} ({total - n} more) would do if {guess}", total, total - n
        )
    if total is None:
        sentence = f"{seen}more than {MOST_SEEDS:,} would be needed to settle a difference of {margin:g}"
    else:
        sentence = f"{seen}about {total} {whole} ({total - n} more) would settle a difference of {margin:g}"
    fewer = observed is not None and n < observed < (total or MOST_SEEDS) and abs(mean) > margin
    if not fewer:
        return Verdict(Kind.NOT_ENOUGH, sentence, total, None if total is None else total - n)
    sentence += f"; about {observed} would do if {guess}"
    return Verdict(Kind.NOT_ENOUGH, sentence, total, None if total is None else total - n, observed)


def _check(margin: float, alpha: float) -> None:
    if not (math.isfinite(margin) and margin > 0):
        raise RequestError(
            f"the margin must be a positive number in units of the metric, such as {MARGIN:g}; given: {margin}"
        )
    if not 0 < alpha < 1:
        raise RequestError(f"alpha must lie between 0 and 1, such as 0.05; given: {alpha}")


def _too_few(n: int) -> Verdict:
    more = MINIMUM_SEEDS - n
    words = f"not enough seeds: {n} seen; at least {MINIMUM_SEEDS} are needed to judge the spread ({more} more)"
    return Verdict(Kind.NOT_ENOUGH, words, MINIMUM_SEEDS, more)


def _unusable(excluded: tuple[int, ...]) -> Verdict:
    which = f"seed{'s' if len(excluded) > 1 else ''} {', '.join(map(str, excluded))}"
    return Verdict(
        Kind.NO_VERDICT, f"no verdict: the value of {which} is missing or not finite, and leaving it out would mislead"
    )


def _no_spread(mean: float | None) -> Verdict:
    size = "the same amount" if mean is None else f"{mean:+.6g}"
    return Verdict(
        Kind.NO_VERDICT, f"no verdict: differs by {size} in every seed, without spread to test against (do seeds act?)"
    )


def _number(value: float | None) -> float:
    """A float; NaN for None, and infinite beyond HUGE."""
    if value is None:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RequestError(f"a metric must be one number for each seed; given: {value!r}") from None
    except OverflowError:
        return math.inf
    return math.copysign(math.inf, number) if abs(number) > HUGE else number


def _mean(values: Sequence[float]) -> float | None:
    """The mean, without overflow on the way; None without values."""
    if not values:
        return None
    scale = max(abs(value) for value in values)
    return math.fsum(value / scale for value in values) / len(values) * scale if scale else 0.0


def _relative(mean: float | None, baseline: float | None) -> float | None:
    if mean is None or not baseline:
        return None
    ratio = mean / abs(baseline)
    return ratio if math.isfinite(ratio) else None


def _rounding(reach: Sequence[float]) -> float:
    """Differences up to this much are rounding of numbers of the size `reach`."""
    return max(TINY, 32 * float(np.finfo(np.float64).eps) * max((abs(value) for value in reach), default=0.0))


def _flat(values: Sequence[float], reach: Sequence[float]) -> bool:
    """No spread, or none beyond rounding."""
    return not values or max(values) - min(values) <= _rounding(reach)


def _sign_test(up: int, down: int) -> float:
    """Two-sided p of the exact sign test, ties dropped; 1 where all are ties."""
    from scipy import stats

    return float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0


def median_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The narrowest pair of order statistics that covers the median with 95% or more, whatever the distribution."""
    from scipy import stats

    n, ordered = len(values), sorted(values)
    if n < DISTRIBUTION_FREE_SEEDS:
        return None, None
    rank = max(r for r in range(n // 2) if 2 * stats.binom.cdf(r, n, 0.5) <= 1 - CONFIDENCE)
    return ordered[rank], ordered[n - 1 - rank]
