"""Times `harness report` and `harness list runs` on made-up stores of 100 and 1,000 finished runs, with their peak memory.

Each command runs in a process of its own, as a user would run it. The promise: at 1,000 runs a report takes at most 20 s
and 1 GB on two cores, a list of runs at most 2 s, and a report's cost grows no faster than linearly.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fake_store

COMMANDS = {"report": ("report", "--out", "{out}"), "list runs": ("list", "runs")}
MOST = {"report": (20.0, 1e9), "list runs": (2.0, 1e9)}
"""Seconds and bytes at 1,000 runs."""


def measure(words: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds on the clock, seconds of processor time and peak memory in bytes of a `harness` command."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "harness.cli.app", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"harness {' '.join(words)} failed: {errors.strip()}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000], help="sizes of the stores (default 100 1000)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each command; the fastest counts (default 3)")
    parser.add_argument("--test-sequences", type=int, help="scores of single sequences in a record (default: the preset's)")
    arguments = parser.parse_args()

    rows: list[dict[str, Any]] = []
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.runs:
            store = Path(folder) / f"store-{count}"
            fake_store.write_store(store, count, test_sequences=arguments.test_sequences)
            for name, command in COMMANDS.items():
                words = [*(word.format(out=f"{folder}/out-{count}") for word in command), "--store", str(store)]
                turns = [measure(words, environment) for _ in range(arguments.repeats)]
                seconds, processor, _ = min(turns)
                memory = max(turn[2] for turn in turns)
                row = {
                    "command": name,
                    "runs": count,
                    "seconds": seconds,
                    "processor_seconds": processor,
                    "peak_bytes": memory,
                }
                most = MOST[name]
                rows.append(row | {"within": count > 1000 or (seconds <= most[0] and memory <= most[1])})
    times = {row["runs"]: row["seconds"] for row in rows if row["command"] == "report"}
    smallest, largest = min(times), max(times)
    growth = times[largest] / times[smallest]
    if arguments.json:
        print(json.dumps({"rows": rows, "growth": growth, "runs_ratio": largest / smallest}))
        return
    print(f"{'command':12}{'runs':>8}{'seconds':>10}{'processor':>12}{'peak MB':>10}  within the promise")
    for row in rows:
        print(
            f"{row['command']:12}{row['runs']:8,}{row['seconds']:10.1f}{row['processor_seconds']:12.1f}"
            f"{row['peak_bytes'] / 1e6:10.0f}  {'yes' if row['within'] else 'no'}"
        )
    print(
        f"a report of {largest:,} runs takes {growth:.1f} times as long as one of {smallest:,} ({largest / smallest:g} times)"
    )


if __name__ == "__main__":
    main()
