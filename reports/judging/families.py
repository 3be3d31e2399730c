"""The statistics of a judged table: arms against the reference by one metric, and ratios of costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.ablation.plan import TESTS
from harness.errors import RequestError
from harness.store.identity import key_of
from reports.analysis.comparisons import MARGIN, Comparison, regression, settle
from reports.analysis.comparisons import compare_unpaired as unpaired
from reports.analysis.costs import Ratio
from reports.analysis.estimates import estimate
from reports.analysis.ttests import as_float
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
    margin_from: str
    comparisons: tuple[Comparison, ...]


def compared(runs: Runs, metric: str, margin: float | None, test: str = "t") -> Judged:
    """All arms against the reference by one metric, in one Holm family. Failed arms stay in it. `test` is one of `TESTS`."""
    values = runs.values(metric)
    base, better = values[runs.reference], runs.higher_is_better[metric]
    used, source = _margin(metric, base, runs.reference) if margin is None else (margin, "given")
    judge = partial(regression, test=test) if runs.paired else unpaired  # paired where seeds are common
    drafts = [judge(base, values[arm], name=arm, margin=used, alpha=ALPHA, higher_is_better=better) for arm in runs.arms[1:]]
    return Judged(metric, better, used, source, tuple(settle(drafts, ALPHA, better)))


def check_test(runs: Runs, test: str) -> None:
    """Raises RequestError for an unknown test, and for one that pairs runs where nothing pairs them."""
    if test not in TESTS:
        raise RequestError(f"--test {test}; choose {', '.join(TESTS)}")
    if test != "t" and not runs.paired:
        raise RequestError(
            f"--test {test} pairs runs by seed, and here no arm shares 3 seeds with {runs.reference!r}; name the column of seeds "
            "with --seed, or leave --test out for Welch's test"
        )


def plan(runs: Runs, judged: Sequence[Judged], test: str = "t") -> dict[str, Any]:
    """What the verdicts answer, with its digest. No result is in it but a margin that was derived from the reference's mean."""
    first, *others = judged
    arms = runs.arms[1:]
    way = "higher" if first.higher_is_better else "lower"
    asked = {
        "question": f"Which of {', '.join(arms)} makes {first.metric} ({way} is better) better than {runs.reference} by "
        f"{first.margin:g}?",
        "contrasts": [{"name": arm, "treated": arm, "reference": runs.reference} for arm in arms],
        "metric": first.metric,
        "higher_is_better": first.higher_is_better,
        "margin": first.margin,
        "margin_from": first.margin_from,
        "secondary": [one.metric for one in others],
        "seeds": int(runs.frame["seed"].nunique()),
        "alpha": ALPHA,
        "adjustment": "Holm",
        "test": TESTS[test] if runs.paired else "Welch's t",
    }
    return asked | {"digest": key_of(asked)}


def _margin(metric: str, base: Mapping[int, float], reference: str) -> tuple[float, str]:
    """The default margin, and what it rests on."""
    mean = estimate(base).mean
    if mean is None:
        raise RequestError(f"{reference!r} has no finite {metric!r} in any run, so nothing can be compared with it")
    if "ssim" in metric.lower():
        return MARGIN, "default for SSIM"
    share = float(f"{abs(mean) * SHARE:.2g}")
    if not share > 0:
        raise RequestError(
            f"the mean {metric!r} of {reference!r} is 0, so no margin can be derived from it; name one with --margin"
        )
    return share, f"default: {SHARE:.0%} of the reference's mean"


def cost_ratios(runs: Runs) -> dict[str, dict[str, Ratio]]:
    """Arm -> cost -> its ratio to the reference's: over common seeds, else of the arms' means."""
    found = {arm: {cost: _ratio(runs, cost, arm) for cost in runs.costs} for arm in runs.arms[1:]}
    return {arm: {cost: one for cost, one in by_cost.items() if one is not None} for arm, by_cost in found.items()}


def _ratio(runs: Runs, cost: str, arm: str) -> Ratio | None:
    values = runs.values(cost)
    base, own = values[runs.reference], values[arm]
    both = sorted(set(base) & set(own)) if runs.paired else []
    logs = {seed: math.log(own[seed] / base[seed]) for seed in both if _positive(own[seed]) and _positive(base[seed])}
    if not logs:
        means = [estimate({seed: value for seed, value in one.items() if _positive(value)}).mean for one in (own, base)]
        logs = {} if None in means else {0: math.log(means[0] / means[1])}  # type: ignore[operator]
    return Ratio.of(estimate(logs))


def _positive(value: float) -> bool:
    return math.isfinite(as_float(value)) and value > 0
