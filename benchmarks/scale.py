"""What a plan of thousands of cells costs beside its cells, which are naps of 10 ms (see `stub_cells`).

    python benchmarks/scale.py [--cells 100 1000 10000] [--only processes,ray,slurm,kill,commands,operations] [--out FOLDER]

processes: the plan on two local processes: time and memory of the asking process, and how they grow. ray, slurm: the same on a Ray
cluster of this machine, and as jobs of submitit's local executor, which starts a Python process for each. kill: the asking process
and half of the workers are killed at random until the plan is done. commands: start of a plan of which 99% is done, `--dry-run`,
`list`, `report` and `frame`. operations: system calls on the store's files a cell, counted by strace, and files a run.

Every plan runs in a process of its own. Times on the clock depend on whatever else the machine does; processor time hardly does.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import measure
from stub_cells import StubRunner, trained

from harness.ablation.plan import Ablation, swept
from harness.executors.processes import Processes
from harness.executors.resources import executors, resolve_resources
from harness.options import ExecutorOptions
from harness.runs.request import Request
from harness.store import Store

HERE = Path(__file__).resolve().parent
NAP = 0.01
ARMS = 100
STAGES = ("processes", "ray", "slurm", "kill", "commands", "operations")
FEW = {"slurm": 300, "kill": 2000}
"""The most cells of a stage: a job of submitit's local executor takes seconds."""
EXECUTORS = {
    "processes": ExecutorOptions(workers=2),
    "ray": ExecutorOptions(executor="ray", workers=2),
    "slurm": ExecutorOptions(executor="slurm", workers=2, slurm="cluster=local"),
}


def sweep(arms: int) -> str:
    """The values of a learning rate that make so many arms, base among them."""
    return "training.optimizer.lr=" + ",".join(f"{1e-3 * (1 + index / 1000):.6g}" for index in range(1, arms))


def plan(cells: int) -> Ablation:
    """A plan of so many cells: 100 arms, or all of them where there are fewer."""
    arms = min(ARMS, max(2, cells // 2))
    seeds = tuple(range(max(1, cells // arms)))
    return Ablation(
        plan=swept(["base"], [sweep(arms)]), variants=(), seeds=seeds, request=Request(preset="tiny"), workers=2, retries=0
    )


def run_here(root: Path, cells: int, executor: str) -> None:
    """Runs a plan in this process, and prints what it took."""
    root.mkdir(parents=True, exist_ok=True)
    options = EXECUTORS[executor]
    made = Processes if executor == "processes" else executors(resolve_resources(options), root, lambda text: None)
    clock = time.perf_counter()
    rows = StubRunner(plan(cells), Store(root), lambda text: None, made).run()
    own, theirs = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    document = {
        "cells": len(rows),
        "finished": sum(row.status == "finished" for row in rows),
        "errors": sorted({str(row.error) for row in rows if row.error})[:3],
        "seconds": time.perf_counter() - clock,
        "driver_cpu_seconds": own.ru_utime + own.ru_stime,
        "workers_cpu_seconds": theirs.ru_utime + theirs.ru_stime,
        "driver_peak_bytes": own.ru_maxrss * 1024,
    }
    print(json.dumps(document))


def start_here(root: Path, cells: int) -> None:
    """Times this plan's start in this process: up to the first cell that is given to an executor."""

    class Began(Exception):
        pass

    class First:
        slots = 1

        def submit(self, task: object) -> int:
            raise Began

        def close(self) -> None: ...

    clock, cpu = time.perf_counter(), time.process_time()
    runner = StubRunner(plan(cells), Store(root), lambda text: None, lambda slots: First())  # type: ignore[arg-type,return-value]
    with contextlib.suppress(Began):
        runner.run()
    found = {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(found | {"cells": len(runner.rows), "finished": sum(row.status == "finished" for row in runner.rows)}))


def child(*words: object, wrap: tuple[str, ...] = ()) -> dict[str, Any]:
    """What this script prints in a process of its own."""
    done = subprocess.run([*wrap, sys.executable, __file__, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found.get("errors"):
        sys.exit(
            f"{' '.join(map(str, words))}: {found['finished']} of {found['cells']} cells finished; {found['errors'][0]}"
        )
    return found


def growth(rows: list[dict[str, Any]], field: str) -> dict[str, float]:
    """By which power of the cells a cost grows: from the smallest plan to the largest, and between the two largest."""

    def power(a: dict[str, Any], b: dict[str, Any]) -> float:
        return math.log(b[field] / a[field]) / math.log(b["cells"] / a["cells"])

    return {"all": power(rows[0], rows[-1]), "largest": power(rows[-2], rows[-1])} if len(rows) > 1 else {}


def processes(sizes: list[int], folder: Path) -> dict[str, Any]:
    """Plans of each size on two processes; the largest one's store stays, for the stage `commands`."""
    rows = []
    for cells in sizes:
        load = os.getloadavg()[0]
        found = child("--here", "processes", "--cells", cells, "--store", folder / f"processes-{cells}")
        per_cell = {
            "driver_cpu_ms_a_cell": 1000 * found["driver_cpu_seconds"] / found["cells"],
            "workers_cpu_ms_a_cell": 1000 * found["workers_cpu_seconds"] / found["cells"],
            "overhead_ms_a_cell": 1000 * (2 * found["seconds"] / found["cells"] - NAP),
        }
        rows.append(found | per_cell | {"load_before": load})
    costs = ("driver_cpu_seconds", "workers_cpu_seconds", "seconds")
    return {"plans": rows, "growth": {field: growth(rows, field) for field in costs}}


def elsewhere(executor: str, sizes: list[int], folder: Path) -> dict[str, Any]:
    """One plan on another executor."""
    cells = min(max(sizes), FEW.get(executor, max(sizes)))
    load = os.getloadavg()[0]
    found = child("--here", executor, "--cells", cells, "--store", folder / executor)
    return found | {"overhead_ms_a_cell": 1000 * (2 * found["seconds"] / found["cells"] - NAP), "load_before": load}


def kill(sizes: list[int], folder: Path, kills: int = 12, seed: int = 0) -> dict[str, Any]:
    """Kills the asking process and half of its workers so many times, at random moments, and then lets the plan end. Counts.

    A worker that is killed between the end of a training and its line in the log leaves one line less than there are cells.
    """
    cells, store, rng = min(max(sizes), FEW["kill"]), folder / "kill", random.Random(seed)
    store.mkdir(parents=True)
    words = [sys.executable, __file__, "--here", "processes", "--cells", str(cells), "--store", str(store)]
    workers = 0
    for _ in range(kills):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wanted = len(trained(store)) + rng.randint(0, cells // kills)
        while process.poll() is None and len(trained(store)) < wanted:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        if process.poll() is None:
            victims = rng.sample(found := workers_of(process.pid), (len(found) + 1) // 2)
            for one in (process.pid, *victims):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            workers += len(victims)
        process.communicate()
    found = child("--here", "processes", "--cells", cells, "--store", store)
    keys = trained(store)
    return {
        "cells": cells,
        "drivers_killed": kills,
        "workers_killed": workers,
        "finished": found["finished"],
        "errors": found["errors"],
        "results": sum(1 for _ in store.glob("runs/*/result.json")),
        "trainings": len(set(keys)),
        "trained_twice": len(keys) - len(set(keys)),
        "quarantined": sum(1 for _ in store.glob("quarantine/*")),
    }


def workers_of(pid: int) -> list[int]:
    """The worker processes of a process, without multiprocessing's own helper."""
    found = []
    with contextlib.suppress(OSError):
        for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes():
                    found.append(int(one))
    return found


def commands(sizes: list[int], folder: Path) -> dict[str, Any]:
    """Commands on the store of the largest plan, of which 1% is taken away first."""
    cells = max(sizes)
    store = folder / f"processes-{cells}"
    for run in sorted(store.glob("runs/*"))[:: ARMS if cells >= ARMS else 2]:
        key = json.loads((run / "experiment.json").read_text())["training_key"]
        shutil.rmtree(run)
        shutil.rmtree(store / "trainings" / key)
    ablation = plan(cells)
    plans = ["ablate", "--sweep", sweep(len(ablation.plan.split(",")))]
    plans += ["--seeds", str(len(ablation.seeds)), "--preset", "tiny", "--dry-run"]
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    words = {
        "--dry-run, 99% done": [*plans, "--store", str(store)],
        "--dry-run, nothing done": [*plans, "--store", str(empty)],
        "list runs, first": ["list", "runs", "--store", str(store)],
        "list runs": ["list", "runs", "--store", str(store)],
        "report": ["report", "--store", str(store), "--out", str(folder / "report")],
        "frame": ["frame", "--store", str(store), "--format", "csv", "--out", str(folder / "frames")],
    }
    rows = {"start, 99% done": child("--start", "--cells", cells, "--store", store) | {"load_before": os.getloadavg()[0]}}
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "ablation-harness"
    shutil.rmtree(cache / "marks", ignore_errors=True)
    rows["start, 99% done, on another machine"] = child("--start", "--cells", cells, "--store", store) | {
        "load_before": os.getloadavg()[0]
    }
    for name, command in words.items():
        load = os.getloadavg()[0]
        seconds, cpu, peak = measure(command, dict(os.environ))
        rows[name] = {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak, "load_before": load}
        print(f"{name}: {rows[name]}", file=sys.stderr, flush=True)
    return {"cells": cells, "commands": rows}


_CALL = re.compile(r"(?:\[pid +\d+\] |\d+ +)?(\w+)\(")


def operations(sizes: list[int], folder: Path) -> dict[str, Any]:
    """System calls on the store's files a cell: of two plans, whose difference leaves out a plan's own; of a real cell."""
    if shutil.which("strace") is None:
        return {"skipped": "strace is not installed"}
    counts = {}
    for cells in (20, 40):
        store = folder / f"operations-{cells}"
        wrap = ("strace", "-f", "-y", "-qq", "-s", "0", "-e", "trace=%file,%desc", "-o", str(folder / f"calls-{cells}"))
        child("--here", "processes", "--cells", cells, "--store", store, wrap=wrap)
        counts[cells] = _calls(folder / f"calls-{cells}", store)
    stub = {name: (counts[40][name] - counts[20][name]) / 20 for name in sorted(counts[40].keys() | counts[20].keys())}
    store = folder / "operations-real"
    words = [sys.executable, "-c", "from harness.cli.app import main; main()", "run", "--preset", "tiny", "--no-plugins"]
    wrap = ("strace", "-f", "-y", "-qq", "-s", "0", "-e", "trace=%file,%desc", "-o", str(folder / "calls-real"))
    subprocess.run([*wrap, *words, "--store", str(store)], check=True, capture_output=True)
    real = _calls(folder / "calls-real", store)
    files = sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.parent != store)
    return {
        "stub_calls_a_cell": {"sum": sum(stub.values()), **stub},
        "real_calls_of_a_cell": {"sum": sum(real.values()), **dict(sorted(real.items()))},
        "inodes_of_a_run": len(files),
        "files_of_a_run": files,
    }


def _calls(log: Path, store: Path) -> collections.Counter[str]:
    """Calls that name a file of the store, by name; those that only ask the kernel about an open file are left out."""
    found: collections.Counter[str] = collections.Counter()
    with log.open(errors="replace") as lines:
        for line in lines:
            match = _CALL.match(line)
            if match and str(store) in line and match[1] not in ("lseek", "fcntl", "ioctl", "flock", "dup", "close"):
                found[match[1]] += 1
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument("--only", default=",".join(STAGES))
    parser.add_argument("--out", type=Path, help="folder of the JSON documents, one a stage")
    parser.add_argument("--keep", type=Path, help="folder of the stores; a temporary one if not given")
    parser.add_argument("--here", choices=EXECUTORS, help=argparse.SUPPRESS)
    parser.add_argument("--start", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        run_here(asked.store, asked.cells[0], asked.here)
        return
    if asked.start:
        start_here(asked.store, asked.cells[0])
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(HERE), os.environ.get("PYTHONPATH")))
        )  # jobs unpickle stubs
        makers = {
            "processes": processes,
            "ray": lambda sizes, where: elsewhere("ray", sizes, where),
            "slurm": lambda sizes, where: elsewhere("slurm", sizes, where),
            "kill": kill,
            "commands": commands,
            "operations": operations,
        }
        for stage in asked.only.split(","):
            found = makers[stage](asked.cells, folder)
            text = json.dumps(found, indent=1)
            print(f"{stage}: {text}", flush=True)
            if asked.out:
                asked.out.mkdir(parents=True, exist_ok=True)
                (asked.out / f"{stage}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
