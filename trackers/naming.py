"""What the trackers have in common: where they write, and what they call runs and figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.hooks import RunInfo

PROJECT = "ablation-harness"
"""The project or experiment that holds all runs, where the tool's own variable names no other."""


def folder(run: RunInfo) -> Path:
    """`trackers/` in the store, made when it is missing."""
    found = run.store / "trackers"
    found.mkdir(parents=True, exist_ok=True)
    return found


def title(run: RunInfo) -> str:
    """'attention seed 0'."""
    return f"{run.arm} seed {run.seed}"


def tags(run: RunInfo) -> dict[str, str]:
    """What leads from a dashboard's row to the record."""
    return {
        "arm": run.arm,
        "seed": str(run.seed),
        "preset": run.preset,
        "harness.run_id": run.run_id,
        "harness.training_key": run.training_key,
        "harness.store": str(run.store),
        "harness.show": f"harness show {run.run_id} --store {run.store}",
    }


def numbers(values: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """The finite numbers among the values, as 'prefix/name'.

    >>> numbers({"ssim": 0.5, "note": "x", "mse": None}, "test")
    {'test/ssim': 0.5}
    """
    return {
        f"{prefix}/{name}": float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def final(result: Mapping[str, Any]) -> tuple[int, dict[str, float]]:
    """The last step, and the final figures: test metrics, baselines, size, time and speed; of a training alone its summary."""
    if "metrics" not in result:
        return int(result["steps"]), numbers(result, "training")
    training = result["training"]
    found = numbers(result["metrics"], "test") | numbers({"parameters": result["params"]}, "cost")
    for name, metrics in result["baselines"].items():
        found |= numbers(metrics, f"baseline/{name}")
    found |= numbers({"training_seconds": training["seconds"], **result["inference"]}, "cost")
    return int(training["steps"] or 0), found
