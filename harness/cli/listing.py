"""Rows for `harness list`, as plain values. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from operator import ne
from pathlib import Path
from typing import Any

from harness.cli.where import parse_where, resolve, short
from harness.component import is_slot, limits_text
from harness.errors import HarnessError, RequestError
from harness.notation import call_text
from harness.registry import Components, Plugins
from harness.store import Store, index, store_root, validated
from harness.store.status import standing
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
    from harness.presets import PRESETS

    return [{"name": name, "summary": summary} for name, (summary, _) in PRESETS.items()]


def settings(preset_name: str = "paper") -> list[Row]:
    """Every path that --set takes at a preset, its value there and what it means."""
    from harness.presets import preset

    return [
        {"path": path, "value": call_text(record_of(value))} | _about(f)
        for path, f, _, value in walk(preset(preset_name))
        if "doc" in f.metadata and not (is_slot(f) and f.metadata["many"])
    ]


def _about(f: dataclasses.Field[Any]) -> Row:
    neutral = f.metadata.get("neutral", dataclasses.MISSING)
    return {"range": limits_text(f)} | _if_given("neutral", neutral) | {"meaning": f.metadata.get("doc", "")}


def _if_given(name: str, value: object) -> Row:
    return {} if value is dataclasses.MISSING else {name: record_of(value)}


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


PLAIN = ("run_id", "variant", "preset", "seed", "status", "reason", "ssim", "mse", "params", "seconds")
"""Columns of `harness list runs` beside the settings that differ."""
MOST_DIFFERENCES = 8
"""Settings that a table shows of itself; --columns names others."""


def runs(store: Path | None, where: str = "", columns: Sequence[str] = ()) -> list[Row]:
    """Every run, finished or not; what is damaged is listed with the reason.

    Args:
        where: a condition that they meet (see `harness.cli.where`).
        columns: what is shown of each beside its id: columns, metrics, settings. By default, `settings` holds those settings that
            tell runs of one variant and preset apart.
    """
    found = [_flat(row) for row in index.rows(Store(store_root(store)))]
    known: dict[str, None] = dict.fromkeys([*PLAIN, "steps"])
    for row in found if where or columns else ():
        known.update(dict.fromkeys(row))
    names = [resolve(one, known, "--columns") for one in columns]
    if where:
        meets = parse_where(where, known)
        found = [row for row in found if meets(row)]
    if names:
        return [{"run_id": row["run_id"], **{name: row.get(name) for name in names}} for row in found]
    differ = _differences(found)
    return [
        {name: row[name] for name in PLAIN if row.get(name) is not None}
        | ({"settings": {path: row[path] for path in differ if path in row}} if differ else {})
        for row in found
    ]


def _flat(row: index.Row) -> Row:
    flat = {**row["settings"], **row["metrics"]}
    if "~" in row["run_id"] and row["status"] == "finished":
        flat["status"] = "superseded"
    else:
        flat["status"] = row["status"]
    if flat["status"] in ("failed", "damaged"):
        flat["reason"] = row["reason"]
    return {name: row[name] for name in ("run_id", "variant", "preset", "seed", "params", "seconds", "steps")} | flat


def _differences(rows: Iterable[Row]) -> list[str]:
    """The settings in which runs of one variant and preset differ, but for the seed, which has a column.

    Where two have different components at a slot, that says it; settings that only one of the components has are left out.
    """
    first: dict[tuple[object, object], Row] = {}
    found: set[str] = set()
    for row in rows:
        start = first.setdefault((row["variant"], row["preset"]), row)
        if [*row] == [*start]:
            found.update(compress(row, map(ne, row.values(), start.values())))
        else:
            both = row.keys() & start.keys()
            differ = {path for path in row.keys() | start.keys() if row.get(path) != start.get(path)}
            found |= {path for path in differ if path in both or path.rpartition(".")[0] not in both & differ}
    return sorted(path for path in found if "." in path and path != "training.seed")


def table(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows of `runs` for a table, with a column for each setting that differs, by the end of its path; those left out."""
    paths = sorted({path for row in rows for path in row.get("settings", ())})
    if not paths:
        return list(rows), []
    names = {path: short(path, [*paths, *PLAIN]) for path in paths[:MOST_DIFFERENCES]}
    shown = [
        {name: value for name, value in row.items() if name != "settings"}
        | {name: call_text(row["settings"][path]) for path, name in names.items() if path in row["settings"]}
        for row in rows
    ]
    return shown, paths[MOST_DIFFERENCES:]


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
    from harness.runs.request import run_command

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
