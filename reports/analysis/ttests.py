"""The tests, over the last axis of arrays: what a report runs on one row, the simulation runs on thousands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.ablation.rule import holm as holm  # one for the rule of seeds and for tables
from harness.errors import RequestError

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
DISTRIBUTION_FREE_SEEDS = 6
"""The fewest seeds from which the sign test can reach 5% and an interval for the median 95% (2 / 2**6 = 3.1%)."""
HUGE, TINY = 1e150, 1e-150
"""A number beyond the first counts as infinite (its square overflows), a difference below the second as rounding."""


class TTest(NamedTuple):
    """Results along the last axis: mean, its 95% interval, two-sided p for no difference, and p for equivalence (TOST).

    `error` is the mean's standard error and `df` its degrees of freedom: see `t_interval`.
    """

    mean: Array
    sd: Array
    low: Array
    high: Array
    p: Array
    p_equivalence: Array
    error: Array
    df: Array


def paired_t(differences: npt.ArrayLike, margin: float) -> TTest:
    """Student's t over differences of shape (..., n), n >= 2, which must be finite and spread; equivalence at +-margin."""
    # By its formula: stats.ttest_1samp does much more than this, and a large report would wait for it.
    from scipy.special import stdtr, stdtrit

    raw = np.asarray(differences, dtype=np.float64)
    scale = float(np.max(np.abs(raw)))  # keeps squares of huge or tiny numbers in range; t does not depend on it
    scaled, bound, df = raw / scale, margin / scale, raw.shape[-1] - 1
    mean, sd = scaled.mean(axis=-1), scaled.std(axis=-1, ddof=1)
    error = sd / math.sqrt(raw.shape[-1])
    reach = stdtrit(df, (1 + CONFIDENCE) / 2) * error
    equivalence = np.maximum(stdtr(df, -(mean + bound) / error), stdtr(df, (mean - bound) / error))
    return _result(
        scale, mean, sd, (mean - reach, mean + reach), 2 * stdtr(df, -np.abs(mean / error)), equivalence, error, df
    )


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
    parts = [one.var(axis=-1, ddof=1) for one in (a, b)]
    sd = np.sqrt((parts[0] + parts[1]) / 2)
    error = np.sqrt(parts[0] / a.shape[-1] + parts[1] / b.shape[-1])
    bounds = (interval.low, interval.high)
    return _result(scale, mean, sd, bounds, test.pvalue, np.maximum(above, below), error, test.df)


def _result(
    scale: float,
    mean: Array,
    sd: Array,
    interval: tuple[Any, Any],
    p: npt.ArrayLike,
    equivalence: npt.ArrayLike,
    error: Array,
    df: Any,
) -> TTest:
    """The results in the unit of the samples, which were divided by `scale`."""

    def plain(value: Any, unit: float = 1.0) -> Array:
        return np.asarray(np.asarray(value, dtype=np.float64) * unit)

    low, high = (plain(one, scale) for one in interval)
    return TTest(
        plain(mean, scale), plain(sd, scale), low, high, plain(p), plain(equivalence), plain(error, scale), plain(df)
    )


def t_interval(mean: float, error: float, df: float, level: float) -> tuple[float, float]:
    """The two-sided t interval that misses the mean with the chance `level`, such as 0.05."""
    from scipy import stats

    reach = float(stats.t.isf(level / 2, df)) * error
    return mean - reach, mean + reach


def holm_levels(p: npt.ArrayLike, alpha: float) -> Array:
    """The level at which Holm tests each of (..., comparisons): alpha over the count of those not rejected before it.

    An interval at this level excludes 0 if, and only if, Holm's adjusted p is at most alpha.
    """
    adjusted = holm(p)
    count = adjusted.shape[-1]
    order = np.argsort(np.asarray(p, dtype=np.float64), axis=-1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(count), order.shape), axis=-1)
    rejected = np.sum(adjusted <= alpha, axis=-1, keepdims=True)
    return np.asarray(alpha / (count - np.minimum(place, np.minimum(rejected, count - 1))))


@cache
def sign_test(up: int, down: int) -> float:
    """Two-sided p of the exact sign test, ties dropped; 1 where all are ties."""
    from scipy import stats

    return float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0


def median_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The narrowest pair of order statistics that covers the median with 95% or more, whatever the distribution."""
    n, ordered = len(values), sorted(values)
    if n < DISTRIBUTION_FREE_SEEDS:
        return None, None
    return ordered[_rank(n)], ordered[n - 1 - _rank(n)]


@cache
def _rank(n: int) -> int:
    """Of the lower of the two order statistics of n."""
    from scipy import stats

    return max(r for r in range(n // 2) if 2 * stats.binom.cdf(r, n, 0.5) <= 1 - CONFIDENCE)


def mean_of(values: Sequence[float]) -> float | None:
    """The mean, without overflow on the way; None without values."""
    if not values:
        return None
    scale = max(abs(value) for value in values)
    return math.fsum(value / scale for value in values) / len(values) * scale if scale else 0.0


def rounding(reach: Sequence[float]) -> float:
    """Differences up to this much are rounding of numbers of the size `reach`."""
    return max(TINY, 32 * float(np.finfo(np.float64).eps) * max((abs(value) for value in reach), default=0.0))


def is_flat(values: Sequence[float], reach: Sequence[float]) -> bool:
    """No spread, or none beyond rounding."""
    return not values or max(values) - min(values) <= rounding(reach)


def as_float(value: float | None) -> float:
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
