"""What a plan of thousands of cells does on machines that fail: a simulation of the machines, around the policy as it is.

    python benchmarks/failures.py [--cells 1000] [--machines 100] [--seed 0] [--json FILE]

The loop of plans, retries, losses and pauses are those of `harness ablate` on a cluster (`harness.executors.remote`); machines, and
the time that cells take on them, are simulated by events, so that days pass in seconds. A cell takes an hour and saves its
state every 30 s. `spot`: machines vanish after 5 minutes on average and come back after one. `bad machine`: one fails every
cell after 5 s. `out of memory`: one cell in a hundred fails after a minute, wherever it runs. `all at once`: all of it. Each
beside what would happen without that part of the policy: a limit of five losses in all, and no pauses. Last, not simulated:
stub cells on two processes here by clocks that are an hour apart.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.ablation.plan import Ablation, swept
from harness.ablation.record import Row
from harness.ablation.runner import Runner
from harness.executors.remote import Lost, Remote, RemoteTask, Submission
from harness.runs.job import Done
from harness.runs.request import Request
from harness.store import Cell, Store

HOUR, SAVE = 3600.0, 30.0
FAILS, DIES = 5.0, 60.0
"""Seconds until a bad machine fails a cell, and until a cell that is too large runs out of memory."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What happens to machines and cells. `vanish` and `back`: mean seconds until a machine is gone, and until there is another.

    Args:
        too_large: cells that run out of memory.
        remembers: the number of losses counts from the last progress; else all of them do.
        pauses: machines that fail pause, and what fails there is not the cell's fault.
    """

    cells: int = 1000
    machines: int = 100
    seconds: float = HOUR
    vanish: float = 0.0
    back: float = 60.0
    bad: int = 0
    too_large: int = 0
    remembers: bool = True
    pauses: bool = True
    seed: int = 0


@dataclass(frozen=True)
class SimulatedCell:
    """A cell that takes simulated time. `saved` is shared by all: seconds of training in each cell's last state."""

    number: int
    saved: dict[int, float] = field(repr=False)
    remembers: bool = True
    threads: int = 0

    def progress(self) -> int:
        """Seconds of training that are saved."""
        return int(self.saved.get(self.number, 0.0)) if self.remembers else 0

    def run(self) -> Done:
        """Never called: the simulated cluster decides how the cell ends."""
        raise AssertionError("a simulated cell was run")


class Simulated(Remote):
    """A cluster whose machines each run one cell at a time, in simulated seconds `now`."""

    def __init__(self, world: World, store: Path) -> None:
        super().__init__(store, lambda text: None)
        self.world, self.now, self.rng = world, 0.0, random.Random(world.seed)
        self.saved: dict[int, float] = {}
        self.lost, self.eaten, self.wasted = 0, 0, 0.0
        self._queue: list[int] = []
        self._sent: dict[int, RemoteTask] = {}
        self._events: list[tuple[float, int, str, int, int]] = []
        self._idle = list(range(world.machines))
        self._ends: dict[int, Done | Lost] = {}
        self._serial = 0

    @property
    def slots(self) -> int:
        """One a machine."""
        return self.world.machines

    def _send(self, remote_task: RemoteTask) -> int:
        self._serial += 1
        self._sent[self._serial] = remote_task
        self._queue.append(self._serial)
        return self._serial

    def _cancel(self, handle: Any) -> None:
        """Nothing is told to stop here."""

    def _begin(self) -> None:
        """Gives queued tasks to idle machines, and works out how each will end."""
        while self._queue and self._idle:
            machine, handle = self._idle.pop(self.rng.randrange(len(self._idle))), self._queue.pop(0)
            task = self._sent[handle]
            cell, world = task.task, self.world
            assert isinstance(cell, SimulatedCell)
            waits = task.pause(f"machine {machine}")
            left = world.seconds - self.saved.get(cell.number, 0.0)
            how, after = "done", waits + left
            if machine < world.bad:
                how, after = "failed", waits + FAILS
            elif cell.number < world.too_large:
                how, after = "failed", waits + min(DIES, left)
            gone = self.rng.expovariate(1 / world.vanish) if world.vanish else float("inf")
            if gone < after:
                how, after = "gone", gone
            if how == "failed" and machine < world.bad:
                self.eaten += 1
            if how == "gone":
                trained = max(0.0, gone - waits) if machine >= world.bad and cell.number >= world.too_large else 0.0
                kept = trained // SAVE * SAVE
                self.saved[cell.number] = self.saved.get(cell.number, 0.0) + kept
                self.wasted += trained - kept
            heapq.heappush(self._events, (self.now + after, handle, how, machine, cell.number))

    def _ready(self, timeout: float) -> list[int]:
        self._begin()
        while self._events:
            self.now, handle, how, machine, _ = heapq.heappop(self._events)
            if how == "back":
                self._idle.append(machine)
                self._begin()
                continue
            name = f"machine {machine}"
            if how == "gone":
                self.lost += 1
                self._ends[handle] = Lost(f"{name} vanished")
                heapq.heappush(self._events, (self.now + self.rng.expovariate(1 / self.world.back), 0, "back", machine, 0))
            else:
                known = name if self.world.pauses else ""
                self._ends[handle] = Done("", error=None if how == "done" else "it broke", machine=known)
                self._idle.append(machine)
            return [ticket for ticket, one in self._submissions.items() if one.handle == handle]
        return []

    def _answer(self, submission: Submission) -> Done:
        found = self._ends.pop(submission.handle)
        if isinstance(found, Lost):
            raise found
        return found


class SimulatedRunner(Runner):
    """A plan whose cells are simulated."""

    cluster: Simulated

    def _job(self, row: Row) -> SimulatedCell:  # type: ignore[override]
        return SimulatedCell(self.rows.index(row), self.cluster.saved, self.cluster.world.remembers)

    def _there(self, cell: Cell) -> bool:
        return True  # it writes nothing


def simulate(world: World) -> dict[str, Any]:
    """Runs a plan in a world. Times in hours; `eaten`: how often a bad machine failed a cell; `repeated`: hours trained again."""
    arms = max(2, min(100, world.cells // 10))
    rates = ",".join(f"{1e-3 * (1 + index / 1000):.6g}" for index in range(1, arms))
    plan = Ablation(
        plan=swept(["base"], [f"training.optimizer.lr={rates}"]),
        variants=(),
        seeds=tuple(range(world.cells // arms)),
        request=Request(preset="tiny"),
        workers=world.machines,
    )
    with tempfile.TemporaryDirectory() as folder:
        cluster = Simulated(world, Path(folder))
        runner = SimulatedRunner(plan, Store(Path(folder)), lambda text: None, lambda slots: cluster)
        runner.cluster = cluster
        rows = runner.run()
    good = world.machines - world.bad
    return {
        "cells": len(rows),
        "finished": sum(row.status == "finished" for row in rows),
        "failed": sum(row.status == "failed" for row in rows),
        "failed_without_own_fault": sum(row.status == "failed" for row in rows[world.too_large :]),
        "machines_lost": cluster.lost,
        "eaten": cluster.eaten,
        "hours": cluster.now / HOUR,
        "hours_without_failures": len(rows) * world.seconds / good / HOUR,
        "repeated_hours": cluster.wasted / HOUR,
    }


def wrong_clocks(cells: int) -> dict[str, Any]:
    """A plan of stub cells on two processes here, and the same plan again: no simulation. Half of the cells run by a clock that is
    an hour ahead of the others', in their files' times too.

    `again`: cells that the second call answered from the store.
    """
    from scale import plan
    from stub_cells import StubRunner, WrongClockJob, trained

    class WrongClocks(StubRunner):
        job_of = WrongClockJob

    with tempfile.TemporaryDirectory() as folder:
        first, second = (WrongClocks(plan(cells), Store(Path(folder)), lambda text: None).run() for _ in range(2))
        keys = trained(Path(folder))
        return {
            "cells": len(first),
            "finished": sum(row.status == "finished" for row in first),
            "trained_twice": len(keys) - len(set(keys)),
            "again": sum(row.cached for row in second),
            "quarantined": sum(1 for _ in Path(folder).glob("quarantine/*")),
        }


def worlds(cells: int, machines: int, seed: int) -> dict[str, World]:
    """What is simulated."""
    few = max(1, cells // 100)

    def world(**given: Any) -> World:
        return World(cells=cells, machines=machines, seed=seed, **given)

    return {
        "spot": world(vanish=300.0),
        "spot, five losses in all": world(vanish=300.0, remembers=False),
        "bad machine": world(bad=1),
        "bad machine, no pauses": world(bad=1, pauses=False),
        "out of memory": world(too_large=few),
        "all at once": world(vanish=300.0, bad=1, too_large=few),
        "all at once, without both": world(vanish=300.0, bad=1, too_large=few, remembers=False, pauses=False),
    }


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write one JSON document to this file")
    asked = parser.parse_args()
    found = {name: simulate(one) for name, one in worlds(asked.cells, asked.machines, asked.seed).items()}
    columns = list(next(iter(found.values())))
    print("| world | " + " | ".join(columns) + " |\n| --- |" + " ---: |" * len(columns))
    for name, row in found.items():
        print(
            f"| {name} | "
            + " | ".join(f"{row[one]:.1f}" if isinstance(row[one], float) else f"{row[one]:,}" for one in columns)
            + " |"
        )
    clocks = wrong_clocks(max(20, asked.cells // 5))
    print("\nclocks an hour apart: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in clocks.items()))
    found["clocks an hour apart"] = clocks
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
