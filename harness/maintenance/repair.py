"""What of a store is damaged or left over, and what can be repaired. `harness doctor` shows it; with --repair it is done.

Damage is what a digest, a place or a format says. It is moved into quarantine, which loses nothing, so that the command which
made it makes it anew; a result whose training is whole is made anew here. What processes that died left behind (temporary
files, leases) is removed.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.store.store import QUARANTINE, DamagedRecord, Folder, Run, Store, Training
from harness.system import files, locks
from harness.tuning import database

if TYPE_CHECKING:
    from harness.registry import Variants

OLD = 3600.0
"""A temporary file that no lock protects is left over when it is older, seconds by the file system's own clock."""


@dataclass(frozen=True)
class Finding:
    """Something to know of a store. Its `kind`: 'damaged', 'left over'; or 'incomplete', 'foreign', 'quarantined', no faults.

    `fix` repairs it and says how; None where there is nothing to repair.
    """

    kind: str
    path: Path
    reason: str
    fix: Callable[[], str] | None = None

    def record(self, root: Path) -> dict[str, Any]:
        """Plain values; the path is inside the store."""
        return {"kind": self.kind, "path": self.path.relative_to(root).as_posix(), "reason": self.reason}


def findings(store: Store) -> Iterator[Finding]:
    """All there is to know; changes nothing. A file that cannot be read just now is an error, not damage."""
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
                yield Finding("foreign", path, f"no folder of a name that {kind} have; passed over")
    for path in sorted(store.part(QUARANTINE).glob("*/why.json")):
        try:
            reason = str(Folder(path.parent).read(path.name).get("reason"))
        except (HarnessError, FileNotFoundError) as error:
            reason = f"its reason cannot be read: {error}"
        yield Finding("quarantined", path.parent, reason)


def repair(store: Store, variants: Variants, device: str, digits: Path | None, note: Callable[[str], None]) -> list[str]:
    """Repairs what can be repaired; returns a line for each thing that was done, and tells `note` of it at once."""
    done: list[str] = []

    def say(line: str) -> None:
        done.append(line)
        note(line)

    found = [finding for finding in findings(store) if finding.fix is not None]
    # Only what had a result is tested again: a study's trials never are.
    lost = {
        store.root / "runs" / finding.path.relative_to(store.root).parts[1] for finding in found if _in_runs(store, finding)
    }
    recipes = {path: _recipe(store, Run(path)) for path in sorted(lost) if (path / "result.json").exists()}
    for finding in found:
        assert finding.fix is not None
        say(f"{finding.path.relative_to(store.root)}: {finding.fix()}")
    for path, recipe in recipes.items():
        if not Run(path).superseded and not path.exists() and recipe is not None:
            say(f"runs/{path.name}: {_test_again(store, path.name, recipe, variants, device, digits)}")
    return done


def _in_runs(store: Store, finding: Finding) -> bool:
    return finding.kind == "damaged" and finding.path.relative_to(store.root).parts[0] == "runs"


def _of_run(store: Store, run: Run) -> Iterator[Finding]:
    reasons = []
    for name in ("experiment.json", "environment.json", "sequences.json", "result.json", "failure.json"):
        try:
            run.read_or_none(name)
        except DamagedRecord as error:
            reasons.append(str(error))
        except HarnessError as error:
            yield Finding("damaged", run.path / name, str(error))
    if not reasons and (run.path / "result.json").exists() and not (run.path / "experiment.json").exists():
        reasons.append(f"{run.path} has a result, but no experiment.json")
    if reasons:
        yield _damaged(store, run, run.path, "; ".join(reasons))


def _of_training(store: Store, training: Training) -> Iterator[Finding]:
    for name in ("experiment.json", "environment.json"):
        yield from _record(store, training, name)
    lines = training.path / "metrics.jsonl"
    try:
        whole, others = training.split_lines(lines.name)
        if lines.exists() and not whole and (others or (training.path / "training.json").exists()):
            yield _damaged(store, training, lines, f"{lines} has no line that is whole and this training's own")
        elif others:
            reason = f"{others} of {len(whole) + others} lines of {lines} are torn or changed; they are passed over"
            yield Finding("damaged", lines, reason, lambda: _keep_lines(store, training, whole, reason))
    except DamagedRecord as error:
        yield _damaged(store, training, lines, str(error))
    summary = None
    try:
        summary = training.read_or_none("training.json")
    except DamagedRecord as error:
        yield _damaged(store, training, training.path / "training.json", str(error))
    except HarnessError as error:
        yield Finding("damaged", training.path / "training.json", str(error))
    whole_path = training.path  # without its chosen weights, or a state to go on from, nothing of a training can be used
    try:
        if summary is not None:
            whole_path = training.path / "last.safetensors"
            try:
                if not (training.path / str(summary.get("checkpoint"))).exists():
                    yield Finding("incomplete", training.path, "its weights are not here; who needs them trains anew")
                    return
                training.check(summary)
            except DamagedRecord as error:
                yield _damaged(store, training, training.path, str(error))
                return
        if (training.path / "last.safetensors").exists():
            training.check_checkpoint("last.safetensors")
    except DamagedRecord as error:
        yield _damaged(store, training, whole_path, str(error))
    except HarnessError as error:
        yield Finding("damaged", whole_path, str(error))


def _record(store: Store, folder: Folder, name: str) -> Iterator[Finding]:
    try:
        folder.read_or_none(name)
    except DamagedRecord as error:
        yield _damaged(store, folder, folder.path / name, str(error))
    except HarnessError as error:  # of a newer version, or not to be read just now
        yield Finding("damaged", folder.path / name, str(error))


def _damaged(store: Store, folder: Folder, path: Path, reason: str) -> Finding:
    def aside() -> str:
        with store.lock(folder.path.name, wait=False) as lease:
            if lease is None:
                return "left alone: another process works on it"
            return f"set aside in {store.quarantine(path, reason).relative_to(store.root)}{_command(folder)}"

    return Finding("damaged", path, reason, aside)


def _aside_database(store: Store) -> str:
    lines: list[str] = []
    database.ensure_whole(store, lines.append)
    return lines[0] if lines else "another process set it aside"


def _keep_lines(store: Store, training: Training, whole: list[bytes], reason: str) -> str:
    with store.lock(training.path.name, wait=False) as lease:
        if lease is None:
            return "left alone: another process works on it"
        aside = store.quarantine(lines := training.path / "metrics.jsonl", reason)
        try:
            training.write_bytes(lines.name, b"".join(line + b"\n" for line in whole))
        except HarnessError:  # the next repair has to find them
            with suppress(OSError):
                os.replace(aside, lines)
            raise
        return f"its {len(whole)} whole lines are kept; the file as it was is {aside.relative_to(store.root)}"


def _left_over(store: Store) -> Iterator[Finding]:
    # mypy cannot infer a lambda whose default binds the loop's value, hence the two ignores.
    for path in sorted(store.part("locks").glob("*.lease")):
        if locks.abandoned(path):
            yield Finding("left over", path, "the lock of a process that died", lambda path=path: _free(store, path))  # type: ignore[misc]
    now = _now(store.root)
    for path in sorted(store.root.rglob(".*.part")):
        if files.is_temporary(path) and _stray(store, path, now):
            yield Finding(
                "left over",
                path,
                "a file that a process which died had not finished",
                lambda path=path: _discard(path),  # type: ignore[misc]
            )


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
    """The time that the store's file system gives to a file made now; None where none can be made."""
    try:
        with tempfile.NamedTemporaryFile(dir=root, prefix=".now.") as file:
            return Path(file.name).stat().st_mtime
    except OSError:
        return None


def _free(store: Store, path: Path) -> str:
    with store.lock(path.stem, wait=False) as lease:
        return "freed" if lease is not None else "left alone: another process has it now"


def _discard(path: Path) -> str:
    files.discard([path])
    return "removed"


def _command(folder: Folder) -> str:
    """How to make anew what a folder holds, as far as its record says so."""
    try:
        record = folder.read_or_none("experiment.json") or {}
        words = [
            "harness",
            "run",
            "--variant",
            str(record["variant"]),
            "--preset",
            str(record["preset"]),
            "--seed",
            str(record["seed"]),
        ]
    except (HarnessError, KeyError):
        return "; the command that made it makes it anew"
    return f"; `{shlex.join(words)}`, with the settings that it was given, makes it anew"


def _recipe(store: Store, run: Run) -> dict[str, Any] | None:
    """The record of what a run is: its own, or the one of the training that was made for it."""
    for folder in (run, *store.trainings()):
        try:
            record = folder.read_or_none("experiment.json") or {}
        except HarnessError:
            continue
        if record.get("run_id") == run.run_id:
            return record
    return None


def _test_again(
    store: Store, run_id: str, record: dict[str, Any], variants: Variants, device: str, digits: Path | None
) -> str:
    """Tests a training that is whole once more; says what came of it."""
    from harness.data.source import open_source
    from harness.experiment import Experiment
    from harness.runs.cell import run_cell
    from harness.runs.context import Context
    from harness.store.store import Cell

    try:
        training = Training(store.root / "trainings" / str(record["training_key"]))
        if (summary := training.read_or_none("training.json")) is None:
            return "its training is not finished; its command trains it"
        training.check(summary)
        experiment = Experiment.from_dict(record["experiment"], variants.components)
        source = open_source(experiment.data, digits)
        cell = Cell(record["variant"], record["preset"], experiment, source.identity, tuple(record["changes"]))
        if cell.run_id != run_id:
            return "cannot be tested again here: its data are not at hand, or another version of the code made it"
        run_cell(cell, store, source, context=Context(device=device))
    except (HarnessError, KeyError, TypeError) as error:
        return f"cannot be tested again: {error}"
    return "tested again"
