"""What it costs to lose nothing: the share of a training's time that goes into locks, leases, digests, syncing and checkpoints.

    python benchmarks/reliability.py [--preset cpu] [--steps 200] [--json]

One training runs as `harness run` runs it, in a store on this disk. The time inside everything that a training would do without if
it need not survive anything is added up while it runs, so that numerator and denominator are of one run. Exit code 1 above 2%.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import execute, locks, trainer
from harness.execute import Options, train_cell
from harness.registry import Variants
from harness.request import Request
from harness.store import Folder, Store, Training

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--steps", type=int, default=200, help="at preset cpu, one validation is due every 200")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    cell, source = Request(preset=asked.preset, settings={"training.steps": asked.steps}).cell(
        Variants(third_party=False), "base", 0
    )
    clock = Clock()
    for owner, name in (
        *((Folder, name) for name in ("write", "write_bytes", "append", "sync", "read", "lines", "digest", "sweep")),
        *((Training, name) for name in ("write_checkpoint", "check_checkpoint", "check")),
        *((trainer, name) for name in ("save_checkpoint", "resume")),
        *((locks, name) for name in ("_acquire",)),
        *((locks.Lease, name) for name in ("give_up", "_write")),
        (execute, "_whole_training"),
    ):
        clock.wrap(owner, name)
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".reliability.") as folder:
        store = Store(Path(folder))
        training = store.training(cell)
        started = time.perf_counter()
        with store.own(training):
            train_cell(cell, training, source, Options())
        seconds = time.perf_counter() - started
    share = clock.seconds / (seconds - clock.seconds)
    figures = {"preset": asked.preset, "steps": asked.steps, "seconds": seconds, "of_it": clock.seconds, "share": share}
    if asked.json:
        print(json.dumps(figures))
    else:
        print(
            f"losing nothing costs {share:.2%} of training at preset {asked.preset} ({clock.seconds:.2f} s of {seconds:.1f} s)"
        )
    sys.exit(share > MOST)


if __name__ == "__main__":
    main()
