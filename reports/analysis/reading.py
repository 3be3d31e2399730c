"""Reads a store, or a report's data.json, into records.

Records are data from outside: every field is checked as it is read. A run that lacks one is damaged, with the reason; a number
that is missing or not finite becomes NaN and is shown as such. No variant's plugin is needed to read its runs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from harness.ablation.auto import SeedRule
from harness.errors import HarnessError, RequestError
from harness.evaluation.conventions import METRICS
from harness.store import DamagedRecord, Folder, Run, Store, Training
from harness.store.status import Standing, scan
from reports.analysis import records
from reports.analysis.records import BASELINES, REQUIRED, MetricInfo, PlannedCell, PlanRecord, Records, RunRecord, Trouble
from reports.analysis.words import real

DATA_FILE = "data.json"
"""What a report used, machine-readable, beside its page."""
MAX_DATA_BYTES = 512 * 2**20

T = TypeVar("T")
_KEY = re.compile("[0-9a-f]{16}")
_NUMBERS = {
    "": {"params": "params", "flops": "flops_per_sequence"},
    "training": {
        name: name for name in ("steps", "skipped_steps", "seconds", "sequences_per_second", "best_step", "validation_ssim")
    },
    "inference": {
        "frames_per_second": "frames_per_second",
        "frames_per_second_1": "frames_per_second_batch_1",
        "batch_size": "batch_size",
    },
    "memory": {"gpu_allocated": "allocated_bytes", "gpu_reserved": "reserved_bytes", "host_peak": "host_peak_bytes"},
}
"""Part of result.json -> attribute of a `RunRecord` -> field of that part."""


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
        return _Fields(self.body.get(name), f"{self.where}: {name}") if name else self

    def parts(self, name: str) -> list[_Fields]:
        return [_Fields(one, f"{self.where}: {name}") for one in self.get(name, list)]

    def number(self, name: str) -> float:
        """A number; NaN for null and for a field that is not there. Raises DamagedRecord for anything else."""
        value = self.body.get(name)
        if value is None or type(value) is float:
            return _float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DamagedRecord(f"{self.where}: {name} is no number")
        return _float(value)

    def numbers(self) -> dict[str, float]:
        return {name: self.number(name) for name in self.body}

    def series(self) -> dict[str, tuple[float, ...]]:
        return {name: tuple(_float(one) for one in self.get(name, list)) for name in self.body}

    def metric(self, name: str) -> MetricInfo:
        """What a run recorded of its metric `name`."""
        texts = {field: self.get(field, str) for field in ("title", "unit", "convention")}
        highest = None if self.body.get("highest") is None else self.number("highest")
        better = self.get("higher_is_better", bool)
        return MetricInfo(name=name, higher_is_better=better, lowest=self.number("lowest"), highest=highest, **texts)

    def texts(self) -> dict[str, str]:
        return {str(key): str(value) for key, value in self.body.items()}


def read_store(store: Store, standings: Iterable[Standing] | None = None, *, facts: bool = True) -> Records:
    """Reads every record of a store once. Damaged ones are named with the reason; nothing of them is used.

    Args:
        standings: where the runs to use stand, if that was read before; all runs of the store by default.
        facts: read the environments, too.
    """
    runs: list[RunRecord] = []
    troubles: list[Trouble] = []
    environments: dict[str, dict[str, str]] = {}
    superseded = 0
    trials = _trials(store)  # they are trained and not tested, and pruned ones are not trained to their end
    for one in scan(store) if standings is None else standings:
        if one.superseded:
            superseded += 1
        elif one.status == "finished":
            try:
                runs.append(_read_run(store, one, environments if facts else None))
            except (HarnessError, FileNotFoundError) as error:
                troubles.append(Trouble(where=one.run_id, status="damaged", reason=_reason(error)))
        elif one.status in ("failed", "damaged") or one.run_id not in trials:
            troubles.append(_trouble(one))
    plans: list[PlanRecord] = []
    for path in sorted((store.root / "plans").glob("*.json")):
        try:
            plans.append(_plan(path.stem, _Fields(Folder(path.parent).read(path.name), f"plans/{path.name}")))
        except (HarnessError, FileNotFoundError) as error:
            troubles.append(Trouble(where=f"plans/{path.name}", status="damaged", reason=_reason(error)))
    return Records(tuple(runs), tuple(plans), tuple(troubles), superseded)


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
    if fields.get("kind", str) != records.KIND or fields.get("format", int) != records.FORMAT:
        raise DamagedRecord(f"{path} is not a report's data of format {records.FORMAT}; rebuild the report")
    return Records(
        tuple(_run_from_document(one) for one in fields.parts("runs")),
        tuple(_plan(str(one.body.get("key")), one) for one in fields.parts("plans")),
        (),
        fields.get("superseded", int),
    )


def read_validations(store: Store, run: RunRecord, metric: str) -> dict[int, tuple[float, float]]:
    """Step -> (seconds of training, the metric in validation) of a run's training; NaN where validations do not have it.

    Empty when the training is not there any more, or what is there is not the one that the run tested.
    """
    try:
        found = Training(store.root / "trainings" / run.training_key).validations()
    except HarnessError:
        return {}
    return {
        one["step"]: (_float(one["seconds"]), _float(one.get(metric))) for one in sorted(found, key=lambda one: one["step"])
    }


def sequence_scores(store: Store, run: RunRecord) -> npt.NDArray[np.float64]:
    """The SSIM of every test sequence (N,), NaN where it is not a number; empty when the run has no such record."""
    try:
        record = Run(store.root / "runs" / run.run_id).read_or_none("sequences.json") or {}
    except HarnessError:
        record = {}
    return np.array([_float(value) for value in _Fields({"ssim": [], **record}, run.run_id).get("ssim", list)], np.float64)


def _float(value: object) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    number = real(value)
    return math.nan if number is None else number


def _read_run(store: Store, one: Standing, environments: dict[str, dict[str, str]] | None) -> RunRecord:
    run = Run(store.root / "runs" / one.run_id)
    if not one.record:
        raise DamagedRecord(f"{run.path} has a result, but no experiment.json")
    made = _Fields(one.record, f"{run.run_id}/experiment.json")
    result = _Fields(one.result, f"{run.run_id}/result.json")
    if made.get("run_id", str) != run.run_id or result.get("run_id", str) != run.run_id:
        raise DamagedRecord(f"{run.path} holds the records of another run")
    key = made.get("training_key", str)
    if not _KEY.fullmatch(key):
        raise DamagedRecord(f"{made.where} names the training {key[:80]!r}, which is not a key of this store")
    if environments is not None and key not in environments:
        environments[key] = _facts(store, run, key)
    facts = {} if environments is None else environments[key]
    numbers: dict[str, Any] = {}
    for part, fields in _NUMBERS.items():
        there = result.part(part)
        numbers |= {name: there.number(field) for name, field in fields.items()}
    measured = _Fields(result.body.get("measured", {}), f"{run.run_id}/result.json: measured")
    return RunRecord(
        run_id=run.run_id,
        training_key=key,
        variant=made.get("variant", str),
        preset=made.get("preset", str),
        settings=records.settings_of(made.body),
        identity=made.part("identity").texts(),
        revision=str(made.part("revisions").body.get("training")),
        measured=tuple(measured.part(name).metric(name) for name in measured.body if name not in METRICS),
        test_digest=result.get("test_digest", str),
        digits=result.part("digits").texts(),
        conventions=result.part("conventions").texts(),
        device=facts.get("device") or result.get("device", str),
        stopped_early=bool(result.part("training").body.get("stopped_early")),
        facts=facts,
        **numbers,
        **_common(made, result, "metrics_per_frame"),
    )


def _run_from_document(run: _Fields) -> RunRecord:
    texts = ("run_id", "training_key", "variant", "preset", "revision", "test_digest", "device")
    found: dict[str, Any] = {name: run.get(name, str) for name in texts}
    found |= {name: run.part(name).texts() for name in ("identity", "digits", "conventions", "facts")}
    found |= {name: run.number(name) for fields in _NUMBERS.values() for name in fields}
    stopped = bool(run.body.get("stopped_early"))
    found["measured"] = tuple(
        one.metric(one.get("name", str)) for one in (run.parts("measured") if "measured" in run.body else ())
    )
    return RunRecord(settings=run.get("settings", dict), stopped_early=stopped, **found, **_common(run, run, "per_frame"))


def _common(made: _Fields, result: _Fields, per_frame: str) -> dict[str, Any]:
    """What a store's records and a report's data have in the same shape."""
    baselines, by_frame = result.part("baselines"), result.part("baselines_per_frame")
    there = [name for name in BASELINES if name in REQUIRED or name in baselines.body]
    return {
        "seed": made.get("seed", int),
        "changes": tuple(str(path) for path in made.get("changes", list)),
        "metrics": result.part("metrics").numbers(),
        "per_frame": result.part(per_frame).series(),
        "baselines": {name: baselines.part(name).numbers() for name in there},
        "baselines_per_frame": {name: by_frame.part(name).series() for name in there},
    }


def _facts(store: Store, run: Run, training_key: str) -> dict[str, str]:
    """Device, versions and state of the code of the training (its times are reported), else of the run."""
    record: Mapping[str, Any] | None = None
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
    found = {"device": str(record.get("device_name") or "")}
    found |= {name: str(record.get(name)) for name in ("harness", "python", "platform")}
    found |= {str(name): str(version) for name, version in packages.items()} if isinstance(packages, dict) else {}
    if record.get("cuda"):
        found["CUDA"] = str(record["cuda"])
    if isinstance(git, dict):
        found["git"] = f"{str(git.get('commit'))[:12]}{' with uncommitted changes' if git.get('changed') else ''}"
    return found


def _trouble(one: Standing) -> Trouble:
    seed, attempts = one.record.get("seed"), one.record.get("attempts")
    return Trouble(
        where=one.where,
        status="unfinished" if one.status == "trained" else one.status,
        reason=one.reason + (f" ({attempts} attempts)" if one.status == "failed" and isinstance(attempts, int) else ""),
        variant=str(one.record.get("variant", "")),
        seed=seed if isinstance(seed, int) else None,
    )


def _trials(store: Store) -> set[str]:
    """Ids of the runs of trials, of studies and of plans that tuned their arms. A damaged record is named where it is reported."""
    found: set[str] = set()
    for path in (store.root / "plans").glob("*.json"):
        with suppress(HarnessError, FileNotFoundError, AttributeError, KeyError, TypeError):
            tuned = Folder(path.parent).read(path.name).get("tuned", {})
            found |= {str(trial["run_id"]) for one in tuned.values() for trial in one["trials"]}
    for path in (store.root / "studies").glob("*.json"):
        try:
            trials = Folder(path.parent).read(path.name)["trials"]
            found |= {str(run) for one in trials if one["state"] in ("COMPLETE", "PRUNED") for run in one["run_ids"]}
        except (HarnessError, FileNotFoundError, KeyError, TypeError):
            continue
    return found


def _plan(key: str, record: _Fields) -> PlanRecord:
    cells = [
        PlannedCell(
            seed=cell.get("seed", int),
            run_id=None if cell.body.get("run_id") is None else cell.get("run_id", str),
            error=str(cell.body.get("error") or ""),
            **{name: cell.get(name, str) for name in ("label", "variant", "status")},
        )
        for cell in record.parts("cells")
    ]
    texts: dict[str, Any] = {name: record.get(name, str) for name in ("plan", "match", "preset", "reference")}
    left_out = record.part("left_out").texts() if "left_out" in record.body else {}
    command = str(record.body.get("command") or "")
    tuned = record.part("tuned") if "tuned" in record.body else _Fields({}, record.where)
    arms = {name: _tuned(tuned.part(name)) for name in tuned.body}
    rule, seeds = _seed_rule(record)
    return PlanRecord(
        key=key,
        command=command,
        cells=tuple(cells),
        left_out=left_out,
        tuned=arms,
        seed_rule=rule,
        seeds=seeds,
        **texts,
        **_asked(record),
    )


def _asked(record: _Fields) -> dict[str, Any]:
    """The question of a plan, and what departed from it. A question that cannot be used is none."""
    body = record.body
    try:
        question = dict(body.get("question") or {})
        if question:
            question["margin"], question["metric"] = float(question["margin"]), str(question["metric"])
            question["higher_is_better"] = bool(question["higher_is_better"])
            question["contrasts"] = [{name: str(one[name]) for name in _CONTRAST} for one in question["contrasts"]]
            question["digest"] = str(question["digest"])
        if question and not (math.isfinite(question["margin"]) and question["margin"] > 0):
            raise ValueError("margin")
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedRecord(f"{record.where} has no usable question ({error})") from None
    known, departures = body.get("known_before"), body.get("departures")
    return {
        "question": question,
        "known_before": known if isinstance(known, int) else 0,
        "departures": tuple(str(one) for one in departures) if isinstance(departures, list | tuple) else (),
    }


_CONTRAST = ("name", "treated", "reference")


def _seed_rule(record: _Fields) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Raises DamagedRecord where the plan's rule of seeds is none."""
    if not record.body.get("seed_rule"):
        return {}, ()
    seeds = record.get("seeds", list)
    try:
        rule = SeedRule.of(record.part("seed_rule").body)
    except (KeyError, TypeError, RequestError) as error:
        raise DamagedRecord(f"{record.where}: seed_rule is no rule of seeds ({error})") from None
    if len(seeds) != rule.most or not all(isinstance(seed, int) for seed in seeds):
        raise DamagedRecord(f"{record.where}: seeds are not the {rule.most} of its seed_rule")
    return rule.record(), tuple(seeds)


def _tuned(arm: _Fields) -> dict[str, Any]:
    trials = [{"rate": one.number("rate"), "value": one.number("value")} for one in arm.parts("trials")]
    return {"rate": arm.number("rate"), "own": arm.number("own"), "seed": arm.get("seed", int), "trials": trials}


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, HarnessError) else f"{getattr(error, 'filename', error)} is missing"
