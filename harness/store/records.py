"""Records of the store: JSON files and lines, each with its digest and the place where it belongs."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import HarnessError
from harness.experiment import canonical_json
from harness.store import formats, packs
from harness.store.formats import REDO, DamagedRecord
from harness.system import files
from harness.system.secrets import redact

MAX_RECORD_BYTES = 32 * 2**20
MAX_LINES_BYTES = 256 * 2**20
_LINE_DIGEST = "sha256"


def unguarded() -> None:
    """The guard of a folder that nobody holds the lock of."""


class Folder:
    """A folder of records.

    Args:
        path: the folder, which need not exist yet.
        guard: called before each write; it raises when this process lost the folder's lock.
    """

    def __init__(self, path: Path, guard: Callable[[], None] = unguarded) -> None:
        self.path, self.guard = path, guard
        self._out = False

    @property
    def key(self) -> str:
        """The key that the folder belongs to: its name without the number of a folder that `--force` set aside."""
        return self.path.name.partition("~")[0]

    @property
    def superseded(self) -> bool:
        """Whether `--force` set the folder aside."""
        return "~" in self.path.name

    def write(self, name: str, record: Mapping[str, Any]) -> None:
        """Writes a JSON record with its digest, atomically and durably. NaN and infinities become null, secrets are masked."""
        body = _plain(dict(record)) | {"format": formats.FORMAT, "place": self._place(name)}
        body["sha256"] = files.digest([canonical_json(body).encode()])
        self.write_bytes(name, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))

    def write_bytes(self, name: str, *pieces: bytes | memoryview) -> None:
        """Writes a whole file, or leaves the one that is there (see `harness.system.files`)."""
        path = self._within(name)
        hint = (
            "what was there before is untouched. Free space or choose a writable store (--store, HARNESS_STORE), then run "
            "the same command again"
        )
        with self._access("write", name, hint):
            self.guard()
            self.take_out()
            files.write(path, *pieces)

    def read(self, name: str) -> dict[str, Any]:
        """Reads a record written by `write`, and brings it to the newest format.

        Raises DamagedRecord when it is not whole, NewerFormat, and FileNotFoundError when there is none.
        """
        content = self._content(name, MAX_RECORD_BYTES)
        where = f"{self.path}/{name}"  # no Path: a large store's records are read by the ten thousand
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise DamagedRecord(f"{where} is truncated or not JSON; {REDO}", Path(where)) from None
        if not isinstance(body, dict) or "sha256" not in body or "format" not in body:
            raise DamagedRecord(f"{where} is not a record of this store; {REDO}", Path(where))
        digest = body.pop("sha256")
        try:
            whole = files.digest([canonical_json(body).encode()]) == digest
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            raise DamagedRecord(f"{where} was changed after it was written; {REDO}", Path(where))
        found = body.pop("format")
        newest = type(found) is int and found == formats.FORMAT
        if not newest:
            formats.check_format(Path(where), found)
        if (place := body.pop("place", None)) != self._place(name):
            raise DamagedRecord(f"{where} is the record of {str(place)[:80]}; {REDO}", Path(where))
        return body if newest else formats.upgraded(Path(where), body, found)

    def read_or_none(self, name: str) -> dict[str, Any] | None:
        """As `read`; None when there is no such record."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Appends one JSON line with its digest. A line that a crash tore is closed first, so that it spoils no other."""
        hint = "the last saved state is untouched. Free space, then run the same command again to resume"
        with self._access("write", name, hint):
            self.guard()
            self.take_out()
            with self.opened(name, append=True) as file:
                files.append(file.fileno(), self.line(name, line))

    def line(self, name: str, line: Mapping[str, Any]) -> bytes:
        """A line with its digest, as `append` writes it to that file."""
        whole = _plain(dict(line))
        return canonical_json(whole | {_LINE_DIGEST: self._line_digest(name, whole)}).encode()

    def sync(self, name: str) -> None:
        """Brings the lines appended so far to disk."""
        with self._access("write", name):
            files.sync(self.path / name)

    def lines(self, name: str, *, last: int | None = None) -> list[dict[str, Any]]:
        """The whole lines of an append-only file. After a resume it may hold a step twice; the later line counts.

        Args:
            last: reads so many bytes at the end only.
        """
        return [line for _, line in self.walk(name, last) if line is not None]

    def walk(self, name: str, last: int | None = None) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
        """All lines of an append-only file as bytes, each with its value, or None when it is torn, changed or another's."""
        digests = False  # lines of format 1 have none, and come before all others
        try:
            lines = self._content(name, MAX_LINES_BYTES, last).split(b"\n")
        except FileNotFoundError:
            return
        for text in filter(bytes.strip, lines):
            value = None
            with suppress(ValueError, RecursionError):
                value = _plain(json.loads(text))
            if isinstance(value, dict):
                digest = value.pop(_LINE_DIGEST, None)
                if (digests and digest is None) or (digest is not None and digest != self._line_digest(name, value)):
                    value = None
                digests = digests or (value is not None and digest is not None)
            yield text, value if isinstance(value, dict) else None

    def has(self, name: str) -> bool:
        """Whether there is such a file, here or in a pack."""
        if os.path.exists(f"{self.path}/{name}"):
            return True
        packed = self.packed()
        return packed is not None and name in packed.files

    def names(self) -> list[str]:
        """The names of its files, here or in a pack, sorted; those that a crash left are not among them."""
        if (packed := self.packed()) is not None:
            return sorted(packed.files)
        with suppress(OSError):
            there = [path for path in self.path.iterdir() if path.is_file() and not path.is_symlink()]
            return sorted(path.name for path in there if not files.is_temporary(path))
        return []

    def take_out(self) -> None:
        """Brings the folder back from a pack, where it is in one (see `harness.store.packs`). For the holder of its lock."""
        if not self._out:
            packs.take_out(self.path)
            self._out = True

    def sweep(self) -> None:
        """Removes what processes that died left under temporary names. For the holder of the folder's lock."""
        if self.path.is_symlink():
            return
        with suppress(OSError):
            files.discard([path for path in self.path.iterdir() if files.is_temporary(path)])

    def digest(self, name: str) -> str:
        """SHA-256 of a file's content. Raises DamagedRecord when there is no such file."""
        with self.present(name) as file:
            return files.digest(files.pieces(file))

    def opened(self, name: str, *, append: bool = False) -> BinaryIO:
        """Opens a file of this folder, to read or to append to; to read, also in a pack.

        Raises DamagedRecord for anything but a regular file: a link may lead out of the store, and a pipe would block for ever.
        """
        self._check(name)
        path = f"{self.path}/{name}"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT if append else os.O_RDONLY
        try:
            handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not append and (there := self.packed()) is not None:
                return there.open(name)
            if error.errno != errno.ELOOP:
                raise
            raise DamagedRecord(
                f"{path} is not a file but a link, which may lead out of the store; {REDO}", Path(path)
            ) from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DamagedRecord(f"{path} is not a file; {REDO}", Path(path))
        return os.fdopen(handle, "ab+") if append else os.fdopen(handle, "rb")

    def packed(self) -> packs.Packed | None:
        """The folder as a pack has it, where it does not lie here. One question to the file server in a store without packs."""
        found = None if self._out else packs.find(self.path)
        return None if found is None or os.path.exists(self.path) else found

    @contextmanager
    def present(self, name: str) -> Iterator[BinaryIO]:
        """Opens a file to read it. Raises DamagedRecord when there is none, HarnessError when it cannot be read just now."""
        try:
            with self.opened(name) as file:
                yield file
        except OSError as error:
            # What is absent is damage; what cannot be read just now may be whole, and is left alone.
            gone = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
            raise (DamagedRecord if gone else HarnessError)(
                f"cannot read {self.path / name}: {error.strerror or error}"
            ) from error

    @contextmanager
    def _access(self, verb: str, name: str, hint: str = "") -> Iterator[None]:
        """Turns what the system says into one line that names the file. An absent file stays FileNotFoundError on reading."""
        try:
            yield
        except OSError as error:
            if verb == "read" and isinstance(error, FileNotFoundError):
                raise
            text = f"cannot {verb} {self.path / name}: {error.strerror or error}"
            raise HarnessError(f"{text}; {hint}" if hint else text) from error

    def _within(self, name: str) -> Path:
        """The path of a file of this folder. Raises DamagedRecord for a name that leads elsewhere, and when the folder does."""
        self._check(name)
        return self.path / name

    def _check(self, name: str) -> None:
        """As `_within`, without the path: a large store's records are read by the ten thousand."""
        if "/" in name or name in ("", ".", "..") or "\0" in name:
            raise DamagedRecord(f"{name[:80]!r} is no name of a file in {self.path}")
        if os.path.islink(self.path):
            raise DamagedRecord(f"{self.path} is a link, which may lead out of the store; {REDO}", self.path)

    def _place(self, name: str) -> str:
        """Where a record belongs, so that a copy in another folder is not taken for that folder's own."""
        return f"{self.key}/{name}"

    def _content(self, name: str, limit: int, last: int | None = None) -> bytes:
        with self._access("read", name), self.opened(name) as file:
            size = size_of(file)
            if last is not None:
                file.seek(max(0, size - last))
            elif size > limit:
                path = self.path / name
                raise DamagedRecord(f"{path} is larger than {limit >> 20} MiB, the most that it may have; {REDO}", path)
            return file.read(min(size, limit))  # of a larger number Python would make room before it reads

    def _line_digest(self, name: str, line: Mapping[str, Any]) -> str:
        return files.digest([(self._place(name) + canonical_json(line)).encode()])[:16]


def size_of(file: BinaryIO) -> int:
    """The size of an open file, bytes; the place in it stays at the start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _plain(value: Any) -> Any:
    """The value as JSON has it: NaN and infinities are null, keys are text, secrets are masked."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, str):  # a name is short and has no such character; a command or an error may quote anything
        return redact(value) if any(one in value for one in " :=/") else value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
