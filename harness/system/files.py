"""Whole files or none: how everything that must outlive a crash is written.

A file is written under a temporary name in its own folder, synced to disk, and only then named, so that a reader, a killed
process and a machine that lost power all leave the old file or the new one. What a crash leaves under a temporary name is found
by that name (see `is_temporary`).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.part")


def write(path: Path, *pieces: bytes | memoryview) -> None:
    """Writes a whole file and makes its folder if there is none. Raises OSError; what was there before is then untouched."""
    try:
        temporary = stage(path, *pieces)
    except FileNotFoundError:  # asked last, for a file server answers each question
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = stage(path, *pieces)
    try:
        os.replace(temporary, path)
    except BaseException:
        discard([temporary])
        raise
    sync_folder(path.parent)


def stage(path: Path, *pieces: bytes | memoryview) -> Path:
    """Writes and syncs a file under a temporary name beside `path`, and returns that name. Raises OSError, leaving nothing."""
    temporary = _temporary(path)
    try:
        # The mode is the one that others of a shared store read any file with; the umask takes from it what the user wants.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            for piece in pieces:
                _write_all(handle, piece)
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        discard([temporary])
        raise
    return temporary


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` for writers that want a name: the file or folder that they leave there takes its place.

    Raises OSError; nothing of the new one is then left, and what was there before is untouched. A folder replaces none but an empty
    one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        (sync_folder if temporary.is_dir() else sync)(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        discard([temporary])


def append(handle: int, line: bytes) -> None:
    """Appends one line, without its end, to a file open for that. A line that a crash tore is closed first: it spoils no other."""
    end = os.lseek(handle, 0, os.SEEK_END)
    torn = end > 0 and os.pread(handle, 1, end - 1) != b"\n"
    _write_all(handle, b"\n" * torn + line + b"\n")


def sync(path: Path) -> None:
    """Brings what was appended to a file to disk; nothing when there is no such file. Raises OSError."""
    with suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_folder(path: Path) -> None:
    """Brings a folder's names to disk, where the file system can: some network file systems cannot, and need not."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def is_temporary(path: Path) -> bool:
    """Whether the name is one that `stage` gives."""
    return _TEMPORARY.fullmatch(path.name) is not None


def discard(paths: Iterable[Path]) -> None:
    """Removes files, and folders with what is in them; what is not there, or cannot be removed, is left."""
    for path in paths:
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")


def digest(pieces: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of a content given in pieces, hexadecimal."""
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """The rest of an open file, a mebibyte at a time."""
    return iter(lambda: file.read(2**20), b"")


def _write_all(handle: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]
