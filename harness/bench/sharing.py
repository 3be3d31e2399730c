"""How many cells at once, and with how many threads each: chosen from what this machine was measured to do.

Small networks gain little from a second thread, so cells at the same time do more than one cell with all cores.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, NamedTuple

import platformdirs
import torch

from harness.bench.estimate import time_steps
from harness.data.source import open_source
from harness.errors import HarnessError
from harness.experiment import Experiment
from harness.options import ExecutorOptions
from harness.system import files
from harness.system.environment import describe_device

WORTH_MEASURING = 1000
"""Training steps of all cells together below which starting processes costs more than they bring."""
MEMORY_SHARE = 0.8
"""Share of the free memory that cells may fill."""
STEPS, PATIENCE = 5, 120.0
"""Timed steps of a process; seconds to wait for the others to start."""


class Share(NamedTuple):
    """How cells share a machine: how many at once, and the threads of each (0: torch's own choice, for one at a time)."""

    workers: int
    threads: int


class Measured(NamedTuple):
    """What a machine did: steps per second of all processes together by their number, and peak bytes of one of them."""

    rates: Mapping[int, float]
    memory_bytes: int


def best_share(measured: Measured, *, cells: int, cores: int, free_bytes: int) -> Share:
    """The share that ends soonest: `cells` in rounds of as many as run at once, each with an equal part of the cores.

    One process is always possible; more only where the free memory holds them. Of two that take as long, the smaller.
    """

    def duration(workers: int) -> float:
        return -(-cells // workers) * workers / measured.rates[workers]

    fits = [n for n in measured.rates if n <= cells and n * measured.memory_bytes <= MEMORY_SHARE * free_bytes]
    workers = min(sorted({1, *fits}), key=duration)
    return Share(workers, max(1, cores // workers) if workers > 1 else 0)


def share_machine(
    asked: ExecutorOptions,
    device: str,
    experiment: Experiment,
    cells: int,
    digits: Path | None,
    note: Callable[[str], None],
) -> Share | None:
    """How `cells` trainings like `experiment` (resolved) share this machine; None: as the options say.

    The user's own numbers, another executor and a GPU are left alone. So are a budget in seconds, in which cells at the same
    time would take steps from each other, and work that is done before a measurement would be. The number depends on all
    cells, not on those left to run: a plan that continues trains its cells with the same threads, hence to the same bits.
    """
    steps = experiment.training.steps
    chosen = asked.workers is not None or asked.cpus is not None or asked.executor != "processes"
    if (
        chosen
        or device != "cpu"
        or steps is None
        or cells < 2
        or cells * steps < WORTH_MEASURING
        or (cores := cores_here()) < 2
    ):
        return None
    measured = remembered(experiment, digits, cores, note)
    if measured is None:
        return None
    found = best_share(measured, cells=cells, cores=cores, free_bytes=free_memory())
    if found.workers > 1:
        note(
            f"{found.workers} cells at once, threads of each: {found.threads} (--workers and --cpus-per-cell say otherwise)"
        )
    return found


def remembered(experiment: Experiment, digits: Path | None, cores: int, note: Callable[[str], None]) -> Measured | None:
    """What was measured for such trainings on this machine before, else what is measured now and kept in the user's cache."""
    path = platformdirs.user_cache_path("ablation-harness") / "sharing.json"
    training = experiment.training
    what = (describe_device("cpu"), cores, torch.__version__, training.batch_size, training.precision)
    key = files.digest([repr((*what, experiment.data, experiment.architecture)).encode()])[:16]
    kept: dict[str, Any] = {}
    try:
        kept = dict(json.loads(path.read_text()))
        one = kept[key]
        return Measured({int(n): float(rate) for n, rate in one["rates"].items()}, int(one["memory_bytes"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # never measured, or not readable: it is measured again
    note("measuring once how many cells at the same time this machine does best")
    try:
        measured = measure(experiment, digits, cores)
    except (BrokenProcessPool, BrokenBarrierError, HarnessError) as error:
        note(f"not measured ({type(error).__name__}: {error}); one cell at a time")
        return None
    kept[key] = {"rates": measured.rates, "memory_bytes": measured.memory_bytes}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, json.dumps(kept).encode())
    except (OSError, HarnessError) as error:
        note(f"what was measured is not kept: {error}")
    return measured


def measure(experiment: Experiment, digits: Path | None, cores: int) -> Measured:
    """Trains a few steps in one process, in as many as there are cores, and in numbers between, each with its share of threads."""
    rates, memory, workers = {}, 0, cores
    context = multiprocessing.get_context("spawn")
    while workers >= 1:
        meet = context.Barrier(workers)
        with ProcessPoolExecutor(workers, context, _prepare, (meet, max(1, cores // workers))) as pool:
            tasks = [pool.submit(_steps, experiment, digits) for _ in range(workers)]
            found = [task.result() for task in tasks]
        rates[workers] = sum(1 / seconds for seconds, _ in found)
        memory = max(memory, *(peak for _, peak in found), 0)
        workers //= 2
    return Measured(rates, memory)


_meet: Barrier | None = None


def _prepare(meet: Barrier, threads: int) -> None:
    global _meet
    _meet = meet
    torch.set_num_threads(threads)


def _steps(experiment: Experiment, digits: Path | None) -> tuple[float, int]:
    """Seconds of a step while the other processes train too, and this process's peak memory."""
    source = open_source(experiment.data, digits)
    assert _meet is not None
    _meet.wait(PATIENCE)
    seconds, _, peak = time_steps(experiment, source, "cpu", STEPS)
    return seconds, peak


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that programs may still take, as far as the system says; else half of what it has."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
