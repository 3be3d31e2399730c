"""As many seeds as needed: looks after preset numbers of seeds, and boundaries for the t test that hold over all of them.

Group-sequential: at a look after n seeds the nominal p of the t test is held to a level proportional to sqrt(n / most), so that
early looks spend little. The null distribution of the whole sequence of looks is computed, not simulated: with
s = sum(x) / sqrt(sum(x**2)) of n independent normal numbers, t is a function of s, and one number more leads to
s' = sqrt(1 - v**2) s + v, where v is independent of s and v**2 ~ Beta(1/2, n/2). One numerical integration a look therefore gives
the chance that any look crosses, as Armitage, McPherson & Rowe 1969 (J. R. Stat. Soc. A 132) do for a known variance.

A look's p value is the least level whose boundary it crosses (Liu & Anderson 2008, J. Am. Stat. Assoc. 103): it holds at any look,
whatever made the experiment stop, and Holm's steps over it are the group-sequential Holm procedure (Ye et al. 2013, Stat. Med. 32;
Maurer & Bretz 2013, Stat. Biopharm. Res. 5). The interval at a look is the repeated confidence interval (Jennison & Turnbull 1989,
J. R. Stat. Soc. B 51). `benchmarks/sequential_simulation.py` measures all of it, beside anytime-valid e-processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import RequestError

Array = npt.NDArray[np.float64]
Sides = Literal[1, 2]

LOOKS = (4, 6, 9, 13, 20, 30, 45, 68, 100)
"""After how many seeds to look; a plan looks at those that are two or more below its largest number, and there."""
FEWEST, MOST = LOOKS[0], LOOKS[-1]
EXPONENT = 0.5
"""Nominal levels grow as n**EXPONENT."""
_NODES, _STATES, _GRID = 12, 81, 17
_LEAST = 1e-4


def looks(most: int) -> tuple[int, ...]:
    """The numbers of seeds after which a plan of at most `most` seeds looks.

    >>> looks(30)
    (4, 6, 9, 13, 20, 30)
    """
    if not FEWEST <= most <= MOST:
        raise RequestError(f"--max-seeds {most}; give {FEWEST} to {MOST}, such as 30")
    return (*(one for one in LOOKS if one < most - 1), most)


def weights(at: tuple[int, ...]) -> Array:
    """How the looks' nominal levels compare, 1 at the last."""
    found: Array = (np.asarray(at, dtype=np.float64) / at[-1]) ** EXPONENT
    return found


def sequential_p(p: npt.ArrayLike, look: int, at: tuple[int, ...], sides: Sides = 2) -> Array:
    """The p value, valid over all looks, of a t test with the nominal p (in [0, 1]) at the look after `look` seeds.

    Args:
        p: of any shape.
        at: all looks of the plan.
        sides: of the test.
    """
    scale, chance = _table(at, sides)
    u = np.asarray(p, dtype=np.float64) / weights(at)[at.index(look)]
    found = np.exp(np.interp(np.log(np.maximum(u, _LEAST)), scale, chance))
    return np.asarray(np.where(u < _LEAST, np.minimum(u * weights(at).sum(), found), found))


def level(alpha: float, look: int, at: tuple[int, ...], sides: Sides = 2) -> float:
    """The nominal level at the look after `look` seeds, if all looks together are to err with the chance `alpha`."""
    scale, chance = _table(at, sides)
    least = alpha / weights(at).sum()
    u = float(np.exp(np.interp(math.log(alpha), chance, scale)))
    return (u if least >= _LEAST else least) * float(weights(at)[at.index(look)])


def reach(at: tuple[int, ...], comparisons: int, power: float, alpha: float = 0.05) -> tuple[float, float]:
    """The gain, in sd of the differences, that a plan finds with this power, and the seeds that it takes on average to stop there.

    For the strictest of Holm's levels, alpha / comparisons; from 4,000 simulated sequences of normal differences.
    """
    from scipy import stats

    drawn = np.random.default_rng(0).standard_normal((4000, at[-1]))
    levels = [level(alpha / comparisons, n, at) for n in at]

    def crossed(gain: float) -> npt.NDArray[np.bool_]:
        """By sequence and look."""
        parts = [drawn[:, :n] + gain for n in at]
        t = [np.abs(one.mean(axis=1) / one.std(axis=1, ddof=1)) * math.sqrt(one.shape[1]) for one in parts]
        return np.stack([one > stats.t.isf(p / 2, n - 1) for one, p, n in zip(t, levels, at, strict=True)], axis=1)

    low, high = 0.0, 50.0
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if crossed(middle).any(axis=1).mean() >= power else (middle, high)
    found = crossed(high)
    stopped = np.where(found.any(axis=1), np.asarray(at)[found.argmax(axis=1)], at[-1])
    return high, float(stopped.mean())


@lru_cache(maxsize=32)
def _table(at: tuple[int, ...], sides: Sides) -> tuple[Array, Array]:
    """Logarithms of scales u and of the chance that any look's nominal p falls below u times its weight.

    Below the first scale Bonferroni's bound over the looks serves: so far out, looks hardly ever cross together.
    """
    from scipy.interpolate import CubicSpline

    scale = np.linspace(math.log(_LEAST), 0.0, _GRID)
    chances = [crossing(tuple((math.exp(u) * weights(at)).tolist()), at, sides) for u in scale]
    bonferroni = np.exp(scale) * weights(at).sum()
    fine = np.linspace(scale[0], scale[-1], 2001)
    return fine, np.asarray(CubicSpline(scale, np.log(np.minimum(chances, bonferroni)))(fine), dtype=np.float64)


def crossing(levels: tuple[float, ...], at: tuple[int, ...], sides: Sides = 2) -> float:
    """The chance, in [0, 1], that the t test of normal numbers of mean 0 has p below `levels` at any of the looks `at`."""
    from scipy.interpolate import CubicSpline

    if max(levels) >= 1:
        return 1.0
    bounds = [_bound(one, n, sides) for n, one in zip(at, levels, strict=True)]
    later = None  # the chance to cross at a look after this one, by s
    for j in range(len(at) - 2, -1, -1):
        s = np.linspace(-bounds[j] if sides == 2 else -math.sqrt(at[j]), bounds[j], _STATES)
        later = CubicSpline(s, _next(s, at[j], at[j + 1] - at[j], bounds[j + 1], sides, later))
    if later is None:
        return levels[0]
    first = at[0]
    ends = np.arcsin(np.array([later.x[0], later.x[-1]]) / math.sqrt(first))
    angles, sizes = _nodes(ends[:1], ends[1:], 4 * _NODES)
    density = np.cos(angles) ** (first - 2) * _inverse_beta(1, first - 1)
    return min(1.0, levels[0] + float(np.sum(sizes * density * later(math.sqrt(first) * np.sin(angles)))))


def _bound(level: float, n: int, sides: Sides) -> float:
    """The boundary of s after n seeds at a nominal level of t."""
    from scipy import stats

    t = float(stats.t.isf(level / sides, n - 1))
    return t * math.sqrt(n / (n - 1 + t * t))


def _next(s: Array, n: int, m: int, bound: float, sides: Sides, later: Callable[[Array], Array] | None) -> Array:
    """The chance to cross from s after n seeds, m > 1 seeds later or at a look after that (`later`).

    s' = cos(a) s + sin(a) z, where sin(a)**2 ~ Beta(m/2, n/2), and z is the s of the m new seeds alone.
    """
    from scipy import stats

    share = stats.beta(m / 2, n / 2)
    start, end = (float(np.arcsin(np.sqrt(one))) for one in (share.ppf(1e-12), share.isf(1e-12)))
    most = math.sqrt(m)
    # The integrand has kinks where a boundary meets the largest or the least z.
    kinks = [np.full_like(s, start), np.full_like(s, end)]
    for z in (most, -most):
        for edge in (bound, -bound)[:sides]:
            width = np.arccos(np.clip(edge / np.sqrt(s**2 + m), -1, 1))
            kinks += [np.arctan2(z, s) - width, np.arctan2(z, s) + width]
    edges = np.sort(np.clip(np.stack(kinks, axis=-1), start, end), axis=-1)
    angles, sizes = _nodes(edges[:, :-1], edges[:, 1:], _NODES)
    angles, sizes = angles.reshape(len(s), -1), sizes.reshape(len(s), -1)
    chances = sizes * 2 * np.sin(angles) ** (m - 1) * np.cos(angles) ** (n - 1) * _inverse_beta(m, n)
    old, new = np.cos(angles) * s[:, None], np.sin(angles)
    high = (bound - old) / new
    low = (-bound - old) / new if sides == 2 else np.full_like(high, -np.inf)
    low, high = (np.arcsin(np.clip(one / most, -1, 1)) for one in (low, high))
    found = 1 - _below(high, m) + _below(low, m)
    if later is not None:
        turns, widths = _nodes(low, high, _NODES)
        inside = widths * np.cos(turns) ** (m - 2) * _inverse_beta(1, m - 1)
        found = found + np.sum(inside * later(old[..., None] + new[..., None] * most * np.sin(turns)), axis=-1)
    return np.asarray(np.sum(chances * found, axis=1))


def _below(angle: Array, m: int) -> Array:
    """The chance that m numbers' s is below sqrt(m) sin(angle), m > 1."""
    from scipy.special import betainc

    half = 0.5 * betainc(0.5, (m - 1) / 2, np.sin(angle) ** 2)
    return np.asarray(0.5 + np.sign(angle) * half)


def _inverse_beta(a: int, b: int) -> float:
    """1 / B(a/2, b/2)."""
    from scipy.special import betaln

    return math.exp(-betaln(a / 2, b / 2))


def _nodes(a: Array, b: Array, count: int) -> tuple[Array, Array]:
    """Gauss-Legendre points and weights between a and b, along a new last axis."""
    points, sizes = np.polynomial.legendre.leggauss(count)
    half = (b - a)[..., None] / 2
    return a[..., None] + half * (1 + points), half * sizes
