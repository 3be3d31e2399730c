"""Where every run of a store stands. Reads records and never raises for one that is damaged."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import HarnessError
from harness.store.store import Run, Store, Training


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A run and how far it came.

    Args:
        where: the run's id, or 'trainings/<key>' for a training whose record cannot be read.
        status: 'finished', 'trained' (not tested yet), 'unfinished', 'failed' or 'damaged'.
        reason: why it is not finished.
        record: its experiment.json, with the fields of failure.json that it lacks; may be empty.
        result: its result.json.
    """

    where: str
    status: str
    reason: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None

    @property
    def run_id(self) -> str:
        """The run's id; for a training that cannot be read, its key."""
        return self.where.rpartition("/")[2]

    @property
    def superseded(self) -> bool:
        """Whether `--force` made a newer one."""
        return "~" in self.run_id


def scan(store: Store) -> Iterator[Standing]:
    """Every run that has a folder, then those whose training alone has begun, each in the order of their names."""
    seen: set[str] = set()
    for run in store.runs():
        found = of_run(store, run)
        seen.add(run.run_id)
        if found.status == "finished" and not found.superseded:  # its training may be recorded under another run's id
            seen.add(str(found.record.get("training_key")))
        yield found
    yield from begun(store, seen)


def of_run(store: Store, run: Run) -> Standing:
    """Where a run with a folder stands; a damaged one with the reason."""
    try:
        return standing(store, run)
    except HarnessError as error:
        return Standing(where=run.run_id, status="damaged", reason=str(error))


def begun(store: Store, seen: Container[str]) -> Iterator[Standing]:
    """The runs whose training alone has begun. `seen` are ids of runs that have a folder, and keys of their trainings."""
    for training in store.trainings():
        name = training.path.name
        if name in seen or "~" in name:
            continue
        try:
            record = training.read_or_none("experiment.json")
            trained = training.has("training.json")
        except HarnessError as error:
            yield Standing(where=f"trainings/{name}", status="damaged", reason=str(error))
            continue
        if record is not None and str(record.get("run_id")) not in seen:
            status, reason = ("trained", "trained, but not tested") if trained else ("unfinished", "training has begun")
            yield Standing(where=str(record.get("run_id")), status=status, reason=reason, record=record)


def standing(store: Store, run: Run) -> Standing:
    """Where a run with a folder stands. Raises HarnessError for a damaged record."""
    record, result = run.read_or_none("experiment.json") or {}, run.read_or_none("result.json")
    if result is not None:
        return Standing(where=run.run_id, status="finished", record=record, result=result)
    if (failure := run.read_or_none("failure.json")) is not None:
        return Standing(where=run.run_id, status="failed", reason=str(failure.get("error")), record={**failure, **record})
    trained = Training(store.root / "trainings" / str(record.get("training_key"))).has("training.json")
    return Standing(where=run.run_id, status="trained" if trained else "unfinished", reason="no result yet", record=record)
