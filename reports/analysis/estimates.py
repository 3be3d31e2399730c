"""One sample over seeds: its mean with a 95% t interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reports.analysis.ttests import as_float, is_flat, mean_of, paired_t

Values = Mapping[int, float | None]
"""Seed -> one number. None, NaN and infinities are accepted and stand for a run that gave no usable number."""


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


def estimate(values: Values | Sequence[float | None]) -> Estimate:
    """The mean of one number per seed with its 95% t interval. A sequence counts as seeds 0, 1, 2, ...

    Raises RequestError for a value that is not a number at all.
    """
    given = values if isinstance(values, Mapping) else dict(enumerate(values))
    seeds = tuple(sorted(given))
    return _estimate(seeds, tuple(as_float(given[seed]) for seed in seeds))


@lru_cache(4096)  # the reference's is asked for beside each arm
def _estimate(seeds: tuple[int, ...], numbers: tuple[float, ...]) -> Estimate:
    finite = [number for number in numbers if math.isfinite(number)]
    sd = low = high = None
    if len(finite) >= 2:
        if is_flat(finite, finite):
            sd = 0.0
        else:
            test = paired_t(finite, 1.0)
            sd, low, high = float(test.sd), float(test.low), float(test.high)
    excluded = tuple(seed for seed, number in zip(seeds, numbers, strict=True) if not math.isfinite(number))
    return Estimate(seeds, numbers, len(finite), mean_of(finite), sd, low, high, excluded)
