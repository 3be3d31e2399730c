"""Everything that waits for a GPU, in the order of its worth, in the time that there is: `make gpu`.

    python benchmarks/gpu.py --budget 28m --out gpu
    python benchmarks/gpu.py --rehearsal --kills 2

Stages: tests (tests/test_cuda.py), speed (kernels and `harness bench`, batch 1 to 64; several small cells at once), quality
(base at preset paper, and when it reached which SSIM), table (the article's add-one plan with controls), networks (at equal
seconds), report. Each has a share of the time; what it does not use goes to those after it. A command whose output file is there
is not run again, and harness commands resume by themselves, so the same call continues after an end of any kind. Plans run whole
blocks of seeds: an early end leaves a balanced table. Before they start, the time of a step is measured and printed with what it
lets the table be.

`--rehearsal` does all of it on the CPU at preset tiny and with fewer arms; with `--kills`, in a process group that is killed
first: as soon as the quality stage trains, then as soon as the table has cells.
The folder that comes out has no checkpoints and is ready for docs/results.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_sizes import (
    GPU,
    OVERHEAD,
    REHEARSAL,
    Setup,
    arms,
    at_once,
    seed_words,
    seeds_of,
    step_seconds,
    step_words,
    steps_of_epochs,
    table_of,
)

ROOT = Path(__file__).resolve().parent.parent
HARNESS = (sys.executable, "-m", "harness")
LEVELS = (0.82, 0.87, 0.93)
"""Validation SSIM whose times are stated."""
LAST_SECONDS = 60
"""Kept for the report."""


KILLED_WHEN = ("quality-store/trainings/*/metrics.jsonl", "store/runs/*/result.json")
"""Files at whose first appearance the rehearsal is killed."""


@dataclass(frozen=True)
class Stage:
    """A name, its share of the whole time, and its commands: output file -> words."""

    name: str
    share: float
    commands: Callable[[float], dict[str, Sequence[str]]]
    """Given the seconds that the stage has."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--budget",
        type=seconds_of,
        default=None,
        help="time of this call: 28m, 1700s, 2h (default 28m; of a rehearsal, which ends before, 2h)",
    )
    parser.add_argument("--out", type=Path, default=None, help="the folder (default gpu, or gpu-rehearsal)")
    parser.add_argument("--rehearsal", action="store_true", help="on the CPU at preset tiny")
    parser.add_argument(
        "--kills",
        type=int,
        default=0,
        choices=range(len(KILLED_WHEN) + 1),
        help="with --rehearsal: how often to be killed first",
    )
    arguments = parser.parse_args()
    setup = REHEARSAL if arguments.rehearsal else GPU
    out = (arguments.out or Path("gpu-rehearsal" if arguments.rehearsal else "gpu")).resolve()
    budget = arguments.budget or (120 if arguments.rehearsal else 28) * 60
    if arguments.kills:
        if not arguments.rehearsal:
            parser.error("--kills belongs to --rehearsal")
        killed(out, budget, arguments.kills)
    return Call(setup, out, budget).run()


def seconds_of(text: str) -> float:
    """Seconds of '28m', '1700s', '2h' or '90'. Raises ArgumentTypeError for anything else."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    with contextlib.suppress(ValueError):
        seconds = float(text[:-1]) * unit if unit else float(text)
        if 0 < seconds < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no length of time; give 28m, 1700s, 2h or 90 (seconds)")


class Call:
    """One call of the script."""

    def __init__(self, setup: Setup, out: Path, budget: float) -> None:
        self.setup, self.out, self.budget = setup, out, budget
        self.ends = time.monotonic() + budget
        self.store, self.quality_store = out / "store", out / "quality-store"
        self.chosen: tuple[str, int] | None = None
        self.seeds = setup.seeds
        self.together = ("--workers", "1")
        self.log: list[dict[str, Any]] = []

    def run(self) -> int:
        """All stages; 1 when something is missing."""
        self.out.mkdir(parents=True, exist_ok=True)
        stages = (
            Stage("tests", 0.08, self._tests),
            Stage("speed", 0.15, self._speed),
            Stage("quality", 0.35, self._quality),
            Stage("table", 0.28, self._table),
            Stage("networks", 0.14, self._networks),
        )
        for number, stage in enumerate(stages):
            shares = sum(one.share for one in stages[number:])
            self._stage(stage, (self._left - LAST_SECONDS) * stage.share / shares)
        self._levels()
        for store in (self.store, self.quality_store):
            if store.is_dir():
                (self.out / f"report-{store.name}.txt").unlink(
                    missing_ok=True
                )  # of what is there now, not of an earlier call
                words = self._harness("report", "--out", str(self.out / f"report-{store.name}"), store=store)
                self._command("report", f"report-{store.name}.txt", words, max(self._left, 30))
        self._publish()
        missing = [one["file"] for one in self.log if one["exit"] != 0]
        print(f"{self.out}: {'complete' if not missing else 'missing: ' + ', '.join(missing) + '; the same call continues'}")
        return int(bool(missing))

    @property
    def _left(self) -> float:
        return self.ends - time.monotonic()

    def _stage(self, stage: Stage, seconds: float) -> None:
        ends = time.monotonic() + seconds
        commands = stage.commands(seconds)
        print(
            f"{stage.name}: {max(0, seconds):.0f} s of {max(0, self._left):.0f} s left, {len(commands)} commands", flush=True
        )
        for file, words in commands.items():
            self._command(stage.name, file, words, ends - time.monotonic())

    def _command(self, stage: str, file: str, words: Sequence[str], limit: float) -> None:
        """Runs a command whose output is not there. At the limit it is told to save and stop."""
        path = self.out / file
        if path.exists():
            return
        started = time.monotonic()
        code = 124
        if limit > 1:
            unfinished = path.with_suffix(".unfinished")
            with unfinished.open("wb") as output:
                process = subprocess.Popen(words, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=_environment())
                try:
                    code = process.wait(limit)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGTERM)
                    try:
                        code = process.wait(30)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        code = process.wait()
            if code == 0:
                os.replace(unfinished, path)
        self._note(stage, file, words, code, time.monotonic() - started)

    def _note(self, stage: str, file: str, words: Sequence[str], code: int, seconds: float) -> None:
        self.log.append({"stage": stage, "file": file, "seconds": round(seconds, 1), "exit": code, "words": list(words[1:])})
        with (self.out / "calls.jsonl").open("a") as lines:
            lines.write(json.dumps(self.log[-1]) + "\n")
        print(f"  {file}: {'done' if code == 0 else f'exit {code}'} in {seconds:.0f} s", flush=True)

    def _harness(self, *words: str, store: Path | None = None) -> list[str]:
        return [*HARNESS, *words, *(("--store", str(store)) if store else ())]

    # --- the stages

    def _tests(self, seconds: float) -> dict[str, Sequence[str]]:
        # Of pytest's plugins a bare machine has none, and their settings are not its errors.
        words = (
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            "-o",
            "addopts=--import-mode=importlib",
            "-W",
            "default",
        )
        return {"tests.txt": (sys.executable, *words, "tests/test_cuda.py")}

    def _speed(self, seconds: float) -> dict[str, Sequence[str]]:
        """A step of each preset first, on which the table's size rests; then kernels, with and without graphs, by batch."""
        device = ("--device", self.setup.device)
        found: dict[str, Sequence[str]] = {
            f"step-{name}.json": self._harness(
                "bench", "--preset", name, "--rounds", "2", "--contenders", "fast", "--json", *device
            )
            for name in self.setup.presets
        }
        for batch in self.setup.batches:
            words = ("--preset", self.setup.quality, "--batch", str(batch), "--json", *device)
            found[f"bench-{batch}.json"] = self._harness("bench", *self.setup.bench, *words)
            found[f"kernels-{batch}.json"] = (sys.executable, "benchmarks/kernels.py", *words, *self.setup.kernels)
        for name, more in self.setup.together.items():
            script = (sys.executable, "benchmarks/together.py", "--preset", name, "--json")
            found[f"together-{name}.json"] = (*script, *device, *more)
        return found

    def _quality(self, seconds: float) -> dict[str, Sequence[str]]:
        self._choose(seconds)
        words = ("run", "--variant", "base", "--preset", self.setup.quality, "--device", self.setup.device, "--json")
        return {"quality.json": self._harness(*words, store=self.quality_store)}

    def _choose(self, seconds: float) -> None:
        """What the table can be in its share of the budget, printed before it starts; fixed once its plan has begun."""
        path = self.out / "table-size.json"
        if not (path.exists() and self._plans) and all(
            (self.out / f"step-{name}.json").exists() for name in self.setup.presets
        ):
            from harness.presets import preset

            steps = {name: step_seconds(self.out / f"step-{name}.json") for name in self.setup.presets}
            together = {name: at_once(self.out / f"together-{name}.json", self.setup) for name in self.setup.presets}
            own = {name: preset(name).training.steps or steps_of_epochs(name) for name in self.setup.presets}
            paid = {name: step / together[name][2] for name, step in steps.items()}
            name, count = table_of(paid, own, self.setup, self.budget * 0.28)
            seeds = seeds_of(paid[name] * count, self.setup, self.budget * 0.28)
            record = {"preset": name, "steps": count, "own_steps": own, "step_seconds": steps, "seeds": seeds}
            record["by"], record["at_once"], record["gain"] = together[name]
            path.write_text(json.dumps(record, indent=2))
        if path.exists():
            record = json.loads(path.read_text())
            self.chosen, self.seeds = (record["preset"], record["steps"]), record["seeds"]
            self.together = record["by"], str(record["at_once"])
            own = record["own_steps"][record["preset"]]
            needed = record["own_steps"][self.setup.quality] * record["step_seconds"][self.setup.quality] * OVERHEAD
            fits = "fits" if needed < seconds else "another call continues it"
            print(
                f"quality: about {needed:.0f} s for base at preset {self.setup.quality}, of {max(0, seconds):.0f} s: {fits}"
            )
            print(
                f"table: preset {self.chosen[0]}, {self.chosen[1]:,} of its {own:,} steps, {self.seeds} blocks of seeds, "
                f"{' '.join(self.together)} ({record['gain']:.2f} times as fast as one at a time)"
            )

    @property
    def _plans(self) -> int:
        """How many plans have begun: a plan writes its record before its first cell."""
        return len(list((self.store / "plans").glob("*.json")))

    def _table(self, seconds: float) -> dict[str, Sequence[str]]:
        if self.chosen is None:
            self._note("table", "table.json", (), 124, 0.0)  # a step of some preset was not measured
            return {}
        name, steps = self.chosen
        words = ("ablate", "--plan", "add-one", "--controls", *seed_words(self.seeds), "--margin", "0.005")
        settings = ("--preset", name, "--set", f"training.steps={steps}", "--device", self.setup.device)
        words = (*words, *settings, *self.together, *self.setup.table)
        return {"table.json": self._harness(*words, "--json", store=self.store)}

    def _networks(self, seconds: float) -> dict[str, Sequence[str]]:
        if self.chosen is None:
            self._note("networks", "networks.json", (), 124, 0.0)
            return {}
        path = self.out / "network-seconds.json"
        if not (path.exists() and self._plans > 1):
            each = seconds / (self.setup.seeds * arms(self.setup) * OVERHEAD)
            path.write_text(json.dumps(round(min(max(0.05, each), self.setup.network_seconds), 2)))
        budget = ("--set", f"training.seconds={json.loads(path.read_text())}", "--margin", "0.005")
        words = ("ablate", "--plan", "networks", "--preset", self.chosen[0], *budget, "--seeds", str(self.setup.seeds))
        words = (*words, "--variants", ",".join(self.setup.networks)) if self.setup.networks else words
        return {
            "networks.json": self._harness(
                *words, "--device", self.setup.device, "--workers", "1", "--json", store=self.store
            )
        }

    # --- what comes out

    def _levels(self) -> None:
        """When base's validation first reached each level, in seconds of training; also of a training that has not finished."""
        from harness.store import Store

        trainings = Store(self.quality_store).trainings() if self.quality_store.is_dir() else ()
        rows = [row for training in trainings for row in training.validations()]
        first = {level: next((row["seconds"] for row in rows if row["ssim"] >= level), None) for level in LEVELS}
        best = max((row["ssim"] for row in rows), default=None)
        reached = {str(level): seconds for level, seconds in first.items()}
        record = {"seconds_to_ssim": reached, "best": best, "validations": len(rows)}
        (self.out / "levels.json").write_text(json.dumps(record, indent=2))

    def _publish(self) -> None:
        """Records without checkpoints, and a page about what was run."""
        names = ("experiment.json", "environment.json", "result.json", "training.json", "metrics.jsonl", "failure.json")
        for store in (self.store, self.quality_store):
            shutil.rmtree(self.out / f"records-{store.name}", ignore_errors=True)
            for path in sorted(store.rglob("*")):
                kept = path.name in names or path.parent.name == "plans"
                if path.is_file() and kept and "report" not in path.relative_to(store).parts:
                    target = self.out / f"records-{store.name}" / path.relative_to(store)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
        from harness.system.environment import describe_device

        lines = []
        for line in (self.out / "calls.jsonl").read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # a kill may leave half a line
                lines.append(json.loads(line))
        table = "".join(f"| {one['stage']} | {one['file']} | {one['seconds']:.1f} | {one['exit']} |\n" for one in lines)
        (self.out / "README.md").write_text(
            f"# {'Rehearsal' if self.setup is REHEARSAL else 'What a GPU gave'}\n\n"
            f"Device: {describe_device(self.setup.device)}. Made by `python benchmarks/gpu.py`; `records-*` hold the raw records, "
            "`report-*` what `harness report` makes of them, `levels.json` when base reached which validation SSIM.\n\n"
            f"{step_words(self.out / f'bench-{self.setup.batches[-1]}.json')}\n\n"
            f"| stage | output | seconds | exit code |\n| --- | --- | ---: | ---: |\n{table}\n"
            "Exit code 124 means that no time was left, 143 that a command was told to save and stop.\n"
        )


def killed(out: Path, budget: float, kills: int) -> None:
    """The rehearsal in a process group of its own, killed when the first file of each of `KILLED_WHEN` is there."""
    words = [sys.executable, __file__, "--rehearsal", "--out", str(out), "--budget", f"{budget}s"]
    for pattern in KILLED_WHEN[:kills]:
        process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL)
        while process.poll() is None and not any(out.glob(pattern)):
            time.sleep(0.05)
        ended = process.poll() is not None
        os.killpg(process.pid, signal.SIGKILL) if not ended else None
        process.wait()
        print(f"killed at the first {pattern}" if not ended else "had ended before it was killed", flush=True)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
