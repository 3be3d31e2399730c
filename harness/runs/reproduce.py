"""A published plan trained again: which figures agree, and within what."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

from harness.data.source import open_source
from harness.errors import HarnessError
from harness.experiment import canonical_json
from harness.notation import flatten
from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.runs.outcome import stored_experiment
from harness.runs.request import SEED
from harness.store import Cell, Run, Store, validated
from harness.variant import Variants

BITS, WITHIN, NOT = "bit for bit", "within the seeds' sd", "not"
SKIPPED, FAILED = "skipped", "failed"


@dataclass(frozen=True)
class Figure:
    """A test metric, as it was published and as it came out here.

    Args:
        sd: the standard deviation over the seeds of its arm in what was published; None for fewer than two.
        agrees: `BITS`, `WITHIN` (the difference is at most `sd`) or `NOT`.
    """

    metric: str
    published: float | None
    here: float | None
    sd: float | None
    agrees: str


@dataclass(frozen=True)
class Reproduced:
    """A run made again. `agrees` is the worst of its figures, `SKIPPED` or `FAILED`; `reason` says why, or what differs."""

    run_id: str
    variant: str
    seed: int
    agrees: str
    figures: tuple[Figure, ...] = ()
    reason: str = ""


def reproduce(
    published: Store,
    fresh: Store,
    variants: Variants,
    *,
    only: Collection[str] | None = None,
    digits: Path | None = None,
    options: RunOptions,
    context: Context,
) -> Iterator[Reproduced]:
    """Trains and tests every finished run of a store again in another one, and compares their figures, run by run.

    What `fresh` has finished is not trained again, so a run that was interrupted resumes.

    Args:
        only: ids of the runs; all by default.
        digits: the folder of digits, as for `harness run`.
    """
    records = {
        run: (published.record_of(run), result)
        for run in published.runs()
        if not run.superseded and (result := run.read_or_none("result.json")) is not None
    }
    spread = _spread(records.values())
    for run, (record, result) in records.items():
        if only is not None and run.run_id not in only:
            continue
        with validated(run.path):
            name, seed = str(record["variant"]), int(record["seed"])
        if "predictions" in record.get("changes", ()):
            yield Reproduced(run.run_id, name, seed, SKIPPED, reason="its predictions were made elsewhere")
            continue
        try:
            cell, outcome = _again(published, run, record, fresh, variants, digits, options, context)
        except HarnessError as error:
            yield Reproduced(run.run_id, name, seed, FAILED, reason=str(error))
            continue
        with validated(run.path):
            yield compare(run.run_id, result, outcome, spread[_arm(record)], _why(record, cell))


def _again(
    published: Store,
    run: Run,
    record: Mapping[str, Any],
    fresh: Store,
    variants: Variants,
    digits: Path | None,
    options: RunOptions,
    context: Context,
) -> tuple[Cell, dict[str, Any]]:
    experiment = stored_experiment(published, run, variants.components.find)
    source = open_source(experiment.data, digits)
    with validated(run.path):
        named = str(record["variant"]), str(record["preset"]), tuple(map(str, record["changes"]))
    name, preset, changes = named
    cell = Cell(name, preset, experiment, source.identity, changes)
    context.note(f"{name} seed {cell.seed}")
    return cell, run_cell(cell, fresh, source, options, context).result


def compare(
    run_id: str, published: Mapping[str, Any], here: Mapping[str, Any], spread: Mapping[str, float], why: str = ""
) -> Reproduced:
    """The figures of a run, each beside what was published.

    Args:
        spread: metric -> standard deviation over the seeds of the published arm.
        why: what is known to differ between the two.
    """
    figures = []
    for metric, value in published["metrics"].items():
        if metric not in here["metrics"]:
            continue
        other, sd = here["metrics"][metric], spread.get(metric)
        frames = [one["metrics_per_frame"].get(metric) for one in (published, here)]
        figures.append(Figure(metric, value, other, sd, _agrees(value, other, sd, frames[0] == frames[1])))
    order = (BITS, WITHIN, NOT)
    worst = max((one.agrees for one in figures), key=order.index, default=NOT)
    return Reproduced(run_id, str(published["variant"]), int(published["seed"]), worst, tuple(figures), why)


def _agrees(published: float | None, here: float | None, sd: float | None, frames: bool) -> str:
    if published == here and frames:
        return BITS
    near = None not in (published, here, sd) and abs(float(published or 0) - float(here or 0)) <= float(sd or 0)
    return WITHIN if near else NOT


def _arm(record: Mapping[str, Any]) -> str:
    """All that runs of one arm share: the variant and every setting but the seed."""
    settings = flatten(record.get("experiment") or {})
    return canonical_json([record.get("variant"), {path: one for path, one in settings.items() if path != SEED}])


def _spread(records: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """Arm -> metric -> standard deviation over its runs, of arms with two finite values at least."""
    values: dict[str, dict[str, list[float]]] = {}
    for record, result in records:
        mine = values.setdefault(_arm(record), {})
        for metric, value in result["metrics"].items():
            if value is not None and math.isfinite(value):
                mine.setdefault(metric, []).append(value)
    return {arm: {name: stdev(one) for name, one in mine.items() if len(one) > 1} for arm, mine in values.items()}


def _why(record: Mapping[str, Any], cell: Cell) -> str:
    """What the run's identity says differs here: data, or the revision of the code."""
    now = cell.record()
    found = [
        f"{part} {name}: {str(then)[:40]} there, {str(now[part].get(name))[:40]} here"
        for part in ("identity", "revisions")
        for name, then in dict(record.get(part) or {}).items()
        if now[part].get(name) != then
    ]
    return "; ".join(found)
