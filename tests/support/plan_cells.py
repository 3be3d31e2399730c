"""Cells of plans that take no training: their SSIM is a function of arm and seed, and they write what a run writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fake_store import Fake, without_sync, write_run
from study_cells import AtOnce

from harness.ablation.auto import SeedRule
from harness.ablation.plan import Ablation
from harness.ablation.record import Row
from harness.ablation.runner import Runner
from harness.executors.protocol import Executors
from harness.runs.job import Done, Job
from harness.runs.request import Request
from harness.store import Cell, Store

EFFECTS = {"base": 0.0, "attention": 0.03, "curriculum": -0.03, "residual": 0.004, "tta": 0.0}
SPREADS = {"base": 0.005, "tta": 0.0}
"""Of an arm over seeds; 0.005 where none is named. Test-time augmentation is base to the last bit, and residual is near 0."""


def ssim(variant: str, seed: int) -> float:
    """Drawn from (variant, seed) alone."""
    shared = 0.8 + 0.005 * np.random.default_rng([1, seed]).standard_normal()
    own = np.random.default_rng([2, seed, sum(variant.encode())]).standard_normal()
    return float(shared + EFFECTS[variant] + SPREADS.get(variant, 0.005) * (own if variant not in ("base", "tta") else 0))


@dataclass(frozen=True)
class StubRun:
    """A job that writes its run, or fails."""

    job: Job
    cell: Cell
    ssim: float | None
    threads: int = 0

    @property
    def run_id(self) -> str:
        return f"{self.job.variant} {self.job.seed}"

    def progress(self) -> int:
        return 0

    def run(self) -> Done:
        with (self.job.store / "submitted.txt").open("a") as file:
            file.write(f"{self.run_id}\n")
        if self.ssim is None:
            return Done("", error="it broke")
        with without_sync():
            return Done(write_run(self.job.store, self.cell, Fake(ssim=self.ssim)))


class Trusting(Runner):
    """For cells that answer and write nothing: what they say is believed."""

    def _there(self, cell: Cell) -> bool:
        return True


class StubRunner(Runner):
    """A runner whose cells take no training."""

    value: Callable[[str, int], float | None] = staticmethod(ssim)

    def _job(self, row: Row) -> StubRun:  # type: ignore[override]
        assert row.cell is not None
        return StubRun(super()._job(row), row.cell, self.value(row.planned.variant, row.planned.seed))


def auto_plan(arms: Iterable[str] = ("attention", "curriculum", "residual", "tta"), **changes: object) -> Ablation:
    given: dict[str, object] = {
        "plan": ",".join(("base", *arms)),
        "variants": (),
        "seeds": tuple(range(13)),
        "rule": SeedRule(most=13, margin=0.005),
        "request": Request(preset="tiny"),
        "retries": 0,
    }
    return Ablation(**(given | changes))  # type: ignore[arg-type]


def stub_runner(
    root: Path,
    plan: Ablation,
    executors: Executors = lambda slots: AtOnce(slots),  # type: ignore[assignment, return-value]
    value: Callable[[str, int], float | None] = ssim,
) -> StubRunner:
    root.mkdir(parents=True, exist_ok=True)
    runner = StubRunner(plan, Store(root), lambda text: None, executors)
    runner.value = value
    return runner


def submitted(root: Path) -> list[tuple[str, int]]:
    """Every cell that was given to an executor and ran, in order."""
    lines = (root / "submitted.txt").read_text().splitlines() if (root / "submitted.txt").exists() else []
    return [(name, int(seed)) for name, seed in (line.rsplit(" ", 1) for line in lines)]


def three_arms() -> Ablation:
    """A plan of base, attention and residual with three seeds."""
    return Ablation(plan="base,attention,residual", variants=(), seeds=(0, 1, 2), request=Request(preset="tiny"), retries=0)
