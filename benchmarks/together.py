"""What training several cells in turns in one process brings: sequences a second of all of them together, by their number.

    python benchmarks/together.py --preset cpu --counts 1,2,4,8 --json

Seeds of `base`, by the code that `harness ablate --cells-per-process N` runs. The first steps of each, in which kernels are
chosen and graphs captured, are not counted. `--device cpu --preset tiny --steps 8` tries the script anywhere; a CPU gains nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from harness.runs.job import Job
from harness.runs.request import Request
from harness.runs.together import Together
from harness.store import Folder
from harness.system.environment import environment
from harness.training.loop import WARM_UP_STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--counts", default="1,2,4,8", help="how many cells at once (default 1,2,4,8)")
    parser.add_argument("--steps", type=int, default=100, help="steps of each cell (default 100)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    arguments = parser.parse_args()
    rows = [measure(arguments.preset, arguments.device, int(one), arguments.steps) for one in arguments.counts.split(",")]
    document = {"preset": arguments.preset, "rows": rows, "environment": environment(arguments.device)}
    if arguments.json:
        print(json.dumps(document))
        return
    for row in rows:
        said = (
            row.get("error")
            or f"{row['sequences_per_second']:8.1f} sequences/s, {row['ms_per_step']:8.2f} ms per step of each"
        )
        print(f"{row['cells']:3} cells: {said}")


def measure(preset: str, device: str, count: int, steps: int) -> dict[str, Any]:
    """A row: `count` cells, what they do together, and the memory of the process."""
    settings = {"training.steps": steps, "training.validate_every": steps, "data.validation_sequences": 1}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        request = Request(preset=preset, device=device, settings=settings)
        how = {"request": request, "variant": "base", "store": store, "silent": True, "evaluate": False}
        done = Together(tuple(Job(seed=seed, **how) for seed in range(count))).run()
        if errors := [part.error for part in done.parts if part.error is not None]:
            return {"cells": count, "error": errors[0]}
        alone = [note for part in done.parts for note in part.notes if "run again alone" in note]
        if alone:
            return {"cells": count, "error": f"memory held {count - len(alone)} of them"}
        found = [Folder(path).read("training.json") for path in sorted((store / "trainings").iterdir())]
    return {
        "cells": count,
        "sequences_per_second": sum(one["sequences_per_second"] for one in found),
        "ms_per_step": 1e3 * sum(one["seconds"] for one in found) / (count * (steps - WARM_UP_STEPS)),
        "memory": found[-1]["memory"],
    }


if __name__ == "__main__":
    main()
