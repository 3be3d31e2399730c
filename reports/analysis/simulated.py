"""What a table of comparisons can promise: tables with a known truth, drawn at its own size and judged by its own procedure.

A table is a reference and `arms` that share it, over `seeds`; all noise has mean 0, and a difference of two runs has standard
deviation 1 where nothing is said of it. The kinds of noise:

    normal             Gaussian
    heavy tails        Student t with 3 degrees of freedom
    unequal variances  arms' sd from 0.2 to 5 times the reference's
    collapse           each run, the reference's too, falls by 30 of its sd with 3%
    arms collapse      only arms do, and are that much better otherwise: the means are equal, nearly no seed shows it (no promise)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from reports.analysis import signed_rank
from reports.analysis.ttests import Array, holm

ALPHA, MARGIN = 0.05, 1.0
"""The margin of equivalence is one sd of a difference."""
COLLAPSES, DEPTH = 0.03, 30.0
PROMISED = ("normal", "heavy tails", "unequal variances", "collapse")
OUTSIDE = "arms collapse"
TABLES, MOST_NUMBERS = 4000, 1_000_000
"""Tables for a figure, and runs in all of them: larger tables are fewer, so that a report waits for a part of a second."""


class Rates(NamedTuple):
    """Shares, in [0, 1], of tables: after Holm's steps over all of its arms.

    False: any claim of a difference where none is (as often the joint intervals do not all hold the truth, whatever that is);
    any claim of equivalence where all arms lie at the margin. Power: an effect in the first arm alone, of one and of two sd of
    its differences, is found with its sign.
    """

    false_difference: float
    false_equivalence: float
    power_1sd: float
    power_2sd: float


def noise(kind: str, shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[Array, Array]:
    """Differences (tables, arms, seeds) of arms without effect, and the sd of each arm's differences but for collapses (arms,)."""
    tables, arms, seeds = shape
    drawn = (tables, arms + 1, seeds)
    runs = rng.standard_t(3, drawn) / np.sqrt(3) if kind == "heavy tails" else rng.standard_normal(drawn)
    spreads = np.geomspace(0.2, 5.0, arms) if kind == "unequal variances" else np.ones(arms)
    runs[:, 1:] *= spreads[:, None]
    if kind in ("collapse", OUTSIDE):
        falls = rng.random(drawn) < COLLAPSES
        if kind == OUTSIDE:
            falls[:, 0] = False
            runs[:, 1:] += DEPTH * COLLAPSES
        runs -= DEPTH * falls
    return (runs[:, 1:] - runs[:, :1]) / np.sqrt(2), np.sqrt((1 + spreads**2) / 2)


def p_values(differences: Array, test: str, margin: float = 0.0) -> tuple[Array, Array, Array]:
    """Two-sided p, p of equivalence within `margin`, and the sign of the effect, over the last axis."""
    from scipy import stats

    n = differences.shape[-1]
    if test == "signed-rank":
        tail = signed_rank.upper_tail(n)

        def above(values: Array) -> Array:
            ranks = np.argsort(np.argsort(np.abs(values), axis=-1), axis=-1) + 1
            return np.asarray(tail[np.sum(ranks * (values > 0), axis=-1)])

        up, down = above(differences), above(-differences)
        within = np.maximum(above(differences + margin), above(margin - differences))
        return np.minimum(1.0, 2 * np.minimum(up, down)), within, np.sign(down - up)
    mean, error = differences.mean(axis=-1), differences.std(axis=-1, ddof=1) / np.sqrt(n)
    two = 2 * stats.t.sf(np.abs(mean) / error, n - 1)
    return np.asarray(two), np.asarray(stats.t.sf((margin - np.abs(mean)) / error, n - 1)), np.sign(mean)


def count_tables(seeds: int, arms: int) -> int:
    """How many tables of this size are drawn where none is told."""
    return max(200, min(TABLES, MOST_NUMBERS // (seeds * (arms + 1))))


@lru_cache(maxsize=256)
def rates(kind: str, seeds: int, arms: int, test: str = "t", tables: int | None = None, seed: int = 0) -> Rates:
    """The rates of a kind of noise, from `tables` drawn with a generator of this seed; the same arguments give the same."""
    count = tables or count_tables(seeds, arms)
    rng = np.random.default_rng([seed, seeds, arms, [*PROMISED, OUTSIDE].index(kind)])
    drawn, sd = noise(kind, (count, arms, seeds), rng)
    null, _, _ = p_values(drawn, test)
    _, edge, _ = p_values(drawn + MARGIN, test, MARGIN)
    found = []
    for effect in (1.0, 2.0):
        p, _, sign = p_values(drawn[:, 0] + effect * sd[0], test)
        table = np.concatenate([p[:, None], null[:, 1:]], axis=1)
        found.append(float(np.mean((holm(table)[:, 0] <= ALPHA) & (sign > 0))))
    false = (float(np.mean((holm(one) <= ALPHA).any(axis=1))) for one in (null, edge))
    return Rates(*false, *found)
