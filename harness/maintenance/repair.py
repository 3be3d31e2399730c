"""Finds and repairs what is damaged or left over in a store: `harness doctor` shows it, `harness doctor --repair` repairs it.

Digests, places and formats tell damage. It is moved into quarantine, which loses nothing, and the command that made it makes it
again; a result whose training is whole is made again here. What processes that died left behind (temporary files, leases) is
removed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.runs.request import run_command
from harness.store import QUARANTINE, DamagedRecord, Folder, Run, Store, Training
from harness.system import files, locks
from harness.tuning import database

if TYPE_CHECKING:
    from harness.variant import Variants

BUSY = "left alone: another process works on it"
OLD = 3600.0
"""A temporary file that no lock protects is left over when it is older, seconds by the file system's own clock."""


@dataclass(frozen=True)
class Finding:
    """A finding about a store.

    `kind` is 'damaged' or 'left over', which are faults, or 'incomplete', 'foreign' or 'quarantined', which are none. `fix` repairs
    it and returns a line about it; None where there is nothing to repair.
    """

    kind: str
    path: Path
    reason: str
    fix: Callable[[], str] | None = None

    def record(self, root: Path) -> dict[str, Any]:
        """Plain values; the path is inside the store."""
        return {"kind": self.kind, "path": self.path.relative_to(root).as_posix(), "reason": self.reason}


def findings(store: Store) -> Iterator[Finding]:
    """All findings; changes nothing. A file that cannot be read just now is reported, and has no `fix`."""
    for run in store.runs():
        yield from _of_run(store, run)
    for training in store.trainings():
        yield from _of_training(store, training)
    for kind in ("plans", "studies"):
        for path in sorted(store.part(kind).glob("*.json")):
            yield from _record(store, Folder(path.parent), path.name)
    if (reason := database.damage(path := store.part(database.FOLDER) / database.NAME)) is not None:
        yield Finding("damaged", path, reason, lambda: _aside_database(store))
    yield from _left_over(store)
    for kind, known in (("runs", store.runs()), ("trainings", store.trainings())):
        ours = {folder.path for folder in known}
        for path in sorted((store.root / kind).glob("*")):
            if path not in ours:
                yield Finding("foreign", path, f"its name is not one that {kind} have; passed over")
    for path in sorted(store.part(QUARANTINE).glob("*/why.json")):
        try:
            reason = str(Folder(path.parent).read(path.name).get("reason"))
        except (HarnessError, FileNotFoundError) as error:
            reason = f"its reason cannot be read: {error}"
        yield Finding("quarantined", path.parent, reason)


def repair(store: Store, variants: Variants, device: str, digits: Path | None, note: Callable[[str], None]) -> list[str]:
    """Repairs what can be repaired; returns a line for each repair, and passes it to `note` at once."""
    done: list[str] = []

    def say(line: str) -> None:
        done.append(line)
        note(line)

    found = [finding for finding in findings(store) if finding.fix is not None]
    # Only what had a result is tested again: a study's trials never are.
    inside = [finding.path.relative_to(store.root).parts for finding in found if finding.kind == "damaged"]
    lost = {store.root / "runs" / parts[1] for parts in inside if parts[0] == "runs"}
    recipes = {path: _recipe(store, Run(path)) for path in sorted(lost) if (path / "result.json").exists()}
    for finding in found:
        assert finding.fix is not None
        say(f"{finding.path.relative_to(store.root)}: {finding.fix()}")
    for path, recipe in recipes.items():
        if recipe is None or "predictions" in recipe:  # made elsewhere: its own line has named the command
            continue
        if not Run(path).superseded and not path.exists():
            say(f"runs/{path.name}: {_test_again(store, path.name, recipe, variants, device, digits)}")
    return done


def _check(store: Store, folder: Folder, path: Path, check: Callable[[], object]) -> Iterator[Finding]:
    """The damage that a check of a folder's file finds; `path` is what is set aside for it."""
    try:
        check()
    except DamagedRecord as error:
        yield _damaged(store, folder, path, str(error))
    except HarnessError as error:  # of a newer version, or unreadable just now
        yield Finding("damaged", path, str(error))


def _record(store: Store, folder: Folder, name: str) -> Iterator[Finding]:
    return _check(store, folder, folder.path / name, lambda: folder.read_or_none(name))


def _of_run(store: Store, run: Run) -> Iterator[Finding]:
    reasons = []
    for name in ("experiment.json", "environment.json", "sequences.json", "result.json", "failure.json"):
        for found in _record(store, run, name):
            if found.fix is None:
                yield found
            else:
                reasons.append(found.reason)
    if not reasons and run.has("result.json") and not run.has("experiment.json"):
        reasons.append(f"{run.path} has a result, but no experiment.json")
    if reasons:
        yield _damaged(store, run, run.path, "; ".join(reasons))


def _of_training(store: Store, training: Training) -> Iterator[Finding]:
    for name in ("experiment.json", "environment.json", "training.json"):
        yield from _record(store, training, name)
    yield from _of_lines(store, training, training.path / "metrics.jsonl")
    # Without its chosen weights, or a state to resume from, nothing of a training can be used.
    state, whole = "last.safetensors", training.path
    with suppress(HarnessError):
        if (summary := training.read_or_none("training.json")) is not None:
            if not training.has(str(summary.get("checkpoint"))):
                yield Finding("incomplete", training.path, "its weights are not here; whoever needs them trains it again")
                return
            if found := list(_check(store, training, training.path, lambda: training.check(summary, here=False))):
                yield from found
                return
            whole = training.path / state
    if training.has(state):
        yield from _check(store, training, whole, lambda: training.check_checkpoint(state))


def _of_lines(store: Store, training: Training, path: Path) -> Iterator[Finding]:
    try:
        lines = list(training.walk(path.name))
    except DamagedRecord as error:
        yield _damaged(store, training, path, str(error))
        return
    whole = [text for text, value in lines if value is not None]
    others = len(lines) - len(whole)
    if training.has(path.name) and not whole and (others or training.has("training.json")):
        yield _damaged(store, training, path, f"{path} has no line that is whole and this training's own")
    elif others:
        reason = f"{others} of {len(lines)} lines of {path} are torn or changed; they are passed over"
        yield Finding("damaged", path, reason, lambda: _keep_lines(store, training, whole, reason))


def _damaged(store: Store, folder: Folder, path: Path, reason: str) -> Finding:
    def aside() -> str:
        with store.lock(folder.path.name, wait=0) as lease:
            if lease is None:
                return BUSY
            command = _command(folder)
            return f"set aside in {store.quarantine(path, reason).relative_to(store.root)}{command}"

    return Finding("damaged", path, reason, aside)


def _aside_database(store: Store) -> str:
    lines: list[str] = []
    database.ensure_whole(store, lines.append)
    return lines[0] if lines else "another process has set it aside"


def _keep_lines(store: Store, training: Training, whole: list[bytes], reason: str) -> str:
    with store.lock(training.path.name, wait=0) as lease:
        if lease is None:
            return BUSY
        aside = store.quarantine(lines := training.path / "metrics.jsonl", reason)
        try:
            training.write_bytes(lines.name, b"".join(line + b"\n" for line in whole))
        except HarnessError:  # the next repair must find them
            with suppress(OSError):
                os.replace(aside, lines)
            raise
        return f"its {len(whole)} whole lines are kept; the file as it was is {aside.relative_to(store.root)}"


def _left_over(store: Store) -> Iterator[Finding]:
    for path in sorted(store.part("locks").glob("*.lease")):
        if locks.abandoned(path):
            yield Finding("left over", path, "the lock of a process that died", partial(_free, store, path))
    now = _now(store.root)
    for path in sorted(store.root.rglob(".*.part")):
        if files.is_temporary(path) and _stray(store, path, now):
            reason = "a file that a process had not finished when it died"
            yield Finding("left over", path, reason, partial(_discard, path))


def _stray(store: Store, path: Path, now: float | None) -> bool:
    key = path.parent.name
    if path.parent.parent in (store.root / "runs", store.root / "trainings"):
        lease = store.root / "locks" / f"{key}.lease"
        if not lease.exists() or locks.abandoned(lease):
            return True
    try:
        return now is not None and now - path.stat().st_mtime > OLD
    except OSError:
        return False


def _now(root: Path) -> float | None:
    """The time that the store's file system gives a file made now; None where none can be made."""
    try:
        with tempfile.NamedTemporaryFile(dir=root, prefix=".now.") as file:
            return Path(file.name).stat().st_mtime
    except OSError:
        return None


def _free(store: Store, path: Path) -> str:
    with store.lock(path.stem, wait=0) as lease:
        return "freed" if lease is not None else BUSY


def _discard(path: Path) -> str:
    files.discard([path])
    return "removed"


def _command(folder: Folder) -> str:
    """How to make again what a folder holds, as far as its record says so."""
    try:
        return f"; `{run_command(folder.read('experiment.json'))}` makes it again"
    except (HarnessError, FileNotFoundError, TypeError, AttributeError, LookupError, ValueError):
        return "; the command that made it makes it again"


def _recipe(store: Store, run: Run) -> dict[str, Any] | None:
    """The record of a run, be it the run's own or that of the training made for it; damaged ones are passed over."""
    with suppress(DamagedRecord):
        return store.record_of(run)
    return store.begun().get(run.run_id)


def _test_again(
    store: Store, run_id: str, record: dict[str, Any], variants: Variants, device: str, digits: Path | None
) -> str:
    """Tests a training that is whole once more; says what came of it."""
    from harness.data.source import open_source
    from harness.experiment import Experiment
    from harness.runs.cell import run_cell
    from harness.runs.context import Context
    from harness.store import Cell

    try:
        training = Training(store.root / "trainings" / str(record["training_key"]))
        if (summary := training.read_or_none("training.json")) is None:
            return "its training is not finished; its command trains it"
        training.check(summary)
        experiment = Experiment.from_dict(record["experiment"], variants.components.find)
        source = open_source(experiment.data, digits)
        cell = Cell(record["variant"], record["preset"], experiment, source.identity, tuple(record["changes"]))
        if cell.run_id != run_id:
            return "cannot be tested again here: its data are not at hand, or another version of the code made it"
        run_cell(cell, store, source, context=Context(device=device))
    except (HarnessError, KeyError, TypeError) as error:
        return f"cannot be tested again: {error}"
    return "tested again"
