"""The statistics of a judged table: arms against the reference by one metric, and ratios of costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import RequestError
from reports.analysis.comparisons import MARGIN, Comparison, Estimate, as_float, estimate, regression, settle
from reports.analysis.comparisons import compare_unpaired as unpaired
from reports.judging.columns import Runs

ALPHA = 0.05
SHARE = 0.01
"""The margin where none is given, but for SSIM: this share of the reference's mean."""


@dataclass(frozen=True)
class Judged:
    """Every arm against the reference: one metric's comparisons, Holm-adjusted over them."""

    metric: str
    higher_is_better: bool
    margin: float
    comparisons: tuple[Comparison, ...]


def compared(runs: Runs, metric: str, margin: float | None) -> Judged:
    """All arms against the reference by one metric, in one Holm family. Failed arms stay in it."""
    values = runs.values(metric)
    base, better = values[runs.reference], runs.higher_is_better[metric]
    used = _margin(metric, base, runs.reference) if margin is None else margin
    test = regression if runs.paired else unpaired  # paired where seeds are common
    drafts = [test(base, values[arm], name=arm, margin=used, alpha=ALPHA, higher_is_better=better) for arm in runs.arms[1:]]
    return Judged(metric, better, used, tuple(settle(drafts, ALPHA, better)))


def _margin(metric: str, base: Mapping[int, float], reference: str) -> float:
    mean = estimate(base).mean
    if mean is None:
        raise RequestError(f"{reference!r} has no finite {metric!r} in any run, so nothing can be compared with it")
    if "ssim" in metric.lower():
        return MARGIN
    share = float(f"{abs(mean) * SHARE:.2g}")
    if not share > 0:
        raise RequestError(
            f"the mean {metric!r} of {reference!r} is 0, so no margin can be derived from it; name one with --margin"
        )
    return share


def cost_ratios(runs: Runs, cost: str) -> dict[str, Estimate]:
    """Arm -> log of its cost over the reference's, with the 95% interval: over common seeds, else over the arms' means."""
    values = runs.values(cost)
    base = values[runs.reference]
    found = {}
    for arm in runs.arms[1:]:
        own = values[arm]
        both = sorted(set(base) & set(own)) if runs.paired else []
        logs = {seed: math.log(own[seed] / base[seed]) for seed in both if _positive(own[seed]) and _positive(base[seed])}
        if not logs:
            means = [estimate({seed: value for seed, value in one.items() if _positive(value)}).mean for one in (own, base)]
            logs = {} if None in means else {0: math.log(means[0] / means[1])}  # type: ignore[operator]
        found[arm] = estimate(logs)
    return found


def _positive(value: float) -> bool:
    return math.isfinite(as_float(value)) and value > 0
