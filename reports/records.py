"""From a store, or from a report's data.json, to typed values: runs, plans, and what failed, is unfinished or damaged.

Records are data from outside: every field is checked as it is read. A run that lacks one is damaged, with the reason; a
number that is missing or not finite becomes NaN and is shown as such. No variant's plugin is needed to read its runs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError
from harness.evaluation.conventions import METRICS
from harness.store import DamagedRecord, Folder, Run, Store, Training

FORMAT = 1
DATA_FILE = "data.json"
"""What a report used, machine-readable, beside its page."""
KIND = "ablation-harness report data"
MAX_DATA_BYTES = 512 * 2**20
SEED = "training.seed"
BASELINES = ("blank", "repeat_last")

T = TypeVar("T")
_KEY = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One finished run. Times in seconds, memory in bytes; NaN where a number is missing or not finite.

    `settings` maps config paths to plain JSON values; `changes` are those that the variant changes. `conventions` says what
    the metrics mean; `facts` are the versions and the state of the code that made it.
    """

    run_id: str
    training_key: str
    variant: str
    preset: str
    seed: int
    changes: tuple[str, ...]
    settings: dict[str, Any]
    identity: dict[str, str]
    numerics: str
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

    def metric(self, name: str) -> float:
        """The test metric of that name; NaN when the run has none."""
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
    """A plan: which cells belong together, and at which equal budget (`match`)."""

    key: str
    plan: str
    match: str
    preset: str
    reference: str
    command: str
    cells: tuple[PlannedCell, ...]


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

    def document(self) -> dict[str, Any]:
        """Plain JSON values from which `from_document` makes equal records."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "runs": [_plain(vars(run)) for run in self.runs],
            "plans": [_plain(vars(plan)) for plan in self.plans],
            "troubles": [_plain(vars(trouble)) for trouble in self.troubles],
            "superseded": self.superseded,
        }


def read_store(store: Store) -> Records:
    """Reads every record of a store once. Damaged ones are named with the reason; nothing of them is used."""
    runs: list[RunRecord] = []
    troubles: list[Trouble] = []
    environments: dict[str, dict[str, str]] = {}
    superseded = 0
    seen: set[str] = set()
    for run in store.runs():
        if run.superseded:
            superseded += 1
            continue
        found: RunRecord | Trouble
        try:
            found = _read_run(store, run, environments)
        except (HarnessError, FileNotFoundError) as error:
            found = Trouble(where=run.run_id, status="damaged", reason=_reason(error))
        if isinstance(found, RunRecord):
            runs.append(found)
            seen |= {found.training_key, found.run_id}
        else:
            troubles.append(found)
            seen.add(run.run_id)
    plans: list[PlanRecord] = []
    for path in sorted((store.root / "plans").glob("*.json")):
        try:
            plans.append(_plan(path.stem, _Fields(Folder(path.parent).read(path.name), f"plans/{path.name}")))
        except (HarnessError, FileNotFoundError) as error:
            troubles.append(Trouble(where=f"plans/{path.name}", status="damaged", reason=_reason(error)))
    troubles += _unfinished_trainings(store, seen)
    trials = _trials_of_studies(store)  # they are trained and not tested, and pruned ones are not trained to their end
    troubles = [one for one in troubles if one.status != "unfinished" or one.where not in trials]
    return Records(tuple(runs), tuple(plans), tuple(troubles), superseded)


def read_validations(store: Store, run: RunRecord) -> dict[int, tuple[float, float]]:
    """Step -> (seconds of training, validation SSIM) of a run's training; the later line of a step counts.

    Empty when the training is not there any more, or what is there is not the one that the run tested.
    """
    folder = Training(store.root / "trainings" / run.training_key)
    found: dict[int, tuple[float, float]] = {}
    try:
        lines = folder.lines("metrics.jsonl")
    except HarnessError:
        return {}
    for line in lines:
        metrics, step = line.get("validation"), line.get("step")
        if isinstance(metrics, dict) and isinstance(step, int):
            found[step] = _float(line.get("seconds")), _float(metrics.get("ssim"))
    return dict(sorted(found.items()))


def read_document(path: Path) -> Records:
    """The records that a report's data.json holds. Raises HarnessError when it is not one, or is damaged."""
    try:
        if path.is_fifo():
            raise DamagedRecord(f"{path} is not a file but a pipe; rebuild the report")
        if path.stat().st_size > MAX_DATA_BYTES:
            raise DamagedRecord(f"{path} is larger than {MAX_DATA_BYTES >> 20} MiB; it is not a report's data")
        body = json.loads(path.read_bytes())
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        raise DamagedRecord(f"{path} is truncated or not JSON; rebuild the report") from None
    fields = _Fields(body, str(path))
    if fields.get("kind", str) != KIND or fields.get("format", int) != FORMAT:
        raise DamagedRecord(f"{path} is not a report's data of format {FORMAT}; rebuild the report")
    return Records(
        tuple(_run_from_document(_Fields(one, f"{path}: run")) for one in fields.get("runs", list)),
        tuple(
            _plan(str(one.body.get("key")), one)
            for one in (_Fields(one, f"{path}: plan") for one in fields.get("plans", list))
        ),
        (),
        fields.get("superseded", int),
    )


# --- one record


class _Fields:
    """A mapping from outside, read field by field. Raises DamagedRecord naming the field."""

    def __init__(self, body: object, where: str) -> None:
        if not isinstance(body, dict):
            raise DamagedRecord(f"{where} is not a record of this program")
        self.body, self.where = body, where

    def get(self, name: str, kind: type[T]) -> T:
        value = self.body.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise DamagedRecord(f"{self.where} has no usable {name!r}")
        return value

    def part(self, name: str) -> _Fields:
        return _Fields(self.body.get(name), f"{self.where}: {name}")

    def number(self, name: str) -> float:
        """A number; NaN for null and for a field that is not there. Raises DamagedRecord for anything else."""
        value = self.body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DamagedRecord(f"{self.where}: {name} is no number")
        return _float(value)

    def numbers(self) -> dict[str, float]:
        return {name: self.number(name) for name in self.body if name in METRICS}

    def series(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(_float(one) for one in self.get(name, list)) for name in self.body if name in METRICS}

    def texts(self) -> dict[str, str]:
        return {str(key): str(value) for key, value in self.body.items()}


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _read_run(store: Store, run: Run, environments: dict[str, dict[str, str]]) -> RunRecord | Trouble:
    experiment_record, result_record = run.read_or_none("experiment.json"), run.read_or_none("result.json")
    if result_record is None:
        return _without_result(run, experiment_record)
    if experiment_record is None:
        raise DamagedRecord(f"{run.path} has a result, but no experiment.json")
    made = _Fields(experiment_record, f"{run.run_id}/experiment.json")
    result = _Fields(result_record, f"{run.run_id}/result.json")
    if made.get("run_id", str) != run.run_id or result.get("run_id", str) != run.run_id:
        raise DamagedRecord(f"{run.path} holds the records of another run")
    training, inference, memory = result.part("training"), result.part("inference"), result.part("memory")
    baselines, by_frame = result.part("baselines"), result.part("baselines_per_frame")
    changes = tuple(str(path) for path in made.get("changes", list))
    key = made.get("training_key", str)
    if not _KEY.fullmatch(key):
        raise DamagedRecord(f"{made.where} names the training {key[:80]!r}, which is not a key of this store")
    if key not in environments:
        environments[key] = _facts(store, run, key)
    return RunRecord(
        run_id=run.run_id,
        training_key=key,
        variant=made.get("variant", str),
        preset=made.get("preset", str),
        seed=made.get("seed", int),
        changes=changes,
        settings=_settings(made.part("experiment")),
        identity=made.part("identity").texts(),
        numerics=str(made.body.get("numerics")),
        test_digest=result.get("test_digest", str),
        digits=result.part("digits").texts(),
        conventions=result.part("conventions").texts(),
        device=environments[key].get("device") or result.get("device", str),
        params=result.number("params"),
        flops=result.number("flops_per_sequence"),
        metrics=result.part("metrics").numbers(),
        per_frame=result.part("metrics_per_frame").series(),
        baselines={name: baselines.part(name).numbers() for name in BASELINES},
        baselines_per_frame={name: by_frame.part(name).series() for name in BASELINES},
        steps=training.number("steps"),
        skipped_steps=training.number("skipped_steps"),
        seconds=training.number("seconds"),
        sequences_per_second=training.number("sequences_per_second"),
        best_step=training.number("best_step"),
        validation_ssim=training.number("validation_ssim"),
        stopped_early=bool(training.body.get("stopped_early")),
        frames_per_second=inference.number("frames_per_second"),
        frames_per_second_1=inference.number("frames_per_second_batch_1"),
        batch_size=inference.number("batch_size"),
        gpu_allocated=memory.number("allocated_bytes"),
        gpu_reserved=memory.number("reserved_bytes"),
        host_peak=memory.number("host_peak_bytes"),
        facts=environments[key],
    )


def sequence_scores(store: Store, run: RunRecord) -> npt.NDArray[np.float64]:
    """The SSIM of every test sequence (N,), NaN where it is not a number; empty when the run has no such record."""
    try:
        record = Run(store.root / "runs" / run.run_id).read_or_none("sequences.json") or {}
    except HarnessError:
        record = {}
    return np.array([_float(value) for value in _Fields({"ssim": [], **record}, run.run_id).get("ssim", list)], np.float64)


def _settings(experiment: _Fields) -> dict[str, Any]:
    """Config path -> value, sections flattened."""
    return {
        f"{section}.{name}": value for section in experiment.body for name, value in experiment.get(section, dict).items()
    }


def _facts(store: Store, run: Run, training_key: str) -> dict[str, str]:
    """Device, versions and state of the code of the training (its times are reported), else of the run."""
    record: dict[str, Any] | None = None
    for folder in (Training(store.root / "trainings" / training_key), run):
        try:
            record = folder.read_or_none("environment.json")
        except HarnessError:
            continue
        if record is not None:
            break
    if record is None:
        return {}
    packages, git = record.get("packages"), record.get("git")
    found = {
        "device": str(record.get("device_name") or ""),
        "harness": str(record.get("harness")),
        "python": str(record.get("python")),
    }
    found |= {"platform": str(record.get("platform"))}
    found |= {str(name): str(version) for name, version in packages.items()} if isinstance(packages, dict) else {}
    if record.get("cuda"):
        found["CUDA"] = str(record["cuda"])
    if isinstance(git, dict):
        found["git"] = f"{str(git.get('commit'))[:12]}{' with uncommitted changes' if git.get('changed') else ''}"
    return found


def _without_result(run: Run, experiment: Mapping[str, Any] | None) -> Trouble:
    failure = run.read_or_none("failure.json")
    known = failure or experiment or {}
    seed = known.get("seed")
    status, reason = "unfinished", "no result yet"
    if failure is not None:
        attempts = failure.get("attempts")
        status, reason = (
            "failed",
            f"{failure.get('error')}" + (f" ({attempts} attempts)" if isinstance(attempts, int) else ""),
        )
    return Trouble(
        where=run.run_id,
        status=status,
        reason=reason,
        variant=str(known.get("variant", "")),
        seed=seed if isinstance(seed, int) else None,
    )


def _unfinished_trainings(store: Store, seen: set[str]) -> list[Trouble]:
    found = []
    for training in store.trainings():
        name = training.path.name
        if name in seen or "~" in name:
            continue
        try:
            record = training.read_or_none("experiment.json")
            done = (training.path / "training.json").exists()
        except HarnessError as error:
            found.append(Trouble(where=f"trainings/{name}", status="damaged", reason=_reason(error)))
            continue
        if record is not None and record.get("run_id") not in seen:
            seed = record.get("seed")
            found.append(
                Trouble(
                    where=str(record.get("run_id")),
                    status="unfinished",
                    reason="trained, but not tested" if done else "training has begun",
                    variant=str(record.get("variant", "")),
                    seed=seed if isinstance(seed, int) else None,
                )
            )
    return found


def _trials_of_studies(store: Store) -> set[str]:
    """Ids of the runs of trials that ended well. A record that is damaged is named where studies are reported."""
    found: set[str] = set()
    for path in (store.root / "studies").glob("*.json"):
        try:
            trials = Folder(path.parent).read(path.name)["trials"]
            found |= {str(run) for one in trials if one["state"] in ("COMPLETE", "PRUNED") for run in one["run_ids"]}
        except (HarnessError, FileNotFoundError, KeyError, TypeError):
            continue
    return found


def _plan(key: str, record: _Fields) -> PlanRecord:
    cells = []
    for one in record.get("cells", list):
        cell = _Fields(one, f"{record.where}: cells")
        cells.append(
            PlannedCell(
                label=cell.get("label", str),
                variant=cell.get("variant", str),
                seed=cell.get("seed", int),
                run_id=None if cell.body.get("run_id") is None else cell.get("run_id", str),
                status=cell.get("status", str),
                error=str(cell.body.get("error") or ""),
            )
        )
    return PlanRecord(
        key=key,
        plan=record.get("plan", str),
        match=record.get("match", str),
        preset=record.get("preset", str),
        reference=record.get("reference", str),
        command=str(record.body.get("command") or ""),
        cells=tuple(cells),
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, HarnessError) else f"{getattr(error, 'filename', error)} is missing"


# --- data.json


def _plain(value: Any) -> Any:
    """NaN as null: JSON has no other."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _plain(vars(value)) if isinstance(value, PlannedCell) else value


_TEXTS = ("run_id", "training_key", "variant", "preset", "numerics", "test_digest", "device")
_MAPPINGS = ("identity", "digits", "conventions", "facts")
_NUMBERS = (
    "params", "flops", "steps", "skipped_steps", "seconds", "sequences_per_second", "best_step", "validation_ssim",
    "frames_per_second", "frames_per_second_1", "batch_size", "gpu_allocated", "gpu_reserved", "host_peak",
)  # fmt: skip


def _run_from_document(run: _Fields) -> RunRecord:
    baselines, by_frame = run.part("baselines"), run.part("baselines_per_frame")
    texts: dict[str, Any] = {name: run.get(name, str) for name in _TEXTS}
    mappings: dict[str, Any] = {name: run.part(name).texts() for name in _MAPPINGS}
    numbers: dict[str, Any] = {name: run.number(name) for name in _NUMBERS}
    return RunRecord(
        seed=run.get("seed", int),
        changes=tuple(map(str, run.get("changes", list))),
        settings=run.get("settings", dict),
        metrics=run.part("metrics").numbers(),
        per_frame=run.part("per_frame").series(),
        baselines={name: baselines.part(name).numbers() for name in BASELINES},
        baselines_per_frame={name: by_frame.part(name).series() for name in BASELINES},
        stopped_early=bool(run.body.get("stopped_early")),
        **texts,
        **mappings,
        **numbers,
    )


def distinct(values: Iterable[str]) -> list[str]:
    """The different values, in the order of their first appearance."""
    return list(dict.fromkeys(values))
