"""What it costs to lose nothing: the share of a training's time that goes into locks, leases, digests, syncing and checkpoints;
and how long a training that is told to stop takes to save its state and go.

    python benchmarks/reliability.py [--preset cpu] [--steps 200] [--stops 5] [--json]

One training runs as `harness run` runs it, in a store on this disk. The time inside everything that a training would do without if
it need not survive anything is added up while it runs, so that numerator and denominator are of one run. Exit code 1 above 2%.

Then `harness run` is sent SIGTERM in mid-training, at moments spread over its steps, and the time until it has ended is taken.
What it must not exceed is `harness.system.signals.GRACE`, which ends it by force.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.runs import cell as cells
from harness.runs.cell import train_cell
from harness.runs.request import Request
from harness.store import Folder, Store, Training
from harness.system import locks
from harness.system.signals import GRACE
from harness.training import loop
from harness.variant import Variants

MOST = 0.02


class Clock:
    """Adds up the seconds inside what it wraps; what is inside something wrapped counts once."""

    def __init__(self) -> None:
        self.seconds, self._depth = 0.0, 0

    def wrap(self, owner: Any, name: str) -> None:
        """Has a function's time added up from now on."""
        whole: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            self._depth += 1
            started = time.perf_counter()
            try:
                return whole(*args, **options)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.seconds += time.perf_counter() - started

        setattr(owner, name, timed)


def seconds_to_stop(preset: str, store: Path, wait: float) -> float:
    """Seconds from SIGTERM to the end of a training that has run for `wait` seconds since its first logged step."""
    words = ["run", "--preset", preset, "--store", str(store), "--no-plugins", "--set", "training.steps=1000000"]
    command = [sys.executable, "-c", "from harness.cli.app import main; main()", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not any(store.glob("trainings/*/metrics.jsonl")):
        if process.poll() is not None:
            sys.exit(f"the training ended by itself: {process.communicate()[1]}")
        time.sleep(0.05)
    time.sleep(wait)
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1]
    seconds = time.perf_counter() - began
    if process.returncode != 143 or not any(store.glob("trainings/*/last.safetensors")):
        sys.exit(f"the training was not stopped in time (exit code {process.returncode}): {said}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--steps", type=int, default=200, help="at preset cpu, one validation is due every 200")
    parser.add_argument("--stops", type=int, default=5, help="trainings that are told to stop")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    cell, source = Request(preset=asked.preset, settings={"training.steps": asked.steps}).cell(
        Variants(third_party=False), "base", 0
    )
    clock = Clock()
    for owner, name in (
        *((Folder, name) for name in ("write", "write_bytes", "append", "sync", "read", "lines", "digest", "sweep")),
        *((Training, name) for name in ("write_checkpoint", "check_checkpoint", "check")),
        *((loop, name) for name in ("save_checkpoint", "resume")),
        *((locks, name) for name in ("_acquire",)),
        *((locks.Lease, name) for name in ("give_up", "_write")),
        (cells, "_whole_training"),
    ):
        clock.wrap(owner, name)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".reliability.") as folder:
        store = Store(Path(folder))
        training = store.training(cell)
        started = time.perf_counter()
        with store.own(training):
            train_cell(cell, training, source)
        seconds = time.perf_counter() - started
    share = clock.seconds / (seconds - clock.seconds)
    figures = {"preset": asked.preset, "steps": asked.steps, "seconds": seconds, "of_it": clock.seconds, "share": share}
    stops = []
    for number in range(asked.stops):
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".reliability.") as folder:
            stops.append(seconds_to_stop(asked.preset, Path(folder), number / asked.stops))
    figures |= {"seconds_to_stop": statistics.median(stops), "seconds_to_stop_most": max(stops)} if stops else {}
    if asked.json:
        print(json.dumps(figures))
    else:
        print(
            f"losing nothing costs {share:.2%} of training at preset {asked.preset} ({clock.seconds:.2f} s of {seconds:.1f} s)"
        )
        if stops:
            print(
                f"SIGTERM to exit: {statistics.median(stops):.2f} s in the median of {len(stops)} trainings at preset "
                f"{asked.preset}, {max(stops):.2f} s at most ({GRACE:g} s are allowed)"
            )
    sys.exit(share > MOST)


if __name__ == "__main__":
    main()
