"""What training several cells at once on one device brings: sequences a second of all of them together, by their number.

    python benchmarks/together.py --preset cpu --counts 1,2,4,8 --json

Seeds of `base`, in turns in one process, as `harness ablate --cells-per-process N` trains them, and in a process each, as
`--workers N` does. The first steps of each, in which kernels are chosen and graphs captured, are not counted. `--device cpu
--preset tiny --counts 1,2 --steps 8` tries the script anywhere.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.executors.processes import Processes, share_of_cores
from harness.runs.job import Done, Job
from harness.runs.request import Request
from harness.runs.together import Together
from harness.store import Folder
from harness.system.environment import environment
from harness.training.loop import WARM_UP_STEPS

OPTIONS = {"turns": "--cells-per-process", "processes": "--workers"}
PATIENCE = 120.0
"""Seconds that a process waits for the others to be ready."""


@dataclass(frozen=True)
class Meeting:
    """A job that begins once `count` processes are ready for theirs."""

    job: Job
    count: int

    @property
    def threads(self) -> int:
        """As the job's."""
        return self.job.threads

    def progress(self) -> int:
        """As the job's."""
        return self.job.progress()

    def run(self) -> Done:
        """Waits for the others, and runs the job."""
        import torch

        if self.job.request.device != "cpu":
            torch.cuda.init()
        ready, ends = self.job.store / "ready", time.monotonic() + PATIENCE
        ready.mkdir(parents=True, exist_ok=True)
        (ready / str(self.job.seed)).touch()
        while len(list(ready.iterdir())) < self.count and time.monotonic() < ends:
            time.sleep(0.01)
        return self.job.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--counts", default="1,2,4,8", help="how many cells at once (default 1,2,4,8)")
    parser.add_argument("--steps", type=int, default=100, help="steps of each cell (default 100)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    arguments = parser.parse_args()
    rows = []
    for count in map(int, arguments.counts.split(",")):
        for how in ("turns", "processes") if count > 1 else ("turns",):
            rows.append(
                {"cells": count, "how": how, **measure(arguments.preset, arguments.device, count, how, arguments.steps)}
            )
    if arguments.json:
        print(json.dumps({"preset": arguments.preset, "rows": rows, "environment": environment(arguments.device)}))
        return
    for row in rows:
        said = (
            row.get("error")
            or f"{row['sequences_per_second']:8.1f} sequences/s, {row['ms_per_step']:8.2f} ms a step of each"
        )
        print(f"{row['cells']:3} in {row['how']:10} {said}")


def measure(preset: str, device: str, count: int, how: str, steps: int) -> dict[str, Any]:
    """A row: what `count` cells do together."""
    settings = {"training.steps": steps, "training.validate_every": steps, "data.validation_sequences": 1}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        request = Request(preset=preset, device=device, settings=settings)
        shared = {"request": request, "variant": "base", "store": store, "silent": True, "evaluate": False}
        threads = share_of_cores(count) if how == "processes" else 0
        jobs = [Job(seed=seed, threads=threads, **shared) for seed in range(count)]
        answers = list(Together(tuple(jobs)).run().parts) if how == "turns" else in_processes(jobs)
        if errors := [one.error for one in answers if one.error is not None]:
            return {"error": errors[0]}
        if alone := sum("run again alone" in note for one in answers for note in one.notes):
            return {"error": f"memory held {count - alone} of them"}
        found = [Folder(path).read("training.json") for path in sorted((store / "trainings").iterdir())]
    return {
        "sequences_per_second": sum(one["sequences_per_second"] for one in found),
        "ms_per_step": 1e3 * sum(one["seconds"] for one in found) / (count * (steps - WARM_UP_STEPS)),
        "memory": found[-1]["memory"],
    }


def in_processes(jobs: list[Job]) -> list[Done]:
    """Each in a process of its own, all at once."""
    answers: list[Done] = []
    with closing(Processes(len(jobs))) as processes:
        for job in jobs:
            processes.submit(Meeting(job, len(jobs)))
        while len(answers) < len(jobs):
            answers += [done for _, done in processes.done(1.0)]
    return answers


def fastest(rows: list[dict[str, Any]]) -> tuple[str, int, float]:
    """The option of `ablate` for the row with most sequences a second, its number, and how many times one cell's that is."""
    rates = {(OPTIONS[row["how"]], row["cells"]): float(row["sequences_per_second"]) for row in rows if "error" not in row}
    alone = next((rate for (_, count), rate in rates.items() if count == 1), None)
    if alone is None:
        return "--workers", 1, 1.0
    option, count = max(rates, key=lambda one: rates[one])
    return option, count, rates[option, count] / alone


if __name__ == "__main__":
    main()
