"""What arms cost as ratios to the reference's, with intervals over seeds, and the Pareto front of gain against cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from reports.analysis import settings
from reports.analysis.estimates import Estimate, estimate
from reports.analysis.groups import Group, Method
from reports.analysis.records import RunRecord
from reports.analysis.words import shorten

_MOST = 12


class Ratio(NamedTuple):
    """A cost over the reference's: the geometric mean over `seeds` common seeds and its 95% t interval, on the logarithm.

    No interval where the ratio does not vary over seeds (parameters), or with one seed. `at_most`: an upper bound.
    """

    ratio: float
    low: float | None
    high: float | None
    seeds: int
    at_most: bool = False

    @property
    def words(self) -> str:
        """'1.20x [1.15x, 1.26x]', without the interval where there is none."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:.2f}x, {self.high:.2f}x]"
        return f"{'at most ' if self.at_most else ''}{self.ratio:.2f}x{interval}"

    @classmethod
    def of(cls, logs: Estimate, at_most: bool = False) -> Ratio | None:
        """From the logarithms of the ratio by seed; None without any."""
        if logs.mean is None:
            return None
        low, high = (None if end is None else math.exp(end) for end in (logs.low, logs.high))
        return cls(math.exp(logs.mean), low, high, logs.n, at_most)


def operations(run: RunRecord) -> float:
    """Operations of a whole training: three forward costs of one view a step, as `harness.evaluation.cost.training_flops`.

    Each step counts the whole horizon: for a curriculum it is an upper bound.
    """
    views, batch = run.settings.get("inference.views"), run.settings.get(settings.BATCH)
    count = len(views) if isinstance(views, list | tuple) and views else 1
    return 3.0 * batch * run.steps * run.flops / count if isinstance(batch, int) else math.nan


def _memory(run: RunRecord) -> float:
    return run.gpu_reserved if math.isfinite(run.gpu_reserved) and run.gpu_reserved > 0 else run.host_peak


COSTS: Mapping[str, Callable[[RunRecord], float]] = {
    "training time": lambda run: run.seconds,
    "inference time": lambda run: 1 / run.frames_per_second if run.frames_per_second else math.nan,
    "training operations": operations,
    "inference operations": lambda run: run.flops,
    "memory": _memory,
    "parameters": lambda run: run.params,
}
"""Name -> the cost of a run: seconds, seconds a frame, operations, operations a sequence with all views, bytes (the GPU's reserved
memory, else the process's), parameters."""


def ratios(group: Group) -> dict[str, dict[str, Ratio]]:
    """Arm -> cost -> its ratio to the reference's, over the seeds that both have. Costs that were not measured are left out."""
    if group.reference is None:
        return {}
    if "ratios" not in group.kept:
        group.kept["ratios"] = {one.label: _ratios(one, group.reference) for one in group.others if not one.first.untrained}
    found: dict[str, dict[str, Ratio]] = group.kept["ratios"]
    return found


def _ratios(method: Method, reference: Method) -> dict[str, Ratio]:
    curriculum = bool(method.first.settings.get("training.curriculum"))
    found = {
        name: Ratio.of(log_ratio(method, reference, cost), at_most=curriculum and name == "training operations")
        for name, cost in COSTS.items()
    }
    return {name: one for name, one in found.items() if one is not None}


def cost_words(reference: Method | None, method: Method) -> str:
    """'1.20x [1.15x, 1.26x] training time, +21% parameters, 4.00x inference': training time, and what differs of the others.

    Where the interval of the time is wider than a factor of two, as beside other work: training operations, which are exact.
    """
    if reference is None:
        return ""
    base, by_cost = reference.first, _ratios(method, reference)
    time, exact = by_cost.get("training time"), by_cost.get("training operations")
    found = [] if time is None else [f"{time.words} training time"]
    if time and exact and time.low and time.high and time.high > 2 * time.low:
        found = [f"{exact.words} training operations"]
    more = method.first.params / base.params - 1 if base.params else math.nan
    if math.isfinite(more) and abs(more) >= 0.005:
        found.append(f"{more:+.0%} parameters")
    inference = method.first.flops / base.flops if base.flops else math.nan
    if math.isfinite(inference) and abs(inference - 1) >= 0.005:
        found.append(f"{inference:.2f}x inference")
    return ", ".join(found)


def log_ratio(method: Method, reference: Method, cost: Callable[[RunRecord], float]) -> Estimate:
    """The logarithm of a cost over the reference's at the same seed."""
    pairs = {seed: (cost(run), cost(reference.runs[seed])) for seed, run in method.runs.items() if seed in reference.runs}
    usable = {seed: (a, b) for seed, (a, b) in pairs.items() if a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b)}
    return estimate({seed: math.log(a / b) for seed, (a, b) in usable.items()})


def pareto(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The names on the front of (cost, gain): no other is as cheap and as good, and better in one. Cheapest first."""
    usable = {name: point for name, point in points.items() if all(map(math.isfinite, point))}
    front: list[str] = []
    best = -math.inf
    for name, (_, gain) in sorted(usable.items(), key=lambda item: (item[1][0], -item[1][1], item[0])):
        if gain > best:
            front.append(name)
            best = gain
    return front


ROW = ("table", "arm", "reference", "cost", "ratio", "low", "high", "seeds", "at_most")
"""The columns of data/costs."""


def rows(table: str, reference: str, found: Mapping[str, Mapping[str, Ratio]]) -> list[tuple[object, ...]]:
    """Rows of data/costs, of arm -> cost -> ratio."""
    return [(table, arm, reference, cost, *one) for arm, by_cost in found.items() for cost, one in by_cost.items()]


FRONTS = ("training time", "training operations", "inference operations", "parameters")
"""The costs against which the Pareto fronts are named."""


def front(group: Group, cost: str = "training time") -> list[str]:
    """The Pareto front of the judged gain against a cost of `COSTS`, by means, the cheapest first; empty below two arms.

    The reference is among the arms, controls are not; an arm with a failed seed has no gain. The means are estimates: neighbours
    on the front may change places with other seeds.
    """
    if group.reference is None:
        return []
    sign = 1 if group.higher_is_better else -1
    checks = {check.name for check in group.controls}
    points = {group.reference.label: (1.0, 0.0)}
    for name, found in ratios(group).items():
        one = group.comparisons.get(name)
        if one is not None and one.mean is not None and not one.excluded and cost in found and name not in checks:
            points[name] = (found[cost].ratio, sign * one.mean)
    return pareto(points) if len(points) > 1 else []


def front_words(found: Mapping[str, Sequence[str]]) -> str:
    """Cost -> its front, as 'Not beaten by another arm's means (Pareto front) against training time and parameters: base, tta.'"""
    costs: dict[tuple[str, ...], list[str]] = {}
    for cost, names in found.items():
        if names:
            costs.setdefault(tuple(names), []).append(cost)
    parts = []
    for names, of in costs.items():
        shown = ", ".join(shorten(name, 40) for name in names[:_MOST]) + (", ..." if len(names) > _MOST else "")
        parts.append(f"against {', '.join(of[:-1])}{' and ' if of[1:] else ''}{of[-1]}: {shown}")
    return f"Not beaten by another arm's means (Pareto front) {'; '.join(parts)}." if parts else ""
