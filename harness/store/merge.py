"""One store into another: whatever the other has and this one lacks, each file read and checked before it counts."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.store.formats import DamagedRecord
from harness.store.records import Folder
from harness.store.store import Run, Store, Training
from harness.system import files

RECORDS = {
    "runs": ("experiment.json", "environment.json", "sequences.json", "result.json"),
    "trainings": ("experiment.json", "environment.json", "training.json"),
}
"""What a finished run and a finished training hold; the last is written last."""
PLAN = re.compile(r"[0-9a-f]{16}\.json")


@dataclass
class Merged:
    """What a merge did, by 'runs/<id>', 'trainings/<key>' or 'plans/<name>'.

    Args:
        copied: what was not there.
        same: what both have.
        kept: what both have with other content: this store's was kept.
        left: what was not taken, with the reason.
    """

    copied: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def merge(into: Store, other: Store) -> Merged:
    """Copies finished runs, finished trainings with their checkpoints, and plans of `other` into a store.

    Nothing is overwritten. An unfinished run or training of this store is set aside for a finished one. Plans that both have become
    one: a cell is finished where it is in either. Studies stay where they are, for a study is a database that its workers share.

    Raises RequestError when both are one store, or `other` is none.
    """
    if not other.root.is_dir():
        raise RequestError(f"there is no store {other.root} to merge")
    if into.root.exists() and into.root.samefile(other.root):
        raise RequestError(f"{into.root} and {other.root} are one store; name two")
    done = Merged()
    for training in other.trainings():
        _take(into, training, "trainings", done)
    for run in other.runs():
        _take(into, run, "runs", done)
    plans = Folder(other.part("plans"))
    for path in sorted(plans.path.glob("*.json")) if plans.path.is_dir() else ():
        if PLAN.fullmatch(path.name):
            _take_plan(into, plans, path.name, done)
    return done


def check_records(folder: Run | Training, kind: str) -> dict[str, Any] | None:
    """The last record of a finished run or training, after all its files were read and found whole; None when it is unfinished.

    Raises DamagedRecord or NewerFormat. A training's checkpoint may be absent, but what is there must be the one that it names.
    """
    *others, last = RECORDS[kind]
    record = folder.read_or_none(last)
    if record is None:
        return None
    for name in others:
        if folder.read_or_none(name) is None and name in ("experiment.json", "environment.json"):
            raise DamagedRecord(f"{folder.path} has no {name}")
    if isinstance(folder, Training) and folder.has(str(record.get("checkpoint"))):
        folder.check(record, here=False)
    return record


def _take(into: Store, theirs: Run | Training, kind: str, done: Merged) -> None:
    where = f"{kind}/{theirs.path.name}"
    if theirs.superseded:
        return
    try:
        record = check_records(theirs, kind)
    except HarnessError as error:
        done.left[where] = f"damaged: {error}"
        return
    if record is None:
        done.left[where] = "not finished"
        return
    mine = type(theirs)(into.part(kind) / theirs.path.name)
    with into.lock(theirs.path.name, wait=0) as lease:
        if lease is None:
            done.left[where] = "in use by another process"
            return
        try:
            ours = mine.read_or_none(RECORDS[kind][-1])
        except HarnessError as error:
            done.left[where] = f"this store's own is damaged ({error}); harness doctor --repair"
            return
        if ours is not None:
            (done.same if _equal(ours, record) else done.kept).append(where)
            if _equal(ours, record):
                _add_checkpoint(mine, theirs, record)
            return
        into.set_aside(mine)
        _copy(theirs, mine.path)
        done.copied.append(where)


def _equal(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return ours == theirs


def _add_checkpoint(mine: Run | Training, theirs: Run | Training, record: dict[str, Any]) -> None:
    """Weights that this store's equal training lacks, because it was imported without them."""
    name = record.get("checkpoint")
    if isinstance(mine, Training) and isinstance(name, str) and theirs.has(name) and not mine.has(name):
        mine.take_out()
        with theirs.present(name) as file:
            files.stage(mine.path / name, *files.pieces(file)).replace(mine.path / name)


def _copy(source: Folder, target: Path) -> None:
    """A folder's files under a temporary name, and then under its own: a reader sees all of them or none."""
    try:
        with files.replacing(target) as staging:
            staging.mkdir()
            for name in source.names():
                with source.present(name) as file:
                    files.stage(staging / name, *files.pieces(file)).replace(staging / name)
    except OSError as error:
        raise HarnessError(
            f"cannot copy {source.path} to {target}: {error.strerror or error}; what was copied so far stays"
        ) from error


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        temporary = files.stage(target, *files.pieces(file))
    shutil.copystat(source, temporary)
    temporary.replace(target)


def _take_plan(into: Store, plans: Folder, name: str, done: Merged) -> None:
    where = f"plans/{name}"
    try:
        theirs = plans.read(name)
        folder = Folder(into.part("plans"))
        ours = folder.read_or_none(name)
    except HarnessError as error:
        done.left[where] = f"damaged: {error}"
        return
    if ours is None:
        folder.path.mkdir(parents=True, exist_ok=True)
        _copy_file(plans.path / name, folder.path / name)
        done.copied.append(where)
        return
    merged = dict(ours)
    with suppress(LookupError, TypeError):
        merged["cells"] = _cells(ours["cells"], theirs["cells"])
        asked, other = ours.get("question") or {}, theirs.get("question") or {}
        if asked.get("digest") != other.get("digest"):
            said = f"merged with a record of this plan that asked otherwise (digest {other.get('digest')})"
            merged["departures"] = list(dict.fromkeys([*ours.get("departures", ()), said]))
    if merged == ours:
        done.same.append(where)
    else:
        folder.write(name, merged)
        done.copied.append(where)


def _cells(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ours, in their order, each replaced by one that is finished; then cells that theirs alone has."""
    by_cell = {(one["label"], one["seed"]): one for one in theirs}
    found = []
    for one in ours:
        other = by_cell.pop((one["label"], one["seed"]), None)
        better = other is not None and one["status"] != "finished" and other["status"] == "finished"
        found.append(other if better and other is not None else one)
    return [*found, *by_cell.values()]
