"""The run store: the only reader and writer of run folders.

    <root>/trainings/<checkpoint key>/   experiment.json  environment.json  metrics.jsonl
                                         last.safetensors  best-<step>.safetensors  training.json
    <root>/runs/<run id>/                experiment.json  environment.json  sequences.json  result.json
    <root>/locks/                        <key>.lock and <key>.lease (see `harness.system.locks`)
    <root>/quarantine/<name>~<number>/   something damaged, and why.json
    <root>/packs/                        finished trainings and runs in one file (see `harness.store.packs`)

A training and a run are two folders because several runs share one training: test-time augmentation evaluates the
checkpoint that its variant already has. `training.json` and `result.json` are written last, atomically: a folder that has
one is finished. Records are JSON with their own SHA-256, lines of metrics.jsonl have theirs, arrays are safetensors with one in
their header; each also says where it belongs. Nothing is ever unpickled. docs/reliability.md says what follows from that.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.store import packs
from harness.store.checkpoints import CheckpointFolder
from harness.store.formats import REDO, DamagedRecord, validated
from harness.store.identity import Cell
from harness.store.records import Folder, unguarded
from harness.system import files, locks

QUARANTINE = "quarantine"
DEFAULT_STORE = Path("artifacts")
_KEY = re.compile(r"[0-9a-f]{16}(~[0-9]{1,6})?")


def store_root(given: Path | None) -> Path:
    """The store's folder: what was given, else HARNESS_STORE, else 'artifacts' here. It need not exist yet.

    Raises RequestError when it is no folder.
    """
    root = given or Path(os.environ.get("HARNESS_STORE") or DEFAULT_STORE)
    if root.exists() and not root.is_dir():
        raise RequestError(f"the store {root} is a file, not a folder; choose another with --store or HARNESS_STORE")
    return root


class Run(Folder):
    """A run's folder."""

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name


class Training(CheckpointFolder):
    """A training's folder."""

    def validations(self) -> list[dict[str, Any]]:
        """What each validation measured: step, seconds of training, and the metrics by name."""
        by_step = {}
        for line in self.lines("metrics.jsonl"):
            step, seconds, metrics = line.get("step"), line.get("seconds"), line.get("validation")
            if isinstance(step, int) and isinstance(seconds, int | float) and isinstance(metrics, dict):
                by_step[step] = {"step": step, "seconds": seconds, **metrics}
        return list(by_step.values())

    def check(self, summary: Mapping[str, Any], *, here: bool = True) -> Path:
        """The chosen checkpoint of a finished training, its digest verified. Raises DamagedRecord.

        Args:
            here: bring the training back from a pack, so that the checkpoint and its last state are files.
        """
        if here and self.guard is unguarded and self.packed() is not None:
            with locks.hold(self.path.parent.parent / "locks", self.path.name):
                self.take_out()
        record = self.path / "training.json"
        with validated(record):
            name, digest = summary["checkpoint"], summary["checkpoint_sha256"]
            float(summary["seconds"]) + float(summary["warm_up_seconds"]), summary["memory"]["host_peak_bytes"]
        if not isinstance(name, str) or Path(name).name != name:
            raise DamagedRecord(f"{record} names a checkpoint outside its folder: {str(name)[:80]!r}")
        if self.digest(name) != digest:
            raise DamagedRecord(f"{self.path / name} is not the checkpoint that was trained; {REDO}")
        return self.path / name


class Store:
    """A folder of trainings and runs that many processes may use at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def training(self, cell: Cell) -> Training:
        """The folder of a cell's training, whether it exists or not."""
        return Training(self.part("trainings") / cell.training_key)

    def run(self, cell: Cell) -> Run:
        """The folder of a cell's run, whether it exists or not."""
        return Run(self.part("runs") / cell.run_id)

    def record_of(self, run: Run) -> dict[str, Any]:
        """The record of a run's cell: its own or, before it was tested, that of its training.

        Raises DamagedRecord when there is none.
        """
        record = run.read_or_none("experiment.json") or self.begun().get(run.run_id)
        if record is None:
            raise DamagedRecord(f"{run.path} has no experiment.json; it is not a whole run")
        return record

    def training_of(self, run: Run, known: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None) -> Training:
        """The training folder with the checkpoint that a finished run tested, be it one that `--force` set aside since.

        For a run that was not tested yet: the folder of its training, which may be under way or not begun.

        Args:
            known: the run's experiment.json and result.json, where they were read already.

        Raises DamagedRecord when the run's records are not whole, or no training of this store has that checkpoint; RequestError
        for predictions without a training.
        """
        record, result = known or (self.record_of(run), run.read_or_none("result.json"))
        if "predictions" in record:
            raise RequestError(f"run {run.run_id} has no network: nothing was trained for its predictions")
        with validated(run.path):
            key = str(record["training_key"])
            tested = None if result is None else result["training"]["checkpoint_sha256"]
        if tested is None:
            if not _KEY.fullmatch(key):
                raise DamagedRecord(f"{run.path} names the training {key[:80]!r}, which is not a key of this store")
            return Training(self.part("trainings") / key)
        for training in self._trainings_of(key):
            summary = training.read_or_none("training.json")
            with validated(training.path):
                if summary is not None and summary["checkpoint_sha256"] == tested:
                    return training
        raise DamagedRecord(
            f"{self.root} no longer has the checkpoint that run {run.run_id} tested; use --force to train it again"
        )

    def _trainings_of(self, key: str) -> Iterator[Training]:
        """The trainings with a key: the one that counts first, and only then those that `--force` set aside."""
        own = Training(self.part("trainings") / key)
        if _KEY.fullmatch(key) and (own.path.is_dir() or own.packed() is not None):
            yield own
        yield from (one for one in self.trainings() if one.key == key and one.superseded)

    def runs(self) -> Iterator[Run]:
        """All run folders, in the order of their names; files and folders that are not ours are passed over."""
        return map(Run, self._folders("runs"))

    def trainings(self) -> Iterator[Training]:
        """All training folders, in the same manner."""
        return map(Training, self._folders("trainings"))

    def part(self, kind: str) -> Path:
        """A folder of the store. Raises DamagedRecord when it is a link: the store itself may be one, what is in it may not."""
        if (path := self.root / kind).is_symlink():
            raise DamagedRecord(f"{path} is a link; name the store that it leads to with --store, or move its target here")
        return path

    def _folders(self, kind: str) -> Iterator[Path]:
        folder = self.part(kind)
        try:
            with os.scandir(folder) as there:
                names = [one.name for one in there if _KEY.fullmatch(one.name) and one.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise HarnessError(f"cannot read the store {self.root}: {error.strerror or error}") from error
        for name in sorted({*names, *packs.names(self.root, kind)}):
            yield folder / name

    def find(self, prefix: str) -> Run:
        """The run whose id starts with `prefix`; one whose training has begun has no folder of its own yet.

        Raises RequestError when there is none, or more than one.
        """
        ids = [run.run_id for run in self.runs()]
        ids += [one for one in self.begun() if one not in ids]
        matches = [prefix] if prefix in ids else [one for one in ids if one.startswith(prefix) and "~" not in one]
        if len(matches) != 1:
            what = "no run" if not matches else f"{len(matches)} runs"
            names = matches or ids
            known = (", ".join(names[:8]) or "none") + (", ..." if len(names) > 8 else "")
            raise RequestError(
                f"{what} with the id {prefix!r} in {self.root}; {'matches' if matches else 'there'}: {known}"
                + ("" if matches else "; `harness list runs` shows all")
            )
        return Run(self.part("runs") / matches[0])

    def begun(self) -> dict[str, dict[str, Any]]:
        """The records of trainings by the id of the run that each was made for; damaged ones are passed over."""
        found: dict[str, dict[str, Any]] = {}
        for training in self.trainings():
            with suppress(HarnessError):
                record = training.read_or_none("experiment.json") or {}
                run_id = record.get("run_id")
                if isinstance(run_id, str) and _KEY.fullmatch(run_id) and not training.superseded:
                    found.setdefault(run_id, record)
        return found

    @contextmanager
    def lock(
        self, key: str, *, wait: float = math.inf, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[locks.Lease | None]:
        """Holds the lock of a key; yields its lease, or None when another has it for `wait` seconds more.

        Calls `waiting` when another has it. A process that died holding it blocks nobody; see `harness.system.locks`.
        """
        with ExitStack() as stack:
            try:
                lease = stack.enter_context(locks.hold(self.part("locks"), key, wait=wait, waiting=waiting))
            except OSError as error:
                raise HarnessError(
                    f"cannot write to the store {self.root}: {error.strerror or error}; "
                    "choose a writable folder with --store or HARNESS_STORE"
                ) from error
            yield lease

    @contextmanager
    def own(self, folder: Folder, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Holds the lock of a training or a run, which is written through `folder` only while that is so."""
        with self.lock(folder.path.name, waiting=waiting) as lease:
            assert lease is not None
            folder.guard = lease.check
            yield

    def quarantine(self, path: Path, reason: str) -> Path:
        """Moves a damaged file or folder of the store out of the way and keeps it, with the reason; returns where it is."""
        inside = path.relative_to(self.root)
        name = ".".join(inside.parts)
        for above in inside.parents:  # what a link leads to is not the store's to move
            if above.name and (self.root / above).is_symlink():
                raise DamagedRecord(f"{self.root / above} is a link, so {path} is left alone; remove the link")
        quarantine = self.part(QUARANTINE)
        try:
            quarantine.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                place = quarantine / f"{name}~{number}"
                try:
                    place.mkdir()
                    break
                except FileExistsError:
                    number += 1
            packs.take_out(path if len(inside.parts) == 2 else path.parent)
            Folder(place).write("why.json", {"path": inside.as_posix(), "reason": reason})
            os.rename(path, place / path.name)
            files.sync_folder(path.parent)
        except OSError as error:
            raise HarnessError(
                f"cannot set the damaged {path} aside: {error.strerror or error}; free space or make the store writable, then "
                "run the same command again"
            ) from error
        return place / path.name

    def set_aside(self, folder: Folder) -> Path | None:
        """Renames a folder to the next free '<name>~N', so that it is kept but no longer found. None when absent."""
        folder.take_out()
        if not folder.path.exists():
            return None
        number = 1
        while (aside := folder.path.with_name(f"{folder.path.name}~{number}")).exists():
            number += 1
        try:
            os.rename(folder.path, aside)
            files.sync_folder(folder.path.parent)
        except OSError as error:
            raise HarnessError(f"cannot set {folder.path} aside: {error.strerror or error}") from error
        return aside

    def free_bytes(self) -> int:
        """Free space where the store lies, bytes."""
        place = self.root
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free
