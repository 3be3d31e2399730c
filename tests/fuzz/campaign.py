"""A campaign of bad input over every reader of outside bytes: how many cases ended in a result, in a refusal, in neither.

    python tests/fuzz/campaign.py --cases 10000 --seed 1

prints a table on stderr and the figures as one JSON document on stdout.

A case may end in a result or in an error of the project's own (`HarnessError`), within 20 seconds and 1 GiB of memory.
Anything else is unexpected, is printed with its input, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from readers import Reader, make_readers

from harness.errors import HarnessError

SECONDS = 20
"""Longest time that one case may take."""
MEMORY = 2**30
"""Bytes that the process may grow by during a campaign."""


class Stuck(BaseException):
    """A case took longer than `SECONDS`."""


@dataclass
class Count:
    """What became of a reader's cases. `unexpected` describes those that ended in neither a result nor a refusal."""

    cases: int = 0
    results: int = 0
    refused: int = 0
    seconds: float = 0.0
    unexpected: list[str] = field(default_factory=list)


def campaign(cases: int, seed: int) -> dict[str, Any]:
    """Runs about so many cases, shared out over all readers; equal seeds give equal cases.

    Returns `readers` (name -> cases, results, refused, unexpected), the sums `cases`, `results`, `refused` and
    `unexpected` (a number), `seconds`, and `memory_bytes`: by how much the process grew at its peak.
    """
    started, before = time.monotonic(), _peak()
    counts: dict[str, Count] = {}
    with tempfile.TemporaryDirectory() as folder, _alone(), _bounded():
        readers = make_readers(Path(folder))
        total = sum(reader.share for reader in readers)
        for reader in readers:
            counts[reader.name] = _run(reader, max(1, round(cases * reader.share / total)), seed)
    sums = {name: sum(getattr(count, name) for count in counts.values()) for name in ("cases", "results", "refused")}
    return {
        "readers": {name: asdict(count) for name, count in counts.items()},
        **sums,
        "unexpected": sum(len(count.unexpected) for count in counts.values()),
        "seconds": time.monotonic() - started,
        "memory_bytes": _peak() - before,
    }


def _run(reader: Reader, cases: int, seed: int) -> Count:
    count = Count()
    turn = 0
    while count.cases < cases and turn < 20:  # a strategy may run out of new cases before the number is reached

        @seeded(seed * 1000 + turn)
        @settings(
            max_examples=cases - count.cases,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )
        @given(reader.cases)
        def case(value: Any) -> None:
            if count.cases < cases:
                _judge(reader, value, count)

        case()
        turn += 1
    return count


def _judge(reader: Reader, value: Any, count: Count) -> None:
    count.cases += 1
    started = time.monotonic()
    signal.alarm(SECONDS)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            reader.read(value)
        count.results += 1
    except HarnessError as error:
        if _ran_out(error):
            count.unexpected.append(f"{error!r} of {value!r:.400}")
        else:
            count.refused += 1
    except (Exception, Stuck, SystemExit, KeyboardInterrupt) as error:
        frames = [one for one in traceback.extract_tb(error.__traceback__) if one.name != "stuck"][-3:]
        where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames))
        count.unexpected.append(f"{type(error).__name__}: {str(error)[:200]} at {where} of {value!r:.400}")
    finally:
        signal.alarm(0)
        count.seconds += time.monotonic() - started


def _ran_out(error: BaseException | None) -> bool:
    """Whether memory ran out first: it was allocated before it was refused."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _alone() -> Iterator[None]:
    """Standard output stays the campaign's, a case has an end, and no variable of the user's own decides anything."""

    def stuck(number: int, frame: FrameType | None) -> None:
        raise Stuck

    names = [name for name in os.environ if name.startswith("HARNESS_")]
    kept = {name: os.environ.pop(name) for name in names}
    before = signal.signal(signal.SIGALRM, stuck)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        os.environ.update(kept)


@contextmanager
def _bounded() -> Iterator[None]:
    """Holds the process to `MEMORY` more bytes than it has: an allocation beyond fails at once instead of the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    lines = Path("/proc/self/status").read_text().splitlines()
    here = int(next(line for line in lines if line.startswith("VmData")).split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (here + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = campaign(arguments.cases, arguments.seed)
    for name, count in found["readers"].items():
        bad, each = len(count["unexpected"]), 1000 * count["seconds"] / count["cases"]
        counted = f"{count['cases']} cases, {count['results']} results, {count['refused']} refused, {bad} unexpected"
        print(f"{name}: {counted}, {each:.1f} ms a case", file=sys.stderr)
    complaints = [f"{name}: {line}" for name, count in found["readers"].items() for line in count["unexpected"]]
    json.dump(found | {"complaints": complaints}, sys.stdout)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
