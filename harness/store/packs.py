"""Packs: finished runs and trainings in one file, read as if they lay in their folders.

    <root>/packs/<number>.zip    a bundle of such folders (see `harness.store.bundle`); written once, never changed
    <root>/packs/<number>.out    the folders that came out of it again, a line each

A folder that lies in the store counts before the same in a pack, a later pack before an earlier one. Whoever is about to write to
a packed folder, or needs its weights as a file, takes it out first (`take_out`): its files come back under a temporary name, then
under its own, and then a line says that it is out. `harness.store.packing` makes packs.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from harness.store.formats import REDO, DamagedRecord
from harness.system import files

FOLDER, KINDS = "packs", ("runs", "trainings")
_SMALL = 2**20
"""Files up to so many bytes are read into memory, larger ones into a temporary file."""
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
"""What reading a damaged zip file raises."""


State = tuple[int, int, int]
"""Number, time and size of a pack's file: another pack may get the name of one that is gone."""


def _state(path: Path) -> State:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


class Packed(NamedTuple):
    """A folder in a pack: its files by name."""

    pack: Pack
    where: str
    files: Mapping[str, zipfile.ZipInfo]

    def open(self, name: str) -> BinaryIO:
        """A file of it. Raises FileNotFoundError, and DamagedRecord when it is not whole."""
        if (info := self.files.get(name)) is None:
            raise FileNotFoundError(2, "no such file in a pack", f"{self.pack.path}: {self.where}/{name}")
        target: BinaryIO = io.BytesIO() if info.file_size <= _SMALL else tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with self.pack.archive.open(info) as source:
                shutil.copyfileobj(source, target, _SMALL)
        except BROKEN:
            target.close()
            raise DamagedRecord(f"{self.where}/{name} in {self.pack.path} is not whole; {REDO}") from None
        target.seek(0)
        return target


class Pack:
    """One pack. Raises DamagedRecord when its list of files cannot be read."""

    def __init__(self, path: Path, state: State) -> None:
        self.path, self.state, self._size = path, state, 0
        try:
            self.archive = zipfile.ZipFile(path)
        except BROKEN as error:
            raise DamagedRecord(f"the pack {path} is damaged ({error}): `zip -FF` saves what is whole in it") from None
        self.folders: dict[str, dict[str, zipfile.ZipInfo]] = {}
        for info in self.archive.infolist():
            where, _, name = info.filename.rpartition("/")
            if where.count("/") == 1:
                self.folders.setdefault(where, {})[name] = info
        self.out: set[str] = set()

    def read_out(self) -> None:
        """Reads which folders are out, where that has changed."""
        try:
            size = os.stat(out := self.path.with_suffix(".out")).st_size
        except FileNotFoundError:
            return
        if size != self._size:
            self.out, self._size = set(out.read_text().split("\n")), size


_KNOWN: dict[str, tuple[int, list[Pack]]] = {}
"""Store -> when its packs changed, and what they are, the latest first."""


def all_of(root: Path | str) -> list[Pack]:
    """The packs of a store, the latest first. One question to the file server where there are none."""
    key, folder = str(root), f"{root}/{FOLDER}"
    try:
        changed = os.stat(folder, follow_symlinks=False).st_mtime_ns
    except OSError:
        return []
    known = _KNOWN.get(key)
    if known is None or known[0] != changed:
        there = {(pack.path.name, pack.state): pack for pack in (known[1] if known else ())}
        names = sorted((one for one in os.listdir(folder) if one.endswith(".zip") and one[:-4].isdecimal()), reverse=True)
        paths = [(Path(folder) / name, _state(Path(folder) / name)) for name in names]
        known = changed, [there.get((path.name, state)) or Pack(path, state) for path, state in paths]
        _KNOWN[key] = known
    for pack in known[1]:
        pack.read_out()
    return known[1]


def find(folder: Path) -> Packed | None:
    """The folder <root>/<kind>/<name> as a pack has it; None where none has it, or it is out."""
    where = f"{folder.parent.name}/{folder.name}"
    if folder.parent.name not in KINDS:
        return None
    for pack in all_of(folder.parent.parent):
        if where in pack.folders and where not in pack.out:
            return Packed(pack, where, pack.folders[where])
    return None


def names(root: Path, kind: str) -> Iterator[str]:
    """The names of the packed folders of a kind, 'runs' or 'trainings', that are not out."""
    for pack in all_of(root):
        yield from (
            where.partition("/")[2] for where in pack.folders if where.startswith(f"{kind}/") and where not in pack.out
        )


def extract(packed: Packed, place: Path) -> None:
    """Writes what is whole of a packed folder into an empty one."""
    for name in packed.files:
        with suppress(DamagedRecord), packed.open(name) as file:
            files.stage(place / name, *files.pieces(file)).replace(place / name)


def take_out(folder: Path) -> None:
    """Brings a packed folder back to its place, durably; nothing where it is in no pack. For the holder of its lock.

    Raises OSError.
    """
    while (packed := find(folder)) is not None:
        if not folder.exists():
            with files.replacing(folder) as staging:
                staging.mkdir()
                extract(packed, staging)
        out = packed.pack.path.with_suffix(".out")
        handle = os.open(out, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            files.append(handle, packed.where.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        files.sync_folder(out.parent)
