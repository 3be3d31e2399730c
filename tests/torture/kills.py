"""`kill -9` at random moments of run, ablate, study and report; then the same command again, until it finishes.

After every kill and at the end of every round the store is looked at:

- lost: a finished training or run (its last record was there) is gone;
- duplicated: a finished one was made again (that record, or the curve below it, is another one now);
- torn: a record, a line or a checkpoint is not whole;
- different: numbers that are not those of an undisturbed campaign, bit for bit.

Commands run in processes forked from this one, which has imported everything: what is killed is work, not the start of an
interpreter. Their children (ablate's and study's workers) are forked too, and are killed with them, or without them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from harness.cli import app as cli
from harness.evaluation import cost as measure
from harness.executors import processes as workers
from harness.maintenance import repair
from harness.store import Store

SETTINGS = (
    *("--set", "training.steps=24", "--set", "training.validate_every=4"),
    *("--set", "data.validation_sequences=4", "--set", "data.test_sequences=4"),
)
COMMON = ("--preset", "tiny", "--device", "cpu", "--no-plugins", *SETTINGS)
STAGES: dict[str, tuple[str, ...]] = {
    "run": ("run", "--variant", "residual+tta", *COMMON),
    "ablate": ("ablate", "--plan", "base,curriculum,tta", "--seeds", "1", "--workers", "2", *COMMON),
    "study": ("study", "loss-weights", "--trials", "4", "--sampler", "random", *COMMON),
    "report": ("report", "--no-plugins"),
}
SHARE = {"run": 0.3, "ablate": 0.35, "study": 0.2, "report": 0.15}
"""Of the kills."""
PATIENCE = 300.0
"""Seconds after which a command that nobody kills is taken to hang."""


@dataclass
class Tally:
    """What the campaign counts."""

    counts: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def complain(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        self.complaints.append(f"{kind}: {what}")


def start(stage: str, root: Path) -> int:
    """Starts a stage's command on a store, in a session of its own; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        log = os.open(root.parent / f"{root.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        fork = workers.multiprocessing.get_context("fork")
        workers.multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment,return-value]
        workers._serve = serve
        measure.median_seconds = lambda once, seconds, **options: 1.0  # type: ignore[assignment]
        cli.main([*STAGES[stage], "--store", str(root)])
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(99)


def serve(connection: Any, parent: int, whole: Any = workers._serve) -> None:
    """A worker, without the handlers that it has of its parent for being forked."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    whole(connection, parent)


def ended(pid: int, seconds: float) -> int | None:
    """The exit code of a process that ends in that time; None when it goes on."""
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.002)


def kill(pid: int, alone: bool) -> None:
    """Kills a command, and what it started unless it is to die alone; waits until all are gone."""
    (os.kill if alone else os.killpg)(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            os.killpg(pid, 0)  # orphans save their state and go
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise TimeoutError(f"processes of {pid} outlive it")


def finished(root: Path) -> dict[str, str]:
    """Digests of what is there once a training or a run is finished, and must never change again."""
    found = {}
    for last in [*root.glob("trainings/*/training.json"), *root.glob("runs/*/result.json")]:
        for path in (last, last.with_name("metrics.jsonl"), last.with_name("sequences.json")):
            if path.exists():
                found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def numbers(root: Path) -> dict[str, Any]:
    """What an undisturbed campaign has too, by run or training; no times."""
    names = ("metrics", "metrics_per_frame", "baselines", "baselines_per_frame", "test_digest")
    found: dict[str, Any] = {}
    for run in Store(root).runs():
        if (result := run.read_or_none("result.json")) is not None:
            found[run.run_id] = [[result[name] for name in names], run.read("sequences.json")]
    for training in Store(root).trainings():
        summary = training.read("training.json")
        found[training.path.name] = [summary[name] for name in ("steps", "skipped_steps", "best_step", "validation_ssim")]
        checkpoint = (training.path / summary["checkpoint"]).read_bytes()
        found[training.path.name].append(
            hashlib.sha256(checkpoint[8 + int.from_bytes(checkpoint[:8], "little") :]).hexdigest()
        )
        found[training.path.name].append(training.validations() and [line["ssim"] for line in training.validations()])
    for path in (root / "studies").glob("*.json"):
        trials = json.loads(path.read_bytes())["trials"]
        found[path.name] = sorted(json.dumps([trial["params"], trial["value"], trial["run_ids"]]) for trial in trials)
    for path in sorted((root / "report").rglob("*")):
        if path.is_file() and path.suffix in (".csv", ".md", ".html", ".json"):
            found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def look(root: Path, seen: dict[str, str], tally: Tally) -> None:
    """Compares a store with what was seen of it before."""
    now = finished(root)
    for path, digest in seen.items():
        if path not in now:
            tally.complain("lost", path)
        elif now[path] != digest:
            tally.complain("duplicated", path)
    seen.update(now)
    for one in repair.findings(Store(root)):
        if one.kind == "damaged" or one.kind == "quarantined":
            tally.complain("torn", f"{one.path}: {one.reason}")
    for path in (root / "report").glob("*.json"):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            tally.complain("torn", str(path))


def campaign(folder: Path, stages: dict[str, int], rng: random.Random) -> Tally:
    """Kills so often at each stage; see the module."""
    tally = Tally()
    for stage, kills in stages.items():
        whole = folder / stage / "undisturbed"
        whole.parent.mkdir(parents=True)
        if stage == "report":  # on a store that an ablation made
            ends("ablate", whole, tally)
        began = time.monotonic()
        ends(stage, whole, tally)
        lasts, expected = time.monotonic() - began, numbers(whole)
        done, rounds = 0, 0
        while done < kills:
            rounds += 1
            root, seen = folder / stage / f"round{rounds}", dict[str, str]()
            if stage == "report":
                shutil.copytree(whole, root, ignore=shutil.ignore_patterns("report"))
            while True:
                pid = start(stage, root)
                code = ended(pid, rng.uniform(0, lasts) if done < kills else PATIENCE)
                if code is None:
                    if done >= kills:
                        kill(pid, alone=False)
                        tally.complain("stuck", f"{stage}: {tail(root)}")
                        break
                    kill(pid, alone=stage == "ablate" and rng.random() < 0.3)
                    done += 1
                    tally.counts["kills"] += 1
                    tally.counts[f"kills of {stage}"] += 1
                    look(root, seen, tally)
                elif code != 0:
                    tally.complain("failed", f"{stage} ended with {code}: {tail(root)}")
                    break
                else:
                    look(root, seen, tally)
                    if (found := numbers(root)) != expected:
                        names = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
                        tally.complain("different", f"{stage}, {root.name}: {sorted(names)[:5]}")
                    tally.counts["rounds"] += 1
                    break
    return tally


def ends(stage: str, root: Path, tally: Tally) -> None:
    """Runs a stage's command to its end."""
    if code := ended(start(stage, root), PATIENCE):
        tally.complain("failed", f"undisturbed {stage} ended with {code}: {tail(root)}")


def tail(root: Path) -> str:
    """The end of what the last command on a store said."""
    return (root.parent / f"{root.name}.log").read_text(errors="replace")[-600:]


def split(kills: int) -> dict[str, int]:
    """So many kills over the stages, or a few more."""
    return {stage: math.ceil(kills * share) for stage, share in SHARE.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for module in (
        "harness.training.loop",
        "harness.runs.result",
        "harness.ablation.runner",
        "harness.tuning.search",
        "reports.ablation",
    ):
        __import__(module)
    stages = {stage: kills for stage, kills in split(asked.kills).items() if stage in asked.stages.split(",")}
    with tempfile.TemporaryDirectory(prefix="torture.") as folder:
        tally = campaign(Path(folder), stages, random.Random(asked.seed))
    json.dump({**tally.counts, "complaints": tally.complaints}, sys.stdout)


if __name__ == "__main__":
    main()
