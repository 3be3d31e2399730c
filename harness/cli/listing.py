"""Rows for `harness list`, as plain values. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.component import is_slot, limits_text
from harness.errors import HarnessError, RequestError
from harness.notation import call_text
from harness.presets import PRESETS, preset
from harness.registry import Components, Plugins
from harness.runs.request import run_command
from harness.store import Store, store_root, validated
from harness.store.status import scan, standing
from harness.tree import record_of, walk
from harness.variant import Variants, describe

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


def settings(preset_name: str = "paper") -> list[Row]:
    """Every path that --set takes at a preset, its value there and what it means."""
    return [
        {"path": path, "value": call_text(record_of(value))} | _about(f)
        for path, f, _, value in walk(preset(preset_name))
        if "doc" in f.metadata and not (is_slot(f) and f.metadata["many"])
    ]


def _about(f: dataclasses.Field[Any]) -> Row:
    return {"range": limits_text(f), "meaning": f.metadata.get("doc", "")}


def components(registry: Components) -> list[Row]:
    """Every component's slot, name, fields with defaults, and origin; the error of one that fails to load."""
    rows: list[Row] = []
    for plugin in registry:
        where, _, name = plugin.name.rpartition(".")
        row: Row = {"slot": where, "name": name, "origin": plugin.origin, "error": plugin.error}
        if plugin.error is None:
            kind = plugin.value
            row["summary"] = (kind.__doc__ or "").strip().splitlines()[0]
            row["fields"] = [
                {"name": f.name, "default": None if f.default is dataclasses.MISSING else record_of(f.default)} | _about(f)
                for f in dataclasses.fields(kind)
            ]
        rows.append(row)
    return rows


def fields(components: Iterable[Row]) -> list[Row]:
    """The rows of `components` with one row a field, for a table; a component without fields has one that says what it does."""
    rows: list[Row] = []
    for row in components:
        for one in row.get("fields") or [{"name": "", "meaning": row.get("summary")}]:
            default = call_text(one["default"]) if "default" in one else ""
            about = {"default": default, "range": one.get("range"), "meaning": one["meaning"], "origin": row["origin"]}
            rows.append({"slot": row["slot"], "name": row["name"], "field": one["name"]} | about)
        rows[-1]["error"] = row["error"]
    return rows


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

    `status` is as in `harness.store.status.Standing`. Raises RequestError when there is no such run, DamagedRecord when it is
    damaged.
    """
    found = store.find(prefix)
    state, record = standing(store, found), store.record_of(found)
    training, environment = {}, found.read_or_none("environment.json")
    validations: list[Row] = []
    try:
        folder = store.training_of(found)
        validations, training = folder.validations(), folder.read_or_none("training.json") or {}
        environment = environment or folder.read_or_none("environment.json")
    except HarnessError as error:  # the result stands on its own
        note(f"no validation curve: {error}")
    with validated(found.path):
        return {
            **{"run_id": found.run_id, "path": str(found.path)},
            "status": state.status,
            **{name: record.get(name) for name in ("variant", "preset", "seed")},
            "result": state.result,
            "training": {name: value for name, value in training.items() if name != "checkpoint"} or None,
            "error": state.reason if state.status == "failed" else None,
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
