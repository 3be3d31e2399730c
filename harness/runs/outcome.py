"""A finished cell, as the store has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.component import Find
from harness.errors import RequestError
from harness.evaluation.conventions import outdated_metrics
from harness.evaluation.metrics import BUILT_IN
from harness.experiment import Experiment
from harness.store import REDO, Cell, DamagedRecord, Run, Store, key_of, validated
from harness.tree import identity_of

PRINTED = (
    *("run_id", "variant", "preset", "seed", "status", "cached", "resumed", "params", "flops_per_sequence"),
    *("metrics", "metrics_per_frame", "baselines", "training", "inference", "memory", "device", "digits", "path"),
)
"""The keys of `harness run --json`, in their order: other programs rely on them."""
PRINTED_PARTS = {
    "training": ("steps", "seconds", "sequences_per_second", "skipped_steps"),
    "inference": ("frames_per_second",),
}


@dataclass(frozen=True)
class Outcome:
    """A cell's result, and whether it came from the store or from a resumed training."""

    result: dict[str, Any]
    path: Path
    cached: bool = False
    resumed: bool = False

    def record(self) -> dict[str, Any]:
        """The document that `harness run --json` prints: the documented part of the result. `harness show` has all of it."""
        whole = self.result | {"cached": self.cached, "resumed": self.resumed, "path": str(self.path)}
        parts = {name: {key: whole[name][key] for key in keys} for name, keys in PRINTED_PARTS.items()}
        return {name: parts.get(name, whole[name]) for name in PRINTED}


def finished(store: Store, cell: Cell, note: Callable[[str], None] = lambda text: None) -> Outcome | None:
    """The cell's result when the store has all of it. Raises DamagedRecord when a part is missing or damaged.

    A result that lacks a metric, or has it by other code, is no answer: its checkpoint is to be tested again. `note` hears of an
    answer that other source of a plugin made under the same revision.
    """
    run = store.run(cell)
    result = run.read_or_none("result.json")
    if result is None:
        return None
    if (tested := run.read_or_none("experiment.json")) is None:
        raise DamagedRecord(f"{run.path} has no experiment.json; {REDO}")
    for name in ("environment.json", "sequences.json"):
        run.read_or_none(name)  # absent in older stores; a damaged one is no answer
    # Two names can mean one experiment (`tta` with one view is `base`); the answer carries the name that was asked for.
    outcome = Outcome(result | {"variant": cell.variant, "preset": cell.preset}, run.path, cached=True)
    with validated(run.path / "result.json"):
        outcome.record()
        if outdated_metrics(result, cell.experiment.metrics):
            return None
    note_sources(cell, tested, store.training(cell).read_or_none("experiment.json") or {}, note)
    return outcome


def question_of(cell: Cell) -> str:
    """What of a cell and of this program `finished` compares with the store's records, beside the run's id."""
    metrics = [identity_of(one) for one in (*BUILT_IN, *cell.experiment.metrics)]
    return key_of({"metrics": metrics, "sources": dict(cell.sources)})


def note_sources(cell: Cell, tested: Mapping[str, Any], trained: Mapping[str, Any], note: Callable[[str], None]) -> None:
    """Says which plugins had other source, or were not there, when the store's answer was made; records of before say nothing.

    Args:
        tested: the run's experiment.json.
        trained: the training's. One that was made for a variant that changes inference alone may be another variant's as well.
    """
    now, changed = cell.sources, set()
    if isinstance(then := tested.get("sources"), dict):
        # Metrics can be measured one after the other, so a record need not name all.
        absent = {name for name in now.keys() ^ then.keys() if not name.startswith("metrics.")}
        changed |= absent | {name for name in now.keys() & then.keys() if now[name] != then[name]}
    if isinstance(then := trained.get("sources"), dict):
        changes = [str(path) for path in trained.get("changes", ())]
        inference = bool(changes) and all(path.startswith("inference") for path in changes)
        changed |= {
            name
            for name, digest in then.items()
            if not name.startswith("metrics.") and now.get(name) != digest and (name in now or not inference)
        }
    if changed:
        note(
            f"the store's run {cell.run_id} of {cell.variant} was made by other source of {', '.join(sorted(changed))}, under the "
            "same revision; raise the component's `revision` if the change matters, or train again with --force"
        )


def stored_experiment(store: Store, run: Run, find: Find, data: Path | None = None) -> Experiment:
    """The experiment of a run's record; its relative paths are those of the folder where it was made.

    Args:
        data: where the file of its training data is now.

    Raises DamagedRecord or RequestError when it cannot be read back.
    """
    with validated(run.path):
        record = store.record_of(run)
        if "predictions" in record.get("changes", ()):
            raise RequestError(f"run {run.run_id} has no network: its predictions were made elsewhere")
        experiment = Experiment.from_dict(record.get("experiment", {}), find)
        folder = Path(str(record.get("folder", "")))
    changes: dict[str, object] = {}
    for path in ("data.path", "data.evaluation"):
        given = experiment.get(path)
        if given and not Path(given).expanduser().exists() and (folder / given).exists():
            changes[path] = str(folder / given)
    if data is not None:
        if experiment.get("data.path") is None:
            raise RequestError(f"run {run.run_id} was not trained on a file, so --data means nothing to it")
        changes["data.path"] = str(data)
    return experiment.replace(changes, find) if changes else experiment
