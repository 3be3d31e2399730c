"""Rows for `harness list`, as plain values. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import experiment
from harness.errors import RequestError
from harness.presets import PRESETS
from harness.registry import Plugins, Variants
from harness.runs.request import run_command, store_root
from harness.store.status import scan
from harness.store.store import DamagedRecord, Store, validated
from harness.variant import describe

Row = dict[str, Any]
LONGEST_CELL = 120
"""Characters of a table's cell; --json has all."""


def variants(installed: Variants) -> list[Row]:
    """Name, summary, source, changes and origin of every variant; the error of one that fails to load."""
    return [
        (describe(plugin.value) if plugin.error is None else {"name": plugin.name})
        | {"origin": plugin.origin, "error": plugin.error}
        for plugin in installed
    ]


def plugins(group: str, kind: type, third_party: bool, files: Iterable[Path] = ()) -> list[Row]:
    """Name, summary and origin of every plugin of a group, whose values are of that type; the error of one that is not."""
    return [
        {
            "name": plugin.name,
            "summary": getattr(plugin.value, "summary", ""),
            "origin": plugin.origin,
            "error": plugin.error,
        }
        for plugin in Plugins(group, kind, files=files, third_party=third_party)
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
    rows: list[Row] = []
    for one in scan(Store(store_root(store))):
        row: Row = {"run_id": one.run_id} | {key: one.record.get(key) for key in ("variant", "preset", "seed") if one.record}
        row["status"] = "superseded" if one.superseded and one.result is not None else one.status
        if one.status in ("failed", "damaged"):
            row["reason"] = one.reason
        try:
            if one.result is not None:
                metrics, training = one.result["metrics"], one.result["training"]
                row |= {"ssim": metrics["ssim"], "mse": metrics["mse"], "params": one.result["params"]}
                row["seconds"] = training["seconds"]
        except (KeyError, TypeError):
            row |= {"status": "damaged", "reason": f"run {one.run_id} holds records of another program"}
        rows.append(row)
    return rows


def run(store: Store, prefix: str, note: Callable[[str], None]) -> Row:
    """All that the store knows of one run, finished or not, and the command that resumes it.

    `status` is 'finished', 'trained' (not tested yet), 'unfinished' or 'failed'. Raises RequestError when there is no such run.
    """
    found = store.find(prefix)
    record, result, failure = store.record_of(found), found.read_or_none("result.json"), found.read_or_none("failure.json")
    training, environment = {}, found.read_or_none("environment.json")
    validations: list[Row] = []
    try:
        folder = store.training_of(found)
        validations, training = folder.validations(), folder.read_or_none("training.json") or {}
        environment = environment or folder.read_or_none("environment.json")
    except DamagedRecord as error:  # the result stands on its own
        note(f"no validation curve: {error}")
    states = {"finished": result is not None, "failed": failure is not None, "trained": bool(training), "unfinished": True}
    with validated(found.path):
        return {
            **{"run_id": found.run_id, "path": str(found.path)},
            "status": next(name for name, holds in states.items() if holds),
            **{name: record.get(name) for name in ("variant", "preset", "seed")},
            "result": result,
            "training": {name: value for name, value in training.items() if name != "checkpoint"} or None,
            "error": None if result is not None or failure is None else failure.get("error"),
            "experiment": record.get("experiment"),
            "environment": environment,
            "validation": validations,
            "command": _command(record),
        }


def _command(record: Mapping[str, Any]) -> str:
    try:
        return run_command(record)
    except RequestError as error:
        return f"# {error}"


def cell(value: object) -> str:
    """A value as a table's cell."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    words = ", ".join(value) if isinstance(value, dict) else value
    words = ",".join(map(str, words)) if isinstance(words, list | tuple) else str(words)
    return words if len(words) <= LONGEST_CELL else f"{words[: LONGEST_CELL - 30]}... ({len(words):,} characters)"
