"""Rows for `harness list`, as plain values. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import experiment
from harness.errors import HarnessError
from harness.presets import PRESETS
from harness.registry import Plugins, Variants
from harness.request import store_root
from harness.store import Store
from harness.variant import describe

Row = dict[str, Any]


def variants(installed: Variants) -> list[Row]:
    """Name, summary, source, changes and origin of every variant; the error of one that fails to load."""
    return [
        (describe(plugin.value) if plugin.error is None else {"name": plugin.name})
        | {"origin": plugin.origin, "error": plugin.error}
        for plugin in installed
    ]


def plugins(group: str, third_party: bool) -> list[Row]:
    """Name, summary and origin of every plugin of a group."""
    return [
        {
            "name": plugin.name,
            "summary": getattr(plugin.value, "summary", ""),
            "origin": plugin.origin,
            "error": plugin.error,
        }
        for plugin in Plugins(group, object, third_party=third_party)
    ]


def presets() -> list[Row]:
    """Name and summary of every preset."""
    return [{"name": name, "summary": summary} for name, (summary, _) in PRESETS.items()]


def settings() -> list[Row]:
    """Every path that --set takes, its default and what it means."""
    return [
        {"path": path, "default": list(default) if isinstance(default, tuple) else default, "meaning": doc}
        for path, (default, doc) in experiment.settings().items()
    ]


def runs(store: Path | None) -> list[Row]:
    """Every run, finished or not; what is damaged is listed with the reason."""
    where = Store(store_root(store))
    rows: list[Row] = []
    seen: set[str] = set()
    for run in where.runs():
        row: Row = {"run_id": run.run_id}
        try:
            record = run.read_or_none("experiment.json") or {}
            result = run.read_or_none("result.json")
            row |= {key: record.get(key) for key in ("variant", "preset", "seed")}
            row["status"] = "unfinished" if result is None else "superseded" if run.superseded else "finished"
            if result is not None:
                row |= {"ssim": result["metrics"]["ssim"], "mse": result["metrics"]["mse"], "params": result["params"]}
                row["seconds"] = result["training"]["seconds"]
            seen.add(str(record.get("training_key")))
        except HarnessError as error:
            row |= {"status": "damaged", "reason": str(error)}
        except (KeyError, TypeError):
            row |= {"status": "damaged", "reason": f"{run.path} holds records of another program"}
        rows.append(row)
    for training in where.trainings():
        if training.path.name in seen or "~" in training.path.name:
            continue
        try:
            record = training.read_or_none("experiment.json") or {}
        except HarnessError as error:
            rows.append({"run_id": training.path.name, "status": "damaged", "reason": str(error)})
            continue
        if record:
            rows.append({key: record.get(key) for key in ("run_id", "variant", "preset", "seed")} | {"status": "unfinished"})
    return rows


def cell(value: object) -> str:
    """A value as a table's cell."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
