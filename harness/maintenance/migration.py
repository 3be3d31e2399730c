"""Rewrites a store in the newest format and under the keys of today, so that it answers new requests.

Everything new is made in `<store>/migration`, which no other part of the program reads, and moved to its place by renames when all
of it is there; what is old is removed at the end. A journal there names every folder's new key, so that a migration which was
killed at any write resumes when it is called again, and loses nothing.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.component import Find
from harness.errors import HarnessError
from harness.experiment import Experiment
from harness.store import Cell, DamagedRecord, Folder, Run, Store, Training, packs, validated
from harness.store.packing import unpack
from harness.system import files, locks

Rewrite = Callable[[str, dict[str, Any]], dict[str, Any]]
FOLDER = "migration"
_JOURNAL = "journal.json"
_STAGED = "staged.json"
_KEY = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[0-9a-f]{16}(~[0-9]{1,6})?")
_RECORDS = ("plans", "studies")


def migrate(store: Store, find: Find, note: Callable[[str], None] = lambda text: None) -> list[str]:
    """Brings every training and run of a store to the newest format and to the key that a new request has.

    What was trained by an older revision of the code keeps that revision in its key, so that it does not answer for newer code.
    Folders whose experiment needs a component that is not installed stay as they are, and are named.

    Args:
        find: (slot, name) -> a component's class; see `harness.registry.Components.find`.
        note: tells the user what was left alone.

    Returns the lines that say what was done. Raises HarnessError as `rewrite` does; the same call resumes.
    """
    if packs.all_of(store.root):
        unpack(store)
    trainings: dict[str, str] = {}
    runs: dict[str, str] = {}
    for folder in (*store.trainings(), *store.runs()):
        kind = "trainings" if isinstance(folder, Training) else "runs"
        try:
            record = folder.read("experiment.json")
            with validated(folder.path):
                cell = Cell(
                    variant=record["variant"],
                    preset=record["preset"],
                    experiment=Experiment.from_dict(record["experiment"], find),
                    identity=record["identity"],
                    revision=record["revisions"]["training"],
                )
                keys = {str(record["training_key"]): cell.training_key}
                ids = {str(record["run_id"]): cell.run_id}
        except (HarnessError, FileNotFoundError) as error:
            note(f"{kind}/{folder.path.name} is left as it is: {error}")
            continue
        trainings |= {old: new for old, new in keys.items() if _KEY.fullmatch(old)}
        runs |= {old: new for old, new in ids.items() if _KEY.fullmatch(old)}
    changed = any(old != new for keys in (trainings, runs) for old, new in keys.items())
    if not changed and not (store.root / FOLDER).exists():  # where that is, a migration was killed
        return []
    rewrite(store, trainings, runs, lambda name, body: body)
    return [f"{len(trainings)} trainings and {len(runs)} runs have today's format and keys"]


def rewrite(store: Store, training_keys: Mapping[str, str], run_ids: Mapping[str, str], record: Rewrite) -> None:
    """Gives trainings and runs new keys, and replaces the old keys in every record, in plans and studies too.

    Folders that `--force` set aside move with their key. When two keys become one, the finished folder has it, and the other is
    kept as one that was set aside. Files that are damaged are copied as they are. An old folder that another command changes
    meanwhile is kept.

    Args:
        store: the store, of this or an older format.
        training_keys: the new key of each training by its old one; a training that is not in it is left alone.
        run_ids: the same for runs.
        record: makes the new body of a record from (its file's name, its body in the newest format with new keys). Called with
            a body that it made, it must return it unchanged.

    Raises HarnessError when another process works on one of the folders, a mapping is not one of keys to free keys, or the store
    cannot be written; the same call resumes.
    """
    try:
        Migration(store, {"trainings": training_keys, "runs": run_ids}, record).run()
    except OSError as error:
        raise HarnessError(
            f"cannot migrate the store {store.root}: {error.strerror or error}; nothing is lost. Free space or make the store "
            "writable, then run the same command again"
        ) from error


class Migration:
    """One migration of a store; `run` resumes where an earlier one of the same store ended."""

    def __init__(self, store: Store, keys: Mapping[str, Mapping[str, str]], record: Rewrite) -> None:
        self.store, self.keys, self.record = store, keys, record
        self.place = Folder(store.part(FOLDER))
        self.moves: dict[str, dict[str, str]] = {}
        """Kind -> name of a folder -> its new name."""
        self.ids: dict[str, str] = {}
        """What is replaced in records: keys, and the digests of checkpoints, which are other files with a new header."""

    def run(self) -> None:
        """Stages everything new, puts it in place, and removes what is old."""
        self.place.sweep()
        if not self._resumed():
            self.moves = {kind: self._plan(kind) for kind in self.keys}
            self._refuse_busy()
            self.place.write(_JOURNAL, {"moves": self.moves})
        if self.place.read_or_none(_STAGED) is None:
            self._refuse_busy()
            self._stage()
            self.place.write(_STAGED, {})
        self._switch()
        for path in self.place.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        for name in (_JOURNAL, _STAGED):  # in this order: without a journal there is no migration
            (self.place.path / name).unlink(missing_ok=True)
        self.place.path.rmdir()

    # --- which folder gets which name

    def _resumed(self) -> bool:
        """Takes the moves from the journal of a migration that was killed, if there is one."""
        if (journal := self.place.read_or_none(_JOURNAL)) is None:
            return False
        with validated(self.place.path / _JOURNAL):
            self.moves = {kind: dict(journal["moves"][kind]) for kind in self.keys}
            for name in (name for moves in self.moves.values() for pair in moves.items() for name in pair):
                if not _NAME.fullmatch(name):
                    raise ValueError(f"{name[:80]!r} is no folder of a store")
        return True

    def _plan(self, kind: str) -> dict[str, str]:
        """The new name of each folder of a kind. Raises HarnessError when a new key is another folder's old one."""
        keys, last = self.keys[kind], "training.json" if kind == "trainings" else "result.json"
        folders: list[Folder] = [*(self.store.trainings() if kind == "trainings" else self.store.runs())]
        stay = {folder.path.name for folder in folders if keys.get(folder.key) is None}
        for old, new in keys.items():
            if not (_KEY.fullmatch(old) and _KEY.fullmatch(new)):
                raise HarnessError(f"{old!r} -> {new!r} are not keys of {kind}; a key has 16 hexadecimal digits")
            if new != keys.get(new, new):
                raise HarnessError(f"{old} of {kind} cannot become {new}, which becomes {keys[new]} itself")
        # Who has the better right to a name comes first: folders that nothing set aside, and finished ones.
        folders.sort(key=lambda one: (one.superseded, not (one.path / last).exists(), one.path.name))
        moves: dict[str, str] = {}
        for folder in folders:
            if folder.key in keys:
                new = folder.path.name.replace(folder.key, keys[folder.key])
                moves[folder.path.name] = _free(new, {*moves.values(), *stay})
        return moves

    def _refuse_busy(self) -> None:
        for kind, moves in self.moves.items():
            for key in sorted({name.partition("~")[0] for name in moves}):
                with self._held(kind, key):
                    pass

    @contextmanager
    def _held(self, kind: str, name: str) -> Iterator[None]:
        key = name.partition("~")[0]
        # A holder that is known is refused at once; an unknown one is dead when it shows no sign of life.
        unknown = locks.torn(self.store.part("locks") / f"{key}.lease")
        with self.store.lock(key, wait=2 * locks.PATIENCE if unknown else 0) as lease:
            if lease is None:
                raise HarnessError(
                    f"another process works on {self.store.root / kind / key}; wait until it has ended, then run the same "
                    "command again"
                )
            yield

    # --- what is new

    def _stage(self) -> None:
        for keys in self.keys.values():
            self.ids |= keys
        for kind in ("trainings", "runs"):  # a result names the digest of its training's weights
            staged = self._made(kind)
            for old, new in self.moves[kind].items():
                make = Training if kind == "trainings" else Run
                before = make(self.store.part(kind) / old)
                if (staged / new).exists():
                    self._note_weights(before, make(staged / new))
                    continue
                self._stage_folder(before, make(self._made("building") / new))
                os.rename(self._made("building") / new, staged / new)
                files.sync_folder(staged)
        for kind in _RECORDS:
            for path in sorted(self.store.part(kind).glob("*.json")):
                if path.is_file() and not path.is_symlink() and not (self.place.path / kind / path.name).exists():
                    self._stage_file(Folder(path.parent), Folder(self._made(kind)), path.name)

    def _made(self, kind: str) -> Path:
        path = self.place.path / kind
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _stage_folder(self, old: Folder, new: Folder) -> None:
        if new.path.exists():  # half of it, by a migration that was killed
            shutil.rmtree(new.path)
        new.path.mkdir()
        # Weights first: the records name their digests.
        paths = [path for path in old.path.iterdir() if not files.is_temporary(path)]
        for path in sorted(paths, key=lambda path: (path.suffix != ".safetensors", path.name)):
            self._stage_file(old, new, path.name)
        files.sync_folder(new.path)

    def _note_weights(self, old: Folder, new: Folder) -> None:
        for path in new.path.glob("*.safetensors"):
            if path.is_file() and not path.is_symlink():
                self.ids[old.digest(path.name)] = new.digest(path.name)

    def _stage_file(self, old: Folder, new: Folder, name: str) -> None:
        """Writes a file's new version; one that is damaged, or no file of the store's own kinds, as it is."""
        path = old.path / name
        if path.is_symlink():
            (new.path / name).symlink_to(os.readlink(path))
        elif path.is_dir():
            shutil.copytree(path, new.path / name, symlinks=True)
        elif path.is_file():  # a pipe holds nothing
            try:
                if path.suffix == ".json":
                    new.write(name, self.record(name, self._replaced(old.read(name))))
                elif path.suffix == ".jsonl":
                    lines = (text if value is None else new.line(name, value) for text, value in old.walk(name))
                    new.write_bytes(name, *(line + b"\n" for line in lines))
                elif isinstance(old, Training) and isinstance(new, Training) and path.suffix == ".safetensors":
                    header = old.check_checkpoint(name)
                    new.write_checkpoint(name, path.read_bytes(), header)
                    self.ids[old.digest(name)] = new.digest(name)
                else:
                    self._copy(path, new)
            except DamagedRecord:
                self._copy(path, new)

    def _copy(self, path: Path, new: Folder) -> None:
        shutil.copyfile(path, new.path / path.name)
        files.sync(new.path / path.name)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.ids.get(value, value)
        if isinstance(value, dict):
            return {key: self._replaced(one) for key, one in value.items()}
        return [self._replaced(one) for one in value] if isinstance(value, list) else value

    # --- everything in its place

    def _switch(self) -> None:
        aside = self._made("old")
        for kind, moves in self.moves.items():
            home, staged = self.store.part(kind), self._made(kind)
            for old, new in moves.items():
                if (staged / new).exists():
                    if old == new:
                        self._set_aside(kind, old, aside)
                    # Another command may have taken the name since; its folder stays.
                    os.rename(staged / new, home / _free(new, {path.name for path in home.iterdir()}))
                    files.sync_folder(home)
            for old, new in moves.items():
                if old != new:
                    self._set_aside(kind, old, aside)
        for kind in _RECORDS:
            for path in sorted(self._made(kind).glob("*.json")):
                os.replace(path, self.store.part(kind) / path.name)
                files.sync_folder(self.store.part(kind))

    def _set_aside(self, kind: str, name: str, aside: Path) -> None:
        """Moves an old folder to those that are removed, unless another command has changed it since the migration began."""
        path = self.store.part(kind) / name
        if path.exists():
            began = (self.place.path / _JOURNAL).stat().st_mtime_ns
            with self._held(kind, name):
                if all(one.lstat().st_mtime_ns <= began for one in (path, *path.iterdir())):
                    os.rename(path, aside / f"{kind}.{name}")


def _free(name: str, taken: set[str]) -> str:
    """The first name from this one on that is not taken: 'key', 'key~1', 'key~2', ..."""
    key, _, digits = name.partition("~")
    number = int(digits or 0)
    while name in taken:
        number += 1
        name = f"{key}~{number}"
    return name
