"""Cost ratios with their intervals, and the Pareto front, against scipy and every pair."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fake_store import cell
from scipy import stats
from three_metrics import ARMS, SEEDS

from reports.analysis import costs
from reports.analysis.groups import Group


def test_cost_ratios_are_geometric_means_with_t_intervals_over_seeds(measured: Group) -> None:
    found = costs.ratios(measured)["attention"]
    base, arm = ({run.seed: run for run in measured.runs if run.variant == name} for name in ("base", "attention"))
    for name, of in {"training time": lambda r: r.seconds, "inference time": lambda r: 1 / r.frames_per_second}.items():
        logs = [math.log(of(arm[s]) / of(base[s])) for s in SEEDS]
        interval = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
        assert found[name].ratio == pytest.approx(stats.gmean(np.exp(logs)))
        assert (found[name].low, found[name].high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))
    assert found["parameters"] == (pytest.approx(arm[0].params / base[0].params), None, None, len(SEEDS), False)
    assert costs.ratios(measured)["curriculum"]["training operations"].at_most
    assert not found["training operations"].at_most


def test_training_operations_are_those_of_a_flops_plan() -> None:
    """Against `training_flops`, which counts every step of the real network."""
    from harness.component import Shape
    from harness.evaluation.cost import forward_cost, training_flops

    made = cell("attention", 0, "tiny").experiment
    shape = Shape(1, 32, 32, made.data.input_frames, made.data.horizon)
    flops = forward_cost(made, shape, made.data.horizon)[1]
    settings: dict[str, Any] = {
        "inference.views": [view.name for view in made.inference.views],
        "training.batch_size": made.training.batch_size,
    }
    run: Any = type("Run", (), {"settings": settings, "steps": float(made.training.steps or 0), "flops": float(flops)})
    assert costs.operations(run) == pytest.approx(training_flops(made, shape))


def test_the_front_is_of_arms_that_no_other_beats_in_both(measured: Group) -> None:
    found = costs.front(measured)
    points = {"base": (1.0, 0.0)} | {
        name: (costs.ratios(measured)[name]["training time"].ratio, measured.comparisons[name].mean) for name in ARMS[1:]
    }
    on = {a for a, (x, y) in points.items() if not any(p <= x and q >= y and (p, q) != (x, y) for p, q in points.values())}
    assert set(found) == on
    words = costs.front_words({"training time": found, "memory": found, "parameters": ["base"], "inference time": []})
    assert words == (
        "Not beaten by another arm's means (Pareto front) "
        f"against training time and memory: {', '.join(found)}; against parameters: base."
    )


def test_pareto_front() -> None:
    points = {"a": (1.0, 0.5), "b": (2.0, 0.6), "c": (2.0, 0.55), "d": (3.0, 0.6), "e": (0.5, float("nan")), "f": (4.0, 0.7)}
    assert costs.pareto(points) == ["a", "b", "f"]
