"""`--seeds auto`: which arms of a plan are decided and which need more seeds, from the plan and its results alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.ablation import rule as rules
from harness.ablation.noise import default_margin
from harness.ablation.sequential import Array, looks
from harness.errors import RequestError
from harness.evaluation.conventions import HEADLINE, METRICS, metric_named

if TYPE_CHECKING:
    from harness.evaluation.metrics import Metric

Values = Mapping[int, float | None]
"""Seed -> the metric; None or NaN where the run failed. A seed that is not there has not run yet."""
MOST_SEEDS, MARGIN = 30, 0.005
VERDICTS = {rules.OPEN: "undecided", rules.EQUIVALENT: "equivalent", rules.FAILED: "failed"}


@dataclass(frozen=True, kw_only=True)
class SeedRule:
    """Looks after preset numbers of seeds, of which the last is `most`; see `harness.ablation.sequential`.

    Args:
        margin: the smallest difference of interest, in the metric's unit.
        alpha: family-wise error of claims of a difference, and of claims of equivalence.
    """

    most: int = MOST_SEEDS
    margin: float = MARGIN
    metric: str = HEADLINE
    higher_is_better: bool = True
    alpha: float = 0.05

    def __post_init__(self) -> None:
        looks(self.most)
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise RequestError(f"--margin {self.margin}; give a positive number in units of the metric, such as {MARGIN:g}")

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of seeds after which to look."""
        return looks(self.most)

    def record(self) -> dict[str, Any]:
        """Plain values for the plan's record; `SeedRule.of` reads them."""
        return asdict(self) | {"looks": list(self.looks)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> SeedRule:
        """The rule of a plan's record. Raises KeyError, TypeError or RequestError for another program's."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Decision:
    """What is known of an arm: helps, hurts, equivalent, failed, or undecided so far.

    Args:
        seeds: the last look that judged it, and at which it stopped unless it is undecided; 0 before the first.
        most: the last look of the plan.
        difference: the mean over those seeds of arm minus reference, in the metric's unit; None before the first look.
        low: with `high`, the 95% interval, adjusted for looks and arms: the one that the verdict rests on.
        low_alone: with `high_alone`, the 95% interval adjusted for the looks alone.
        p: Holm-adjusted, valid at any look; `p_equivalence` likewise.
    """

    arm: str
    verdict: str
    seeds: int
    most: int
    difference: float | None
    low: float | None
    high: float | None
    low_alone: float | None
    high_alone: float | None
    p: float
    p_equivalence: float

    def beyond(self, margin: float) -> bool:
        """Whether all of the interval lies beyond the margin, on one side."""
        return (self.low is not None and self.low > margin) or (self.high is not None and self.high < -margin)

    @property
    def words(self) -> str:
        """'helps after 9 of at most 30 seeds: +0.0123 [+0.0045, +0.0201]'."""
        when = f"at {self.seeds} seeds" if self.seeds == self.most else f"after {self.seeds} of at most {self.most} seeds"
        if self.difference is None or self.low is None or self.high is None:
            return f"{self.verdict} {when}"
        return f"{self.verdict} {when}: {self.difference:+.4g} [{self.low:+.4g}, {self.high:+.4g}]"


@dataclass(frozen=True)
class Standing:
    """Where a plan stands: every arm's decision, and the look that needs more seeds, of the arms `open`; None when it is over."""

    decisions: tuple[Decision, ...]
    look: int | None
    open: tuple[str, ...]


def decide(rule: SeedRule, seeds: Sequence[int], reference: Values, arms: Mapping[str, Values]) -> Standing:
    """Takes every look that the values allow, from the first: the same values give the same decisions, whatever came between.

    Args:
        seeds: in running order, `rule.most` of them.
        arms: name -> values.
    """
    names = tuple(arms)
    state = rules.start((len(names),))
    waiting = None
    for n in rule.looks:
        open_ = [name for name, kind in zip(names, state.kind, strict=True) if kind == rules.OPEN]
        if not open_:
            break
        used = seeds[:n]
        if any(seed not in one for seed in used for one in (reference, *(arms[name] for name in open_))):
            waiting = n
            break
        base = _numbers(reference, used)
        treated = np.array([_numbers(arms[name], used) if name in open_ else base for name in names])
        size = np.nanmax(np.abs(np.concatenate([treated, base[None]])), initial=0.0)
        state = rules.look(state, treated - base, rule.looks, rule.margin, rule.alpha, size)
    decisions = tuple(_decision(rule, state, index, name) for index, name in enumerate(names))
    left = tuple(name for name, kind in zip(names, state.kind, strict=True) if kind == rules.OPEN)
    return Standing(decisions, waiting, left if waiting is not None else ())


def _numbers(values: Values, seeds: Sequence[int]) -> Array:
    found = np.array([math.nan if values[seed] is None else values[seed] for seed in seeds], dtype=np.float64)
    return np.where(np.isfinite(found), found, math.nan)


def _decision(rule: SeedRule, state: rules.Looked, index: int, name: str) -> Decision:
    kind = int(state.kind[index])
    better = (kind == rules.ABOVE) == rule.higher_is_better
    verdict = VERDICTS.get(kind) or ("helps" if better else "hurts")
    figures = [float(one[index]) for one in (state.mean, state.low, state.high, state.low_alone, state.high_alone)]
    mean, low, high, low_alone, high_alone = (value if math.isfinite(value) else None for value in figures)
    p, q, seeds = float(state.p[index]), float(state.q[index]), int(state.seeds[index])
    return Decision(name, verdict, seeds, rule.most, mean, low, high, low_alone, high_alone, p, q)


def seed_rule(
    text: str,
    most: int | None,
    margin: float | None,
    metric: str = HEADLINE,
    preset: str = "",
    more: Callable[[], Sequence[Metric]] = tuple,
) -> SeedRule | None:
    """The rule of `--seeds auto`; None for seeds that are given. Raises RequestError for options of the one with the other.

    Args:
        more: the metrics that base has beside the built-in ones; only asked where `metric` is none of these.
    """
    if text.strip() == "auto":
        found = default_margin(preset, metric) if margin is None else (margin, "")
        if found is None:
            raise RequestError(f"--metric {metric} has no default margin at preset {preset}; give --margin in its unit")
        better = metric_named(metric, () if metric in METRICS else more()).higher_is_better
        most = MOST_SEEDS if most is None else most
        return SeedRule(most=most, margin=found[0], metric=metric, higher_is_better=better)
    if most is not None:
        raise RequestError(f"--max-seeds {most} belongs to --seeds auto; given: --seeds {text}")
    return None
