"""Cells that take no training, for the tests of studies: their value is a function of one number and the seed."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.presets import preset
from harness.runs.job import Done
from harness.runs.request import Request
from harness.store import Store
from harness.studies import Arm, Float, Study
from harness.tuning.confirm import confirm, statistics
from harness.tuning.database import FOLDER
from harness.tuning.request import StudyRequest
from harness.tuning.search import Search
from harness.tuning.storage import Storage, open_storage


@dataclass(frozen=True)
class StubCell:
    """A cell and its own task: it writes a mark, or fails."""

    run_id: str
    x: float
    seed: int
    folder: Path
    seconds: float = 0.0
    error: str | None = None
    threads: int = 0

    @property
    def mark(self) -> Path:
        return self.folder / self.run_id

    def progress(self) -> int:
        return 0

    def run(self) -> Done:
        time.sleep(self.seconds)
        if self.error:
            return Done(self.run_id, error=self.error)
        with self.mark.open("a") as file:
            file.write("trained\n")
        return Done(self.run_id)


@dataclass
class StubCells:
    folder: Path
    value: Callable[[float, int], float | None] = lambda x, seed: 1 - (x - 0.6) ** 2 + 0.001 * seed
    seconds: float = 0.0
    error: Callable[[float], str | None] = lambda x: None
    curve: Callable[[float], list[float]] = lambda x: []

    def make(self, settings: Mapping[str, object], seed: int) -> StubCell:
        x = float(str(settings["stub.x"]))
        name = hashlib.sha256(f"{x} {seed}".encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        return StubCell(name, x, seed, self.folder, self.seconds, self.error(x))

    def task(self, cell: StubCell, *, evaluate: bool = False) -> StubCell:
        return cell

    def summary(self, cell: StubCell) -> Mapping[str, Any] | None:
        if not cell.mark.exists():
            return None
        return {"validation_ssim": self.value(cell.x, cell.seed), "seconds": 10 * cell.x, "warm_up_seconds": 0.0}

    def validations(self, cell: StubCell) -> list[tuple[int, float]]:
        return list(enumerate(self.curve(cell.x), start=1))

    def tested(self, cell: StubCell) -> Mapping[str, Any] | None:
        return {"ssim": self.value(cell.x, cell.seed)} if cell.mark.exists() else None


class AtOnce:
    """An executor that runs a task when its answer is asked for. `dies_after` answers it raises, as a crash would."""

    def __init__(self, slots: int = 1, dies_after: float = math.inf) -> None:
        self.slots, self.dies_after = slots, dies_after
        self.tasks: dict[int, Any] = {}
        self.tickets = 0
        self.stopped: set[int] = set()
        self.most = 0

    def submit(self, task: Any) -> int:
        self.tickets += 1
        self.tasks[self.tickets] = task
        self.most = max(self.most, len(self.tasks))
        return self.tickets

    def stop(self, ticket: int) -> None:
        self.stopped.add(ticket)

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        if not self.tasks or timeout == 0:
            return []
        ticket, task = next(iter(self.tasks.items()))
        if ticket in self.stopped:
            del self.tasks[ticket]
            return [(ticket, Done(task.run_id, error="stopped", stopped=True))]
        if self.dies_after <= 0:
            raise Crash
        self.dies_after -= 1
        del self.tasks[ticket]
        return [(ticket, task.run())]

    def close(self) -> None:
        pass


class Crash(BaseException):
    """The process is gone: nothing is cleaned up after this."""


STUDY = Study(
    name="stub",
    summary="a number",
    owns=("loss.mse",),
    space=lambda experiment, options: {"x": Float(low=0.0, high=1.0)},
    to_settings=lambda params, experiment: {"stub.x": params["x"]},
    arms=lambda experiment, options: (
        Arm(name="low", params={"x": 0.0}),
        Arm(name="middle", params={"x": 0.5}, reference=True),
    ),
)


def confirmed_study(root: Path) -> dict[str, Any]:
    """Searches and confirms a study of stub cells in the store `root`; returns the record as it was written."""
    with contextlib.closing(Lab(root)) as lab:
        (search := lab.search(trials=6)).run(AtOnce())  # type: ignore[arg-type]
        search.written.confirmed = confirm(search, 3, AtOnce(), statistics())  # type: ignore[arg-type]
        return search.save()


@dataclass
class Lab:
    """A store with studies of stub cells."""

    root: Path
    url: str | None = None
    notes: list[str] = field(default_factory=list)
    open: list[Storage] = field(default_factory=list)

    def close(self) -> None:
        for storage in self.open:
            storage.close()

    def cells(self, **options: Any) -> StubCells:
        return StubCells(self.root / "stub", **options)

    def search(self, study: Study = STUDY, cells: StubCells | None = None, start: Any = None, **plan: Any) -> Search:
        asked = StudyRequest(study=study.name, variant="base", request=Request(preset="tiny"), **({"trials": 6} | plan))
        self.open.append(storage := open_storage(self.url, self.root / FOLDER))
        start = start or (preset("tiny"), {"train": "t", "evaluation": "e"})
        return Search(asked, study, Store(self.root), storage, cells or self.cells(), start, self.notes.append)

    def trainings(self) -> list[int]:
        """How often each cell was trained."""
        return [len(path.read_text().splitlines()) for path in (self.root / "stub").iterdir()]


def completed(record: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Parameters and value of the complete trials of a study's record."""
    return [(trial["params"], trial["value"]) for trial in record["trials"] if trial["state"] == "COMPLETE"]
