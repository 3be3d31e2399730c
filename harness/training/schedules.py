"""Learning-rate schedules: functions of the step, and the components that choose them. This module does not import torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from harness.component import Component, setting
from harness.errors import RequestError

NOMINAL_TOTAL = 1000.0
"""The `total` for a budget that is not counted in steps. With a share s = 0..1 of the budget spent, the step is
s * (NOMINAL_TOTAL - 1)."""


class Schedule(Protocol):
    """What an optimizer's settings are at a step."""

    def values(self, step: float, total: float, lr: float) -> Mapping[str, float]:
        """Settings by name, at a step as `one_cycle` counts it.

        Keys are those of parameter groups ("lr", "momentum", ...), and "beta1" for the first of "betas". A key that a group
        does not have is not set there.

        Args:
            step: 0 for the first step, total - 1 for the last; fractional for a budget in seconds.
            total: steps in the whole training.
            lr: the group's own peak learning rate.
        """
        ...


HIGH_BETA1 = 0.95
LOW_BETA1 = 0.85


def one_cycle(
    step: float,
    total: float,
    *,
    max_lr: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> tuple[float, float]:
    """The learning rate and Adam's beta1 at a step of a cosine OneCycle (Smith, Topin, arXiv:1708.07120).

    The learning rate rises from max_lr / div_factor to max_lr and falls to max_lr / div_factor / final_div_factor, while
    beta1 goes 0.95, 0.85, 0.95. The values are those of `torch.optim.lr_scheduler.OneCycleLR` with two phases; its peak
    lies at step pct_start * total - 1. If that is not after step 0, the rate only falls.

    Args:
        step: 0 for the first step, total - 1 for the last; may be fractional; values outside are clamped.
        total: steps in the whole training, at least 1; may be fractional. Use `NOMINAL_TOTAL` for a budget in seconds.
        max_lr: the peak.
        pct_start: share of the training spent on the rise, above 0 and below 1.
        div_factor: the peak over the first learning rate.
        final_div_factor: the first learning rate over the last.

    Returns:
        (learning rate, beta1).

    >>> [round(one_cycle(step, 10, max_lr=1.0, pct_start=0.5)[0], 3) for step in (0, 4, 9)]
    [0.04, 1.0, 0.0]

    Raises:
        RequestError: total is below 1, or pct_start is not between 0 and 1.
    """
    if not total >= 1:
        raise RequestError(f"a schedule of {total} steps has no step; the total must be at least 1")
    if not 0 < pct_start < 1:
        raise RequestError(f"pct_start is {pct_start}; it must be above 0 and below 1")
    first = max_lr / div_factor
    peak = pct_start * total - 1
    last = total - 1
    step = max(0.0, min(step, last))
    # torch divides by zero where the peak is at step 0 exactly; here the fall begins at once.
    if step <= peak and peak > 0:
        share = step / peak
        return _cosine(first, max_lr, share), _cosine(HIGH_BETA1, LOW_BETA1, share)
    share = (step - peak) / (last - peak)
    return _cosine(max_lr, first / final_div_factor, share), _cosine(LOW_BETA1, HIGH_BETA1, share)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


@dataclass(frozen=True, kw_only=True)
class OneCycle(Component):
    """One rise and one fall of the learning rate, each a half cosine, with Adam's beta1 against it (arXiv:1708.07120)."""

    slot: ClassVar[str] = "training.schedule"
    name: ClassVar[str] = "one-cycle"
    pct_start: float = setting(0.3, "share of the budget spent on raising the learning rate", above=0, at_most=0.99)

    def values(self, step: float, total: float, lr: float) -> dict[str, float]:
        """`lr` and `beta1` at a step of `total`, for the peak rate `lr`; see `one_cycle`."""
        rate, beta1 = one_cycle(step, total, max_lr=lr, pct_start=self.pct_start)
        return {"lr": rate, "beta1": beta1}


def share_of(step: float, total: float) -> float:
    """The share of the schedule that is behind at a step, 0..1."""
    return min(1.0, max(0.0, step / (total - 1))) if total > 1 else 1.0


@dataclass(frozen=True, kw_only=True)
class WarmedUp(Component):
    """A learning rate that rises linearly over the first `warmup` of the budget, then follows its own curve."""

    slot: ClassVar[str] = "training.schedule"
    warmup: float = setting(0.05, "share of the budget over which the rate rises to its peak", at_least=0, at_most=0.99)

    def values(self, step: float, total: float, lr: float) -> dict[str, float]:
        """`lr` at a step of `total`, for the peak rate `lr`. At the first step it is above 0."""
        share = share_of(step, total)
        if share < self.warmup:
            return {"lr": lr * (share * (total - 1) + 1) / (self.warmup * (total - 1) + 1)}
        return {"lr": lr * self.factor((share - self.warmup) / (1 - self.warmup))}

    def factor(self, share: float) -> float:
        """The rate over its peak, 0..1, with a share 0..1 of what follows the warm-up behind."""
        raise NotImplementedError(f"the schedule {type(self).__name__} has no factor(share)")


@dataclass(frozen=True, kw_only=True)
class Cosine(WarmedUp):
    """Half a cosine from the peak down to `final` of it (Loshchilov, Hutter, arXiv:1608.03983), after a linear warm-up."""

    name: ClassVar[str] = "cosine"
    final: float = setting(0.0, "the last rate over the peak", at_least=0, at_most=1)

    def factor(self, share: float) -> float:
        """1 at first, `final` at the end."""
        return _cosine(1.0, self.final, share)


@dataclass(frozen=True, kw_only=True)
class Linear(WarmedUp):
    """A straight line from the peak down to `final` of it, after a linear warm-up."""

    name: ClassVar[str] = "linear"
    final: float = setting(0.0, "the last rate over the peak", at_least=0, at_most=1)

    def factor(self, share: float) -> float:
        """1 at first, `final` at the end."""
        return 1.0 + (self.final - 1.0) * share


@dataclass(frozen=True, kw_only=True)
class Constant(WarmedUp):
    """The peak rate, after a linear warm-up."""

    name: ClassVar[str] = "constant"

    def factor(self, share: float) -> float:
        """Always 1."""
        return 1.0
