"""The sequential rule over the arms of a plan: at each look, which arms help, hurt or are equivalent, and which need more seeds.

The same code decides one plan and the thousands of plans of `benchmarks/sequential_simulation.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.ablation.sequential import Array, level, sequential_p

OPEN, ABOVE, BELOW, EQUIVALENT, FAILED = range(5)


@dataclass(frozen=True)
class Looked:
    """Where arms stand after a look, as arrays (..., arms). A decided arm keeps what its last look found, a failed one the
    figures of the look before.

    `kind` is OPEN, EQUIVALENT (within the margin, whichever sign it has), ABOVE (the mean difference is above 0), BELOW or FAILED;
    where one look shows both, EQUIVALENT comes first, as in tables of a fixed number of seeds. `seeds` is the look at which the
    figures were found. `p` and `q` are Holm-adjusted and valid over all looks, for a difference and for equivalence. `low` and
    `high` are the repeated interval at the level of the arm's Holm step: it excludes 0 if, and only if, p is at most alpha.
    `low_alone` and `high_alone` are at 95%, for the arm alone.
    """

    kind: npt.NDArray[np.int8]
    seeds: npt.NDArray[np.int64]
    mean: Array
    low: Array
    high: Array
    low_alone: Array
    high_alone: Array
    p: Array
    q: Array


def start(shape: tuple[int, ...]) -> Looked:
    """Before the first look; `shape` is (..., arms)."""
    unknown = np.full(shape, np.nan)
    return Looked(np.full(shape, OPEN, np.int8), np.zeros(shape, np.int64), *[unknown] * 5, *[np.ones(shape)] * 2)


def look(
    before: Looked, differences: Array, at: tuple[int, ...], margin: float, alpha: float, size: npt.ArrayLike = 0
) -> Looked:
    """Takes the look after `n` seeds of `differences` (..., arms, n), arm minus reference; NaN where either run failed.

    An open arm with a failed seed is FAILED: to leave the seed out would judge the arm by the seeds that it survived. Every arm
    stays in both families, that of differences and that of equivalence, each of level alpha, whatever became of it.

    Args:
        at: all looks of the plan.
        margin: the smallest difference of interest, in the metric's unit.
        size: of the numbers that were subtracted, (..., arms): differences within their rounding count as none.
    """
    from scipy import stats

    n, arms = differences.shape[-1], differences.shape[-2]
    failed = np.asarray(~np.isfinite(differences).all(axis=-1))
    values = np.where(failed[..., None], 0.0, differences)
    mean, sd = values.mean(axis=-1), values.std(axis=-1, ddof=1)
    rounding = np.maximum(32 * np.finfo(np.float64).eps * np.asarray(size), 1e-150)
    flat, nil = sd <= rounding, np.max(np.abs(values), axis=-1) <= rounding
    error = np.where(flat, np.inf, sd) / np.sqrt(n)
    p = 2 * stats.t.sf(np.abs(mean) / error, n - 1)
    q = np.where(flat, np.where(nil, 0.0, 1.0), stats.t.sf((margin - np.abs(mean)) / error, n - 1))
    tested = (before.kind == OPEN) & ~failed
    whole = np.where(tested, sequential_p(p, n, at, 2), np.where(before.p <= alpha, 0.0, 1.0))  # a rejection stays one
    adjusted = holm(whole)
    equivalent = holm(np.where(tested, sequential_p(q, n, at, 1), np.where(before.q <= alpha, 0.0, 1.0)))
    kind = np.where(tested & (adjusted <= alpha), np.where(mean > 0, ABOVE, BELOW), before.kind)
    kind = np.where(tested & (equivalent <= alpha), EQUIVALENT, kind)
    kind = np.where((before.kind == OPEN) & failed, FAILED, kind)

    place = np.argsort(np.argsort(whole, axis=-1, kind="stable"), axis=-1, kind="stable")
    rejected = np.sum(adjusted <= alpha, axis=-1, keepdims=True)
    steps = arms - np.minimum(place, np.minimum(rejected, arms - 1))
    levels = np.array([level(alpha / step, n, at) for step in range(1, arms + 1)])
    spread = np.where(flat, 0.0, error)
    width, alone = (stats.t.isf(one / 2, n - 1) * spread for one in (levels[steps - 1], levels[0]))
    found = (n, mean, mean - width, mean + width, mean - alone, mean + alone, adjusted, equivalent)
    names = ("seeds", "mean", "low", "high", "low_alone", "high_alone", "p", "q")
    kept = {name: np.where(tested, new, getattr(before, name)) for name, new in zip(names, found, strict=True)}
    return Looked(kind=kind.astype(np.int8), **kept)


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
