"""What a store or a report's data.json holds, as typed values: runs, plans, and what failed, is unfinished or damaged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.notation import flatten
from harness.store import DamagedRecord

FORMAT = 1
KIND = "ablation-harness report data"
BASELINES = {
    "blank": "blank frame",
    "repeat_last": "repeat last frame",
    "climatology": "climatology",
    "flow": "optical flow",
}
"""The predictions without a network that a run is tested beside, and what they are called; all runs have the first two."""
REQUIRED = ("blank", "repeat_last")


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """A metric as a run recorded it, so that its plugin need not be installed; fields as in `harness.evaluation.metrics.Metric`."""

    name: str
    title: str
    higher_is_better: bool
    lowest: float
    highest: float | None
    unit: str
    convention: str

    @property
    def direction(self) -> str:
        """'higher' or 'lower': which way is better."""
        return "higher" if self.higher_is_better else "lower"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One finished run. Times in seconds, memory in bytes; NaN where a number is missing or not finite.

    `settings` are those of `settings_of`; `changes` are the paths that the variant changes. `conventions` says what the
    metrics mean; `facts` are the versions and the state of the code that made it.
    """

    run_id: str
    training_key: str
    variant: str
    preset: str
    seed: int
    changes: tuple[str, ...]
    settings: dict[str, Any]
    identity: dict[str, str]
    revision: str
    test_digest: str
    digits: dict[str, str]
    conventions: dict[str, str]
    device: str
    params: float
    flops: float
    metrics: dict[str, float]
    per_frame: dict[str, tuple[float, ...]]
    baselines: dict[str, dict[str, float]]
    baselines_per_frame: dict[str, dict[str, tuple[float, ...]]]
    steps: float
    skipped_steps: float
    seconds: float
    sequences_per_second: float
    best_step: float
    validation_ssim: float
    stopped_early: bool
    frames_per_second: float
    frames_per_second_1: float
    batch_size: float
    gpu_allocated: float
    gpu_reserved: float
    host_peak: float
    facts: dict[str, str] = field(default_factory=dict)
    measured: tuple[MetricInfo, ...] = ()
    """The metrics beside the built-in ones."""

    @property
    def scored(self) -> bool:
        """Whether its predictions were made elsewhere (`harness score`): of settings it has those of the data alone."""
        return "predictions" in self.changes

    @property
    def untrained(self) -> bool:
        """Whether there is no network: predictions made elsewhere, or those of an `inference.predictor`."""
        return self.scored or bool(self.settings.get("inference.predictor"))

    def metric(self, name: str) -> float:
        """The test metric of that name; NaN when the run has none, and when it skipped all of its steps: nothing was trained."""
        if self.skipped_steps >= self.steps > 0:
            return math.nan
        return self.metrics.get(name, math.nan)


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell of a plan's record. `label` is the row that it belongs to; it differs from `variant` for renamed copies."""

    label: str
    variant: str
    seed: int
    run_id: str | None
    status: str
    error: str


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """A plan: which cells belong together, at which equal budget (`match`), and why it left arms out."""

    key: str
    plan: str
    match: str
    preset: str
    reference: str
    command: str
    cells: tuple[PlannedCell, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Arm -> the learning rate that was tuned for it: rate, own, seed, trials (rate, value)."""
    seed_rule: Mapping[str, Any] = field(default_factory=dict)
    """With `--seeds auto`, the fields of `harness.ablation.auto.SeedRule`; otherwise empty."""
    seeds: tuple[int, ...] = ()
    """The rule's seeds, in running order."""
    question: Mapping[str, Any] = field(default_factory=dict)
    """What the plan asked before its first run (`harness.ablation.question.Question.record`); empty in older records."""
    known_before: int = 0
    """Cells of arms that were finished when the question was written."""
    departures: tuple[str, ...] = ()

    @property
    def exploratory(self) -> tuple[str, ...]:
        """Why the plan's verdicts are not confirmatory, if they are not."""
        if not self.question:
            return ("no question was written down before the first run",)
        count = self.known_before
        cells = "1 cell of its arms was" if count == 1 else f"{count} cells of its arms were"
        known = f"{cells} finished before the question was written"
        return (*((known,) if self.known_before else ()), *self.departures)


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A run without a usable result: `status` is 'failed', 'unfinished' or 'damaged'."""

    where: str
    status: str
    reason: str
    variant: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Records:
    """All that a store says, in the order of its folders' names."""

    runs: tuple[RunRecord, ...] = ()
    plans: tuple[PlanRecord, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    superseded: int = 0

    @property
    def by_id(self) -> dict[str, RunRecord]:
        """Run id -> run."""
        return {run.run_id: run for run in self.runs}

    def of(self, plan: PlanRecord) -> Records:
        """The records of one plan alone."""
        ids = {cell.run_id for cell in plan.cells}
        runs = tuple(run for run in self.runs if run.run_id in ids)
        return Records(runs, (plan,), tuple(one for one in self.troubles if one.where in ids))

    def document(self) -> dict[str, Any]:
        """Plain JSON values from which `reading.read_document` makes equal runs and plans; it leaves troubles out."""
        parts = {name: [_plain(vars(one)) for one in getattr(self, name)] for name in ("runs", "plans", "troubles")}
        return {"kind": KIND, "format": FORMAT, **parts, "superseded": self.superseded}


def settings_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run's experiment.json: path -> plain value, a component's name at its slot. Reports read settings here.

    Raises DamagedRecord when the record has no experiment of named sections.
    """
    sections = record.get("experiment")
    if not isinstance(sections, dict) or not all(isinstance(values, dict) for values in sections.values()):
        raise DamagedRecord(f"the record of run {str(record.get('run_id'))[:80]} has no usable 'experiment'")
    return flatten(sections)


def _plain(value: Any) -> Any:
    """NaN as null: JSON has no other."""
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _plain(vars(value)) if isinstance(value, PlannedCell | MetricInfo) else value
