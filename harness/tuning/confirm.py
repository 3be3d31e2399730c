"""Tests the best setting and the study's fixed arms on seeds that the search did not use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError, Interrupted
from harness.executors.protocol import Executor, Task
from harness.executors.work import work
from harness.registry import Plugins
from harness.system.signals import stop_signals
from harness.tuning.search import Search

Compare = Callable[..., Sequence[Any]]
"""(values by seed of the baseline, values by seed of each treated) -> comparisons, dataclasses with name and verdict."""

GROUP = "harness.statistics"
CHOSEN = "chosen"
METRIC = "ssim"


def statistics(third_party: bool = True) -> Compare:
    """The installed paired comparison: the plugin `paired` of the group `harness.statistics`. Raises RequestError."""
    compare: Compare = Plugins(GROUP, object, third_party=third_party).get("paired")
    return compare


def confirm(search: Search, seeds: int, executor: Executor, compare: Compare) -> dict[str, Any]:
    """Trains and tests the best setting and the arms on seeds after those of the search; returns what the record keeps.

    What the store has is not trained again. Raises HarnessError when a cell fails, Interrupted when told to stop.

    Args:
        seeds: how many, at least 1.
    """
    bound, best = search.bound, search.record()["best"]
    if best is None:
        raise HarnessError(f"{search.state()}; there is no best setting to confirm")
    first = bound.seeds[-1] + 1
    unseen = tuple(range(first, first + seeds))
    params = {CHOSEN: best["params"]} | {arm.name: dict(arm.params) for arm in bound.arms}
    settings = {CHOSEN: best["settings"]} | {arm.name: bound.settings(arm.params) for arm in bound.arms}
    cells = {(name, seed): search.cells.make(values, seed) for seed in unseen for name, values in settings.items()}
    _run_all(search, executor, list(cells.values()))
    rows = []
    for name in settings:
        scores = {seed: search.cells.tested(cells[name, seed]) for seed in unseen}
        values = {str(seed): None if score is None else score[METRIC] for seed, score in scores.items()}
        known = [value for value in values.values() if value is not None]
        rows.append(
            {
                "name": name,
                "params": params[name],
                "settings": settings[name],
                "run_ids": [cells[name, seed].run_id for seed in unseen],
                "values": values,
                "mean": sum(known) / len(known) if known else None,
            }
        )
    return {
        "seeds": list(unseen),
        "metric": METRIC,
        "settings": best["settings"],
        "rows": rows,
    } | _compared(search, rows, compare)


def _compared(search: Search, rows: list[dict[str, Any]], compare: Compare) -> dict[str, Any]:
    if (reference := search.bound.reference) is None:
        return {"reference": None, "comparisons": [], "verdict": "the study has no fixed arm to compare with"}
    by_seed = {row["name"]: {int(seed): value for seed, value in row["values"].items()} for row in rows}
    baseline = by_seed.pop(reference.name)
    chosen = rows[0]["settings"]
    for row in rows[1:]:  # a setting is not compared with itself
        if row["settings"] == chosen:
            by_seed.pop(CHOSEN if row["name"] == reference.name else row["name"], None)
    comparisons = compare(baseline, by_seed)
    verdicts = {one.name: one.verdict.words for one in comparisons}
    words = verdicts.get(CHOSEN, "it is the same setting")
    return {
        "reference": reference.name,
        "comparisons": [_plain(dataclasses.asdict(one)) for one in comparisons],
        "verdict": f"the chosen setting against {reference.name}, on {len(baseline)} seeds that the search did not use: {words}",
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, int | float | bool) else str(value)


def _run_all(search: Search, executor: Executor, cells: list[Any]) -> None:
    """Runs the cells that are not tested yet."""
    todo = list({cell.run_id: cell for cell in cells if search.cells.tested(cell) is None}.values())
    failed: list[str] = []
    total, tested = len(todo), 0

    def take(_under_way: Collection[Any]) -> tuple[Any, Task] | None:
        return ((cell := todo.pop(0)), search.cells.task(cell, evaluate=True)) if todo else None

    with stop_signals() as stop:
        for cell, done in work(executor, take, lambda: stop.is_set() or bool(failed)):
            for text in done.notes:
                search.note(text)
            if done.error is not None and not done.stopped:
                failed.append(f"run {cell.run_id}: {done.error}")
            elif done.error is None:
                tested += 1
                search.note(f"tested run {cell.run_id} ({tested} of {total})")
    if failed:
        raise HarnessError(
            f"a cell of the confirmation failed: {failed[0]}; what is finished is kept, run the command again"
        )
    if stop.is_set():
        raise Interrupted("what is finished is in the store; run the same command again to continue")
