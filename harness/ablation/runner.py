"""Runs a plan: skips what the store has, runs the rest in child processes, and says what is missing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.ablation.plan import REFERENCE, Planned, expand
from harness.data.source import Source
from harness.errors import HarnessError, Interrupted, RequestError
from harness.executors.jobs import Jobs
from harness.executors.processes import Done, Job
from harness.executors.protocol import Executors, Processes
from harness.experiment import BUDGETS
from harness.options import RunOptions
from harness.registry import Variants
from harness.runs.execute import finished
from harness.runs.request import SAVE_SECONDS, Request
from harness.store.store import Cell, DamagedRecord, Folder, Store, key_of, validated
from harness.system.devices import choose_device
from harness.system.signals import stop_signals

MATCHES = ("steps", "seconds", "flops")


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A plan with everything that its cells need.

    Args:
        match: what every variant gets as much of as base: optimiser steps, seconds of training, or operations of training.
        retries: how often a failed cell is tried again.
        max_hours: after this time the cells under way are stopped, their state saved; None for no limit.
        save_every: seconds between a training's checkpoints.
        workers: cells at once, each in a process of its own; they may share a GPU. 0: as many as the executor has room for.
        threads: threads of a cell; 0 for torch's own choice with one worker here, an equal share of the cores with more.
    """

    plan: str
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    request: Request
    match: str = "steps"
    plugins: tuple[Path, ...] = ()
    third_party: bool = True
    deterministic: bool = False
    auto_batch: bool = False
    graphs: bool = True
    workers: int = 1
    threads: int = 0
    save_every: float = SAVE_SECONDS
    retries: int = 1
    max_hours: float | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.match not in MATCHES:
            raise RequestError(f"--match {self.match!r}; choose {', '.join(MATCHES)}")
        if self.workers < 0 or self.threads < 0 or self.retries < 0 or (self.max_hours is not None and self.max_hours <= 0):
            raise RequestError("--workers and --retries are at least 0, --max-hours above 0")

    @property
    def cells(self) -> list[Planned]:
        """The plan's cells in the order in which they are run."""
        return expand(self.plan, self.variants, self.seeds)


@dataclass
class Row:
    """A planned cell and how it stands: 'waiting', 'finished', 'failed' or 'stopped'."""

    planned: Planned
    status: str = "waiting"
    cell: Cell | None = None
    request: Request | None = None
    cached: bool = False
    attempts: int = 0
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """Plain values for the plan's record and for --json."""
        return {
            "label": self.planned.label,
            "variant": self.planned.variant,
            "seed": self.planned.seed,
            "run_id": self.cell.run_id if self.cell else None,
            "training_key": self.cell.training_key if self.cell else None,
            "status": self.status,
            "cached": self.cached,
            "attempts": self.attempts,
            "error": self.error,
        }


class Runner:
    """Turns the plan's cells into runs of a store."""

    def __init__(
        self, ablation: Ablation, store: Store, note: Callable[[str], None], executors: Executors = Processes
    ) -> None:
        self.ablation, self.store, self.note, self.executors = ablation, store, note, executors
        self.variants = Variants(files=ablation.plugins, third_party=ablation.third_party)
        self.rows = [Row(planned) for planned in ablation.cells]
        self._source: Source | None = None
        for planned in ablation.cells:  # unknown names and conflicts are refused before anything is trained
            self.variants.compose(planned.variant)

    def prepare(self) -> list[Row]:
        """Makes the cells that can be made now, and marks those that the store has. Trains nothing."""
        for row in self.rows:
            if row.cell is None and (request := self._matched(row.planned)) is not None:
                row.cell, self._source = request.cell(self.variants, row.planned.variant, row.planned.seed, self._source)
                row.request = request
                if self._finished(row.cell):
                    row.status, row.cached = "finished", True
        return self.rows

    def _finished(self, cell: Cell) -> bool:
        try:
            return finished(self.store, cell) is not None
        except DamagedRecord as error:
            self.note(f"damaged: {error}")
            return False

    def _matched(self, planned: Planned) -> Request | None:
        """The request with the budget that makes a cell cost what base costs; None while base's cost is not known yet."""
        ablation, request = self.ablation, self.ablation.request
        if ablation.match == "steps" or planned.variant == REFERENCE:
            return request
        base, self._source = request.cell(self.variants, REFERENCE, planned.seed, self._source)
        cell, _ = request.cell(self.variants, planned.variant, planned.seed, self._source)
        if cell.training_key == base.training_key:
            return request  # it trains nothing of its own (test-time augmentation, say)
        if ablation.match == "flops":
            from harness.evaluation.cost import training_flops

            if base.experiment.training.steps is None:
                raise RequestError("--match flops needs a budget in steps or epochs, not in training.seconds")
            size = (self._source.channels, self._source.height, self._source.width)
            ratio = training_flops(base.experiment, *size) / training_flops(cell.experiment, *size)
            return _with_budget(request, "training.steps", max(1, round(base.experiment.training.steps * ratio)))
        try:
            summary = self.store.training(base).read_or_none("training.json")
        except DamagedRecord:  # its result has the times too, unless it is run again
            summary = self.store.run(base).read("result.json")["training"] if self._finished(base) else None
        if summary is None:
            return None
        with validated(self.store.training(base).path / "training.json"):
            return _with_budget(
                request, "training.seconds", max(0.001, round(summary["seconds"] + summary["warm_up_seconds"], 3))
            )

    def run(self) -> list[Row]:
        """Runs every cell that is not finished. Returns the rows; none of them raises for a cell that failed.

        Raises Interrupted when the process was told to stop: the state of all cells under way is saved.
        """
        self.prepare()
        self._keep_damaged()
        self._save()
        ends = None if self.ablation.max_hours is None else time.monotonic() + self.ablation.max_hours * 3600
        todo = [row for row in self.rows if row.status != "finished"]
        under_way: dict[int, Row] = {}
        stopping = False
        executor = self.executors(self.ablation.workers)
        with stop_signals() as stop, contextlib.closing(executor):
            while todo or under_way:
                if not stopping and (stop.is_set() or (ends is not None and time.monotonic() > ends)):
                    stopping = True
                    self.note("stopping: the state of the cells under way is being saved")
                    for ticket in under_way:
                        executor.stop(ticket)
                if stopping:
                    _set_status(todo, "stopped")
                while todo and len(under_way) < executor.slots and (row := self._next(todo, under_way)) is not None:
                    row.attempts += 1
                    under_way[executor.submit(self._job(row))] = row
                if todo and not under_way:  # what is left waits for a base that failed
                    _set_status(todo, "failed", "base of this seed has not finished, so its budget is unknown")
                for ticket, done in executor.done(0.2) if under_way else ():
                    self._settle(under_way.pop(ticket), done, todo, stopping)
                    self._save()
        self._save()
        if stop.is_set():
            raise Interrupted(f"{self._counts()}; run the same command again to go on")
        return self.rows

    def estimate(self, steps: int = 2) -> dict[str, float]:
        """What is still to be run will take, from `steps` measured steps and one test batch of every composition.

        Cells that share a training are counted once; a curriculum is scaled by what its shorter horizons cost.
        """
        from harness.evaluation.cost import training_flops
        from harness.training.trainer import time_steps

        choose_device(self.ablation.request.device)  # a cluster's GPU cannot be measured from here
        todo = [row for row in self.rows if row.status != "finished"]
        measured: dict[str, tuple[float, float, int]] = {}
        trained: set[str] = set()
        seconds, memory, source = 0.0, 0, self._source
        for row in todo:
            if row.cell is None or source is None:  # its budget is base's seconds, which are not known yet
                seconds += seconds / max(1, len(trained))
                continue
            experiment = row.cell.experiment
            training = experiment.training
            if row.planned.variant not in measured:
                step, test, peak = time_steps(experiment, source, self.ablation.request.device, steps)
                if training.curriculum is not None and training.steps is not None:
                    size = (source.channels, source.height, source.width)
                    full = replace(experiment, training=replace(training, curriculum=None))
                    step *= training_flops(experiment, *size) / training_flops(full, *size)
                measured[row.planned.variant] = step, test, peak
            step, test, peak = measured[row.planned.variant]
            memory = max(memory, peak)
            seconds += test * source.test_sequences / training.batch_size
            if (
                row.cell.training_key not in trained
                and not self.store.training(row.cell).path.joinpath("training.json").exists()
            ):
                trained.add(row.cell.training_key)
                seconds += training.seconds or step * (training.steps or 0)
        return {
            "cells": len(todo),
            "trainings": len(trained),
            "seconds": seconds / max(1, self.ablation.workers),
            "memory_bytes": memory,
            "measured_steps": steps,
        }

    def _next(self, todo: list[Row], under_way: Mapping[int, Row]) -> Row | None:
        """Takes the next cell that can start: its budget is known and no other cell trains the same weights right now."""
        busy = {row.cell.training_key for row in under_way.values() if row.cell}
        for index, row in enumerate(todo):
            if row.cell is None:
                self.prepare()
            if row.status == "finished":
                todo.pop(index)
                return self._next(todo, under_way)
            if row.cell is not None and row.cell.training_key not in busy:
                return todo.pop(index)
        return None

    def _job(self, row: Row) -> Job:
        ablation = self.ablation
        assert row.request is not None
        options = RunOptions(
            deterministic=ablation.deterministic,
            auto_batch=ablation.auto_batch,
            no_graphs=not ablation.graphs,
            save_every=ablation.save_every,
        )
        jobs = Jobs(
            plugins=ablation.plugins,
            third_party=ablation.third_party,
            options=options,
            workers=ablation.workers,
            threads=ablation.threads,
        )
        return jobs.job(self.store.root, row.request, row.planned.variant, row.planned.seed)

    def _settle(self, row: Row, done: Done, todo: list[Row], stopping: bool) -> None:
        assert row.cell is not None
        what = f"{row.planned.label} seed {row.planned.seed}"
        if done.error is None:
            row.status, row.cached, row.error = "finished", done.cached, None
            finished_count = sum(one.status == "finished" for one in self.rows)
            self.note(f"{what}: finished ({finished_count} of {len(self.rows)})")
        elif done.stopped or stopping:
            row.status = "stopped"
        else:
            row.error = done.error
            again = row.attempts <= self.ablation.retries
            self.note(f"{what}: failed{', trying again' if again else ''}: {done.error}")
            record = {"variant": row.cell.variant, "seed": row.planned.seed, "error": done.error, "attempts": row.attempts}
            with contextlib.suppress(HarnessError):  # a full disk must not hide the cell's own error
                folder = self.store.run(row.cell)
                folder.write("experiment.json", row.cell.record())  # so that `harness show` knows what failed
                folder.write("failure.json", record)
            row.status = "waiting" if again else "failed"
            if again:
                todo.append(row)

    def _keep_damaged(self) -> None:
        """Puts an earlier record of this plan that is damaged into quarantine. Raises NewerFormat for one not to be touched."""
        folder, name = self._folder, self._name
        try:
            folder.read_or_none(name)
        except DamagedRecord as error:
            aside = self.store.quarantine(folder.path / name, str(error))
            self.note(f"damaged: {error}. It is kept in {aside} and written anew")

    @property
    def _folder(self) -> Folder:
        return Folder(self.store.part("plans"))

    @property
    def _name(self) -> str:
        return f"{key_of(self._spec())}.json"

    def _spec(self) -> dict[str, Any]:
        """What makes the plan another one."""
        ablation = self.ablation
        settings = {**(ablation.request.config or {}), **(ablation.request.settings or {})}
        return {
            "plan": ablation.plan,
            "match": ablation.match,
            "preset": ablation.request.preset,
            "variants": list(ablation.variants),
            "seeds": list(ablation.seeds),
            "settings": {path: str(value) for path, value in settings.items()},
        }

    def _save(self) -> None:
        """Writes the plan's record: the report finds there what belongs together and what is missing."""
        record = self._spec() | {
            "reference": REFERENCE,
            "command": self.ablation.command,
            "cells": [row.record() for row in self.rows],
        }
        self._folder.write(self._name, record)

    def _counts(self) -> str:
        counts = {status: sum(row.status == status for row in self.rows) for status in ("finished", "failed", "stopped")}
        return ", ".join(f"{count} of {len(self.rows)} cells {status}" for status, count in counts.items() if count)


def _set_status(todo: list[Row], status: str, error: str | None = None) -> None:
    """Gives up on what is still to do."""
    for row in todo:
        row.status, row.error = status, error
    todo.clear()


def _with_budget(request: Request, path: str, value: float) -> Request:
    others = {key: old for key, old in (request.settings or {}).items() if key not in {f"training.{one}" for one in BUDGETS}}
    return replace(request, settings=others | {path: value})
