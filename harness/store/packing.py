"""Puts finished runs and trainings into packs, and brings them back.

A folder leaves its place only when a pack that holds all of it, read back and found whole, lies durably in the store: killed at any
moment, a folder is in its place, in a pack, or in both, and never in neither.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, RequestError
from harness.store import packs
from harness.store.bundle import NAME, Given, check_archive, manifest_of, write_archive
from harness.store.merge import check_records
from harness.store.store import Run, Store, Training
from harness.system import files, locks

AT_ONCE = 16
"""Folders that are moved away at once: each waits for the disk, which answers many as soon as one."""
_LOCK = "packs"
_GONE = re.compile(r"\.gone-.+")


@dataclass(frozen=True)
class Done:
    """What was packed, or unpacked: folders by kind, files, and the pack; `left` says why others were left, by their place."""

    runs: int
    trainings: int
    files: int
    path: Path | None
    left: dict[str, str]


def pack(store: Store) -> Done:
    """Moves the finished runs and trainings that lie in their folders into one new pack.

    Damaged and unfinished ones stay, those that `--force` set aside, and those that hold files of others. Raises RequestError while
    a process works in the store.
    """
    with _alone(store) as place:
        left: dict[str, str] = {}
        chosen = list(_finished(store, left))
        if not chosen:
            return Done(0, 0, 0, None, left)
        states = {folder.path: _state(folder.path) for folder in chosen}
        given: Given = {
            f"{folder.path.parent.name}/{folder.path.name}/{name}": folder for folder in chosen for name in folder.names()
        }
        number = 1 + max((int(path.stem) for path in place.glob("*.zip") if path.stem.isdecimal()), default=0)
        made = place / f"{number:06}.zip"
        with files.replacing(made) as temporary:
            write_archive(temporary, given, manifest_of(given, plan="", weights=True))
            check_archive(temporary)
        moves = ThreadPoolExecutor(AT_ONCE)
        try:
            gone = list(moves.map(lambda one: _move_away(store, one, states[one.path], place, left), chosen))
        finally:
            moves.shutdown(cancel_futures=True)
        moved = [folder for folder, done in zip(chosen, gone, strict=True) if done]
        _sweep(place)
        kinds = [folder.path.parent.name for folder in moved]
        return Done(kinds.count("runs"), kinds.count("trainings"), len(given), made, left)


def unpack(store: Store) -> Done:
    """Brings every packed folder back to its place, and removes the packs."""
    with _alone(store) as place:
        counts = dict.fromkeys(packs.KINDS, 0)
        for kind in packs.KINDS:
            for name in sorted(set(packs.names(store.root, kind))):
                with store.lock(name):
                    packs.take_out(store.root / kind / name)
                counts[kind] += 1
        left = {}
        for path in sorted(place.glob("*.zip")):
            try:
                check_archive(path)
            except HarnessError as error:
                left[str(path.relative_to(store.root))] = f"kept as {path.stem}.damaged: {error}"
                os.replace(path, path.with_suffix(".damaged"))
            files.discard([path, path.with_suffix(".out")])
        files.sync_folder(place)
        return Done(counts["runs"], counts["trainings"], 0, None, left)


@contextmanager
def _alone(store: Store) -> Iterator[Path]:
    """The folder of packs, while nobody else packs, and nobody works in the store."""
    place = store.part(packs.FOLDER)
    with store.lock(_LOCK, wait=0) as lease:
        busy = [one for one in store.part("locks").glob("*.lease") if one.stem != _LOCK and not locks.abandoned(one)]
        if lease is None or busy:
            raise RequestError(
                f"{'another process packs' if lease is None else 'a process works in'} {store.root}; wait until it ends "
                "(`harness watch` shows what runs; `harness doctor --repair` frees the locks of the dead)"
            )
        try:
            place.mkdir(parents=True, exist_ok=True)
            _sweep(place)
            yield place
        except OSError as error:
            raise HarnessError(f"cannot pack {store.root}: {error.strerror or error}; nothing was lost") from error


def _finished(store: Store, left: dict[str, str]) -> Iterator[Run | Training]:
    for kind, folders in (("runs", store.runs()), ("trainings", store.trainings())):
        for folder in folders:
            where = f"{kind}/{folder.path.name}"
            if folder.packed() is not None or folder.superseded:
                continue
            strange = [path.name for path in folder.path.iterdir() if not NAME.fullmatch(f"{where}/{path.name}")]
            try:
                if check_records(folder, kind) is None:
                    left[where] = "not finished"
                elif strange:
                    left[where] = f"holds {strange[0]}, which is no file of a finished one"
                else:
                    yield folder
            except HarnessError as error:
                left[where] = f"damaged: {error}"


def _state(folder: Path) -> list[tuple[str, int, int, int]]:
    """Name, size, time and number of each file, by which a change is noticed."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder) as there:
        for one in there:
            state = one.stat(follow_symlinks=False)
            found.append((one.name, state.st_size, state.st_mtime_ns, state.st_ino))
    return sorted(found)


def _move_away(store: Store, folder: Run | Training, state: object, place: Path, left: dict[str, str]) -> bool:
    """Removes a packed folder from its place, unless it changed since. One rename: a reader finds it there or in the pack."""
    where = f"{folder.path.parent.name}/{folder.path.name}"
    with store.lock(folder.path.name, wait=0) as lease:
        if lease is None or _state(folder.path) != state:
            left[where] = "changed while it was packed"
            return False
        gone = place / f".gone-{folder.path.parent.name}-{folder.path.name}"
        os.rename(folder.path, gone)
        lease.remove = True
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _sweep(place: Path) -> None:
    """Removes what a process that died left: parts of packs, and folders that a pack has already."""
    for path in place.iterdir():
        alone = (
            path.suffix == ".out" and not path.with_suffix(".zip").exists()
        )  # it would count for the next pack of that number
        if alone or files.is_temporary(path) or _GONE.fullmatch(path.name):
            files.discard([path])
