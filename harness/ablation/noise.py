"""How much differences between arms scatter over seeds, as measured: what a plan can find is known before it runs.

`sd` is the standard deviation over seeds of the difference of two arms at the same seed, root mean square over arms, in the
metric's unit. A new measurement replaces the entry of its preset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

POWER = 0.8
"""The chance with which a plan should find what it is planned for."""
_MARGIN_SEEDS = 5
"""An sd of fewer seeds is too unsure to decide how large a difference must be."""


@dataclass(frozen=True)
class Noise:
    """One measured figure and where it is from."""

    sd: float
    seeds: int
    source: str


_CPU = "docs/results/2026-11-28-noise: ten arms against base, other training sequences among them, five seeds"
_EVENING = (
    "docs/results/2026-11-28-noise: base on other training sequences, three seeds of the preset's former 4,000 steps; arms "
    "that change the network scatter more"
)

NOISE: dict[str, dict[str, Noise]] = {
    "cpu": {
        "ssim": Noise(0.00298, 5, _CPU),
        "ssim_article": Noise(0.00195, 5, _CPU),
        "ssim_openstl": Noise(0.00228, 5, _CPU),
        "mse": Noise(0.182, 5, _CPU),
        "mae": Noise(0.236, 5, _CPU),
        "psnr": Noise(0.0359, 5, _CPU),
    },
    "evening": {
        "ssim": Noise(0.000804, 3, _EVENING),
        "ssim_article": Noise(0.000834, 3, _EVENING),
        "ssim_openstl": Noise(0.000903, 3, _EVENING),
        "mse": Noise(0.0599, 3, _EVENING),
        "mae": Noise(0.0755, 3, _EVENING),
        "psnr": Noise(0.0156, 3, _EVENING),
    },
}
"""Preset -> metric -> figure."""


def noise(preset: str, metric: str) -> Noise | None:
    """The figure of a preset and metric; None where nothing was measured."""
    return NOISE.get(preset, {}).get(metric)


def default_margin(preset: str, metric: str) -> tuple[float, str] | None:
    """The smallest difference of interest where none is given, and what it rests on: one sd of differences, to one digit.

    Without a figure of at least five seeds it is 0.005 for SSIM in any convention, and None for other metrics.

    >>> default_margin("cpu", "mse")[0]
    0.2
    """
    found = noise(preset, metric)
    if found is not None and found.seeds >= _MARGIN_SEEDS:
        margin = round(found.sd, -math.floor(math.log10(found.sd)))
        return margin, f"one sd of differences over {found.seeds} seeds at preset {preset} ({found.source})"
    if metric.startswith("ssim"):
        return 0.005, "the default for SSIM; no noise of five seeds was measured for this preset"
    return None


def power(effect: float, sd: float, n: int, *, alpha: float = 0.05, arms: Literal[1, 2] = 1) -> float:
    """The chance that the two-sided t test at `alpha` sees a true mean difference `effect` with `n` seeds, in [0, 1].

    One arm: paired, `sd` is that of the differences. Two arms: `n` seeds each, `sd` is that of one arm.
    """
    from scipy import stats

    if n < 2 or sd <= 0:
        return math.nan
    size = min(abs(effect) / sd, 50.0)  # beyond this the power is one and the noncentral t runs out of digits
    df, shift = (n - 1) * arms, size * math.sqrt(n / arms)
    critical = stats.t.isf(alpha / 2, df)
    other = float(stats.nct.cdf(-critical, df, shift))  # scipy has NaN for some tails below 1e-14
    return min(1.0, float(stats.nct.sf(critical, df, shift)) + (0.0 if math.isnan(other) else other))


@dataclass(frozen=True)
class Reach:
    """What a plan can find: `gain` with `POWER` after Holm's adjustment, in the metric's unit, and what it rests on.

    `seeds_for_margin`: with how many seeds it would find a gain of the margin; None: more than 1,000.
    """

    seeds: int
    comparisons: int
    gain: float
    seeds_for_margin: int | None
    sd: float
    source: str


def reach(found: Noise, seeds: int, comparisons: int, margin: float, alpha: float = 0.05) -> Reach | None:
    """What a plan of so many seeds and comparisons finds under this noise. None below two seeds, which find nothing.

    For the strictest of Holm's levels, alpha / comparisons: the gain is found whatever becomes of the other comparisons.
    """
    if seeds < 2 or comparisons < 1:
        return None
    level = alpha / comparisons
    low, high = 0.0, 50 * found.sd
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, found.sd, seeds, alpha=level) >= POWER else (middle, high)
    enough = (n for n in range(2, 1001) if power(margin, found.sd, n, alpha=level) >= POWER)
    return Reach(seeds, comparisons, high, next(enough, None), found.sd, found.source)
