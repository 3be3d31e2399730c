"""Cells that train nothing, for plans of thousands of them: locks, records, checkpoints and answers are those of any cell.

Training is a nap in steps, each saved in `last.safetensors`, and a line in the store's `trained.txt` once `training.json` is
there: a key that stands there twice was trained twice. The test writes made-up figures (see `fake_store`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fake_store import made_up

from harness.ablation.record import Row
from harness.ablation.runner import Runner
from harness.runs import cell as cells
from harness.runs.job import Done, Job, run_job
from harness.store import Cell, Run, Training

LAST, LOG = "last.safetensors", "trained.txt"
NO_TENSORS = (2).to_bytes(8, "little") + b"{}"


def trained(store: Path) -> list[str]:
    """The keys of the trainings that ended, in their order."""
    return (store / LOG).read_text().split() if (store / LOG).exists() else []


@dataclass(frozen=True, kw_only=True)
class StubJob(Job):
    """A job whose training is a nap of so many seconds, in `steps` parts."""

    nap: float = 0.01
    steps: int = 2

    def run(self) -> Done:
        """Runs it with everything but training and testing as it is."""
        with self.stubbed():
            return run_job(self)

    @contextmanager
    def stubbed(self) -> Iterator[None]:
        """Puts the stubs in place, without torch."""
        name, train, before = "harness.runs.result", cells.train_cell, sys.modules.get("harness.runs.result")
        cells.train_cell = self._train  # type: ignore[assignment]
        sys.modules[name] = SimpleNamespace(evaluate_cell=_test)  # type: ignore[assignment]
        try:
            yield
        finally:
            cells.train_cell = train
            del sys.modules[name]
            if before is not None:
                sys.modules[name] = before

    def _train(self, cell: Cell, folder: Training, *_: Any) -> tuple[dict[str, Any], bool]:
        folder.sweep()
        if (summary := folder.read_or_none("training.json")) is not None:
            return summary, False
        found = made_up(cell)
        resumed = (folder.path / LAST).exists()
        done = folder.saved_step()
        if not resumed:
            folder.write("experiment.json", cell.record())
            folder.write("environment.json", found.environment)
        for step in range(done + 1, self.steps + 1):
            self.step(step)
            folder.append("metrics.jsonl", {"step": step, "seconds": 0.1 * step, "validation": {"ssim": 0.5}})
            folder.sync("metrics.jsonl")
            folder.write_checkpoint(LAST, NO_TENSORS, {"state": json.dumps({"step": step})})
        folder.write("training.json", found.training)
        handle = os.open(self.store / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{folder.key}\n".encode())
        os.close(handle)
        return found.training, resumed

    def step(self, number: int) -> None:
        """What a step does; may raise."""
        time.sleep(self.nap / self.steps)


@dataclass(frozen=True, kw_only=True)
class WrongClockJob(StubJob):
    """A job on a machine whose clock is half an hour behind or, for odd seeds, ahead: for the program, and in its files' times."""

    nap: float = 0.0

    def run(self) -> Done:
        """Runs it by that clock."""
        wrong, right = (1800.0, -1800.0)[self.seed % 2], (time.time, time.time_ns)
        time.time, time.time_ns = (lambda: right[0]() - wrong), (lambda: right[1]() - int(1e9 * wrong))
        try:
            done = super().run()
        finally:
            time.time, time.time_ns = right
        key = json.loads((self.store / "runs" / done.run_id / "experiment.json").read_text())["training_key"]
        for folder in (self.store / "runs" / done.run_id, self.store / "trainings" / key):
            for file in folder.iterdir():
                os.utime(file, (file.stat().st_mtime - wrong,) * 2)
        return done


def _test(cell: Cell, training: Training, summary: dict[str, Any], run: Run, *_: Any) -> dict[str, Any]:
    found = made_up(cell)
    run.write("experiment.json", cell.record())
    run.write("environment.json", found.environment)
    run.write("sequences.json", found.sequences)
    run.write("result.json", found.result)
    return run.read("result.json")


class StubRunner(Runner):
    """A plan of stub cells."""

    job_of: type[StubJob] = StubJob

    def _job(self, row: Row) -> StubJob:
        return self.job_of(**vars(super()._job(row)) | {"threads": 0})
