"""Makes a store of finished runs without training anything: for tests of the report, and to time it.

The records are what `harness run` and `harness ablate` write, but for the checkpoints. The figures are drawn at random
around effects that are set here, with noise that the runs of one seed share: they look real and mean nothing.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.ablation.plan import COPY, MATCHES, REFERENCE
from harness.evaluation.conventions import CONVENTIONS
from harness.runs.request import Request
from harness.store import Cell, Folder, Store, key_of
from harness.variant import Variants

EFFECTS = {"attention": 0.012, "curriculum": 0.004, "residual": 0.008, "tta": 0.006}
"""What each variant adds to SSIM."""
TIMES = {"attention": 1.3, "curriculum": 0.8, "residual": 1.1, "tta": 1.0}
PARAMETERS = {"attention": 1_580_000, "residual": 370_000}
BASE_SSIM, BASE_SECONDS, BASE_PARAMETERS = 0.82, 240.0, 8_710_000
BLANK = {"ssim": 0.722, "ssim_article": 0.797, "ssim_openstl": 0.778, "mse": 178.6, "mae": 180.0, "psnr": 13.6}
REPEAT = {"ssim": 0.589, "ssim_article": 0.698, "ssim_openstl": 0.666, "mse": 288.5, "mae": 230.0, "psnr": 11.5}
IDENTITY = {"train": "moving-mnist:fake", "evaluation": "moving-mnist:fake"}
DEVICE = "imaginary processor (2 threads)"


@dataclass(frozen=True, kw_only=True)
class Fake:
    """What a made-up run measures; by default what `EFFECTS` say, with noise."""

    ssim: float | None = None
    seconds: float | None = None
    device: str = DEVICE
    test_digest: str = "ab12" * 16
    metrics: Mapping[str, float | None] | None = None
    overrides: Mapping[str, Any] | None = None
    """Fields of result.json that replace what is made here."""
    test_sequences: int | None = None
    sequences: list[float] | None = None
    skipped_steps: int = 0


@contextmanager
def without_sync() -> Iterator[None]:
    """Writes need not survive a power cut here, and waiting for the disk would take most of the time."""
    before = os.fsync
    os.fsync = lambda handle: None
    try:
        yield
    finally:
        os.fsync = before


def cell(variant: str, seed: int, preset: str = "cpu", settings: Mapping[str, object] | None = None) -> Cell:
    """The cell that `harness run` would make in float32, with the identity of digits that do not exist."""
    request = Request(preset=preset, settings={"training.precision": "float32"} | dict(settings or {}))
    variants = _variants()
    composition = variants.compose(variant)
    experiment = request.experiment(variants, variant, seed)
    return Cell(composition.name, preset, experiment, IDENTITY, tuple(sorted(composition.at(preset))))


_INSTALLED: list[Variants] = []


def _variants() -> Variants:
    if not _INSTALLED:
        _INSTALLED.append(Variants(third_party=False))
    return _INSTALLED[0]


@dataclass(frozen=True)
class Records:
    """What the folders of a run and of its training hold, but for the checkpoints; `log` is metrics.jsonl."""

    result: dict[str, Any]
    environment: dict[str, Any]
    sequences: dict[str, list[float]]
    training: dict[str, Any]
    log: bytes


def made_up(made: Cell, fake: Fake = Fake()) -> Records:
    """The records of one finished run."""
    experiment = made.experiment
    rng = np.random.default_rng([int(made.run_id, 16), made.seed])
    shared = np.random.default_rng(made.seed).normal(0.0, 0.006)
    parts = [part for part in made.variant.split("+") if part in EFFECTS]
    ssim = BASE_SSIM + sum(EFFECTS[part] for part in parts) - 0.004 * max(0, len(parts) - 1)
    ssim += shared + rng.normal(0.0, 0.003)
    ssim -= 0.05 * (experiment.get("loss.ssim") is None) + 0.02 * abs(math.log10(experiment.training.optimizer.lr / 5e-3))
    ssim = ssim if fake.ssim is None else fake.ssim
    seconds = BASE_SECONDS * math.prod(TIMES[part] for part in parts) * (1 + rng.normal(0, 0.02))
    seconds = seconds if fake.seconds is None else fake.seconds
    steps = experiment.training.steps or 1000
    metrics: dict[str, float | None] = {
        "ssim": ssim,
        "ssim_article": min(1.0, ssim + 0.03),
        "ssim_openstl": min(1.0, ssim + 0.02),
        "mse": 400.0 * (1 - ssim),
        "mae": 700.0 * (1 - ssim),
        "psnr": 12.0 + 10.0 * ssim,
    }
    metrics |= fake.metrics or {}
    horizon = experiment.data.horizon
    slope = np.linspace(0.04, -0.04, horizon)
    sequences = fake.test_sequences or experiment.data.test_sequences
    record = made.record()
    result = {
        "run_id": made.run_id,
        "variant": made.variant,
        "preset": made.preset,
        "seed": made.seed,
        "status": "finished",
        "params": BASE_PARAMETERS + sum(PARAMETERS.get(part, 0) for part in parts),
        "flops_per_sequence": int(175e9 * (1.1 if "residual" in parts else 1.0)) * len(experiment.inference.views),
        "metrics": metrics,
        "metrics_per_frame": {name: _frames(value, slope, name) for name, value in metrics.items()},
        "baselines": {"blank": BLANK, "repeat_last": REPEAT},
        "baselines_per_frame": {
            "blank": {name: [value] * horizon for name, value in BLANK.items()},
            "repeat_last": {name: _frames(value, 2 * slope, name) for name, value in REPEAT.items()},
        },
        "training": {
            "steps": steps,
            "skipped_steps": fake.skipped_steps,
            "seconds": seconds,
            "warm_up_seconds": 1.5,
            "sequences_per_second": steps * experiment.training.batch_size / seconds,
            "sequences": steps * experiment.training.batch_size,
            "stopped_early": False,
            "best_step": steps,
            "validation_ssim": ssim + 0.002,
            "checkpoint_sha256": "0" * 64,
        },
        "inference": {
            "frames_per_second": 900.0 / len(experiment.inference.views) * (1 + rng.normal(0, 0.02)),
            "batch_size": experiment.training.batch_size,
            "frames_per_second_batch_1": 450.0 / len(experiment.inference.views),
        },
        "memory": {"allocated_bytes": None, "reserved_bytes": None, "host_peak_bytes": int(1.2e9)},
        "device": fake.device,
        "digits": {"source": "embedded", "digest": "fake"},
        "test_digest": fake.test_digest,
        "conventions": CONVENTIONS,
        "training_key": made.training_key,
        "revisions": record["revisions"],
    }
    environment = {
        "harness": "0.1.0",
        "python": "3.11.7",
        "platform": "Linux x86_64",
        "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
        "cuda": None,
        "device": "cpu",
        "device_name": fake.device,
        "git": {"commit": "0123456789abcdef", "changed": False},
    }
    scores = fake.sequences or (ssim + rng.normal(0, 0.05, sequences)).clip(-1, 1).tolist()
    training = result["training"] | {"memory": result["memory"], "checkpoint": "best-0.safetensors"}
    log = _log(steps, seconds, ssim, rng)
    return Records(result | dict(fake.overrides or {}), environment, {"ssim": scores}, training, log)


def write_run(root: Path, made: Cell, fake: Fake = Fake()) -> str:
    """Writes the records of one finished run and its training; returns the run's id."""
    store, found, record = Store(root), made_up(made, fake), made.record()
    run, training = store.run(made), store.training(made)
    run.write("experiment.json", record)
    run.write("environment.json", found.environment)
    run.write("sequences.json", found.sequences)
    run.write("result.json", found.result)
    if not (training.path / "training.json").exists():
        training.write("experiment.json", record)
        training.write("environment.json", found.environment)
        training.write_bytes("metrics.jsonl", found.log)
        training.write("training.json", found.training)
    return made.run_id


def _frames(value: float | None, slope: np.ndarray, name: str) -> list[float | None]:
    if value is None or not math.isfinite(value):
        return [None] * len(slope)
    factors = slope if "ssim" in name else -2 * slope
    return [value * (1 + factor) for factor in factors.tolist()]


def _log(steps: int, seconds: float, ssim: float, rng: np.random.Generator) -> bytes:
    lines = []
    for step in range(10, steps + 1, 10):
        spent = seconds * step / steps
        lines.append(f'{{"horizon":10,"learning_rate":0.003,"loss":{0.3 / step:.6f},"seconds":{spent:.6f},"step":{step}}}')
        if step % 100 == 0 or step == steps:
            value = ssim * (1 - math.exp(-4 * step / steps)) + rng.normal(0, 0.004)
            lines.append(f'{{"seconds":{spent:.6f},"step":{step},"validation":{{"ssim":{value:.6f}}}}}')
    return ("\n".join(lines) + "\n").encode()


def write_plan(
    root: Path, plan: str, cells: Sequence[tuple[str, Cell]], match: str = "steps", errors: Mapping[str, str] | None = None
) -> None:
    """Writes a plan's record; cells without a finished run in the store count as failed or not run yet."""
    assert match in MATCHES
    spec = {
        "plan": plan,
        "match": match,
        "preset": cells[0][1].preset,
        "variants": sorted({one.variant for _, one in cells}),
        "seeds": sorted({one.seed for _, one in cells}),
        "settings": {},
    }
    rows = []
    for label, one in cells:
        error = (errors or {}).get(one.run_id)
        finished = (root / "runs" / one.run_id / "result.json").exists()
        rows.append(
            {
                "label": label,
                "variant": one.variant,
                "seed": one.seed,
                "run_id": one.run_id,
                "training_key": one.training_key,
                "status": "failed" if error else "finished" if finished else "waiting",
                "cached": False,
                "attempts": 1,
                "error": error,
            }
        )
    command = f"harness ablate --plan {plan} --match {match} --preset {cells[0][1].preset}"
    Folder(root / "plans").write(f"{key_of(spec)}.json", spec | {"reference": REFERENCE, "command": command, "cells": rows})


def compositions(names: Sequence[str] = tuple(EFFECTS)) -> list[str]:
    """Base and every composition of the variants, as a factorial plan has them."""
    return [
        REFERENCE,
        *("+".join(part) for size in range(1, len(names) + 1) for part in itertools.combinations(names, size)),
    ]


LOSSES: tuple[dict[str, object], ...] = (
    {"loss.mse": 1.0, "loss.ssim": "none"},
    {"loss.mse": "none", "loss.ssim": 1.0, "loss.ssim.start": 0.0, "loss.ssim.ramp": 0.0},
    {"loss.mse": 0.5, "loss.ssim": 0.5},
)
RATES: tuple[dict[str, object], ...] = (
    {"training.max_lr": 2e-3},
    {"training.max_lr": 1e-2},
    {"training.weight_decay": 1e-3},
)


def write_store(root: Path, count: int, seeds: int | None = None, test_sequences: int | None = None) -> int:
    """A store of `count` finished runs: a factorial plan, other losses and rates, an A/A plan and one with equal seconds.

    `seeds` is by default what makes 16 compositions fill the store. Returns the number of runs.
    """
    seeds = seeds or max(1, round(count * 0.8 / 16))
    fake = Fake(test_sequences=test_sequences)
    written: set[str] = set()

    def write(made: Cell, how: Fake = fake) -> bool:
        if len(written) < count and made.run_id not in written:
            write_run(root, made, how)
            written.add(made.run_id)
        return made.run_id in written

    with without_sync():
        factorial = [(name, cell(name, seed)) for seed in range(seeds) for name in compositions()]
        there = [one for one in factorial if write(one[1])]
        write_plan(root, "factorial", there)
        few = range(min(5, seeds))
        for settings in (*LOSSES, *RATES):
            for seed in few:
                write(cell(REFERENCE, seed, settings=settings))
        copies = [(COPY, cell(REFERENCE, seeds + seed)) for seed in few]
        done = [write(made) for _, made in copies]
        if all(done):
            write_plan(root, "a-a", [*((REFERENCE, cell(REFERENCE, seed)) for seed in few), *copies])
        matched = [(REFERENCE, cell(REFERENCE, seed)) for seed in few]
        for name in EFFECTS:
            settings = {} if name == "tta" else {"training.seconds": BASE_SECONDS}
            matched += [(name, cell(name, seed, settings=settings)) for seed in few]
        done = [write(made, Fake(seconds=BASE_SECONDS, test_sequences=test_sequences)) for _, made in matched]
        if all(done):
            write_plan(root, "add-one", matched, match="seconds")
        seed = 0
        while len(written) < count:  # what is left: another budget
            for name in (REFERENCE, *EFFECTS):
                write(cell(name, seed, settings={"training.steps": 500}))
            seed += 1
    return len(written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="the store's folder")
    parser.add_argument("--runs", type=int, default=1000, help="finished runs (default 1000)")
    parser.add_argument("--seeds", type=int, help="seeds of the factorial plan (default: what fills the store)")
    parser.add_argument("--test-sequences", type=int, help="scores of single sequences in a record (default: the preset's)")
    arguments = parser.parse_args()
    count = write_store(arguments.root, arguments.runs, arguments.seeds, arguments.test_sequences)
    print(f"{count} runs in {arguments.root}")


if __name__ == "__main__":
    main()
