"""What arms cost as ratios to the reference's, with intervals over seeds, and the Pareto front of gain against cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from reports.analysis import settings
from reports.analysis.comparisons import Estimate, estimate
from reports.analysis.groups import Group, Method
from reports.analysis.records import RunRecord
from reports.analysis.words import shorten

_MOST = 12


class Ratio(NamedTuple):
    """A cost over the reference's: the geometric mean over common seeds and its 95% t interval, on the logarithm.

    No interval where the ratio does not vary over seeds (parameters), or with one seed. `at_most`: an upper bound.
    """

    ratio: float
    low: float | None
    high: float | None
    at_most: bool = False


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
    return {one.label: _ratios(one, group.reference) for one in group.others if not one.first.scored}


def _ratios(method: Method, reference: Method) -> dict[str, Ratio]:
    found = {}
    for name, cost in COSTS.items():
        logs = log_ratio(method, reference, cost)
        if logs.mean is not None:
            low, high = (None if end is None else math.exp(end) for end in (logs.low, logs.high))
            bound = name == "training operations" and bool(method.first.settings.get("training.curriculum"))
            found[name] = Ratio(math.exp(logs.mean), low, high, bound)
    return found


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


class Front(NamedTuple):
    """`on`: the arms, the reference among them, that no other beats in both, the cheapest first. `beaten`: arm -> by whom."""

    cost: str
    on: tuple[str, ...]
    beaten: dict[str, str]


def front(group: Group, cost: str = "training time") -> Front | None:
    """The Pareto front of the judged gain against a cost of `COSTS`, by means; None without two arms that have both.

    An arm with a failed seed has no gain. The means are estimates: neighbours on the front may change places with other seeds.
    """
    if group.reference is None:
        return None
    sign = 1 if group.higher_is_better else -1
    points = {group.reference.label: (1.0, 0.0)}
    for name, found in ratios(group).items():
        one = group.comparisons.get(name)
        if one is not None and one.mean is not None and not one.excluded and cost in found:
            points[name] = (found[cost].ratio, sign * one.mean)
    if len(points) < 2:
        return None
    on = pareto(points)
    beaten = {
        name: next(other for other in on if points[other][0] <= price and points[other][1] >= gain)
        for name, (price, gain) in points.items()
        if name not in on
    }
    return Front(cost, tuple(on), beaten)


def front_words(found: Front) -> str:
    """'Gain against training time, Pareto front: base, curriculum. Beaten in both: attention (by curriculum).'"""
    on = [shorten(name, 60) for name in found.on]
    beaten = [f"{shorten(name, 60)} (by {shorten(other, 60)})" for name, other in found.beaten.items()]
    shown, others = (", ".join(names[:_MOST]) + (", ..." if len(names) > _MOST else "") for names in (on, beaten))
    return f"Gain against {found.cost}, Pareto front: {shown}." + (f" Beaten in both: {others}." if beaten else "")
