"""One holder at a time: a lock that needs no trust in clocks or host names, and outlives no process that died.

filelock's SoftFileLease does not replace it: it tells dead holders by host name and process id, waits for ever for an empty
lease, and gives a holder that was taken over no check before a write.

Two locks in one. The operating system's (`flock` on `<key>.lock`) is exact between processes of one kernel, and gone at once
when its holder is. On network file systems it may be local to each machine, or missing. Therefore the holder also has a lease:
the file `<key>.lease`, created with `O_EXCL`, which the server of every shared file system decides, and a count in it that a
thread raises every few seconds. A process that finds the lease of another

- and has the operating system's lock that the lease's holder had on the same running kernel: removes it, its holder is dead;
- or else watches it by its own monotonic clock: a lease whose count stood still for `PATIENCE` seconds is dead.

No time of day is compared, and no name of a host. A holder that was only asleep finds its lease gone (`Lease.check`) before it
names its next file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import secrets
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from harness.errors import HarnessError
from harness.system import files

BEAT = 10.0
"""Seconds between two signs of life."""
PATIENCE = 60.0
"""Seconds without a sign of life after which a lease is dead."""
POLL = 0.2
MAX_BYTES = 4096
"""The most that is read of a lease, which has some 200 bytes."""
_OWN = os.O_NOFOLLOW | os.O_NONBLOCK
"""Flags for opening what anybody may have put there: no link is followed, no pipe is waited for."""
NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What `flock` answers on file systems that have none."""


class Lost(HarnessError):
    """The lease went to another process."""


class Lease:
    """A lease that this process has, kept alive by a thread. `remove`: nothing will ask for the lock soon; its file goes, too."""

    def __init__(self, path: Path, flocked: bool) -> None:
        self.path, self.remove = path, False
        self._flocked = flocked
        self._token = secrets.token_hex(16)
        self._count = 0
        self._handle = -1
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {path.stem}", daemon=True)

    def take(self) -> bool:
        """Creates the lease; False when there is one already. Raises OSError."""
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            self._write()
        except BaseException:
            os.close(self._handle)
            files.discard([self.path])
            raise
        self._thread.start()
        return True

    def check(self) -> None:
        """Raises Lost when another process has the lease."""
        found = _read(self.path)
        if found is None or _field(found, "token") != self._token:
            raise Lost(
                f"this process stood still for so long that another took over its work ({self.path}), and wrote nothing "
                "since. Run the same command again to see the result"
            )

    def give_up(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join()
        os.close(self._handle)
        with suppress(OSError):  # the next process that wants the lock finds its holder dead
            found = _read(self.path)
            if found is not None and _field(found, "token") == self._token:
                try:
                    _remove(self.path, found)
                except OSError:  # it could not be moved aside, and nobody else takes it within this instant
                    os.unlink(self.path)

    def _write(self) -> None:
        # In place and of one length: a holder whose lease was removed writes to a file without a name, and harms nobody's.
        record = {"token": self._token, "kernel": kernel(), "flock": self._flocked, "pid": os.getpid()}
        os.pwrite(self._handle, json.dumps(record | {"count": f"{self._count:012}"}).encode(), 0)
        os.fsync(self._handle)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            self._count += 1
            with suppress(OSError):  # one sign of life less; `check` tells whether it was one too few
                self._write()


@contextmanager
def hold(
    folder: Path, key: str, *, wait: float = math.inf, waiting: Callable[[], None] = lambda: None
) -> Iterator[Lease | None]:
    """Holds the lock of a key; yields its lease, or None when another has it for `wait` seconds more.

    Calls `waiting` once when another has it. A process that died holding it is waited for `PATIENCE` seconds at most.

    Raises OSError, and HarnessError when the lock is a link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key}.lock"
    while True:
        with _held(path, wait, waiting) as (lease, handle):
            if lease is None or _names(path, handle):
                yield lease
                return


def _names(path: Path, handle: int) -> bool:
    """Whether the name is still that of the open file: who packs a store removes the locks of what is packed."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(handle))
    return False


@contextmanager
def _held(path: Path, wait: float, waiting: Callable[[], None]) -> Iterator[tuple[Lease | None, int]]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | _OWN, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise HarnessError(f"{path} is not a file but a link, which may lead out of the store; remove the link") from None
    lease = None
    try:
        lease = _acquire(path.with_suffix(".lease"), handle, wait, waiting)
        yield lease, handle
    finally:
        if lease is not None:
            lease.give_up()
            if lease.remove:
                files.discard([path])
        os.close(handle)  # which frees it


def abandoned(path: Path) -> bool:
    """Whether a lease is there whose holder is certainly dead. Changes nothing."""
    try:
        handle = os.open(path.with_suffix(".lock"), os.O_RDWR | _OWN)
    except OSError:
        return False
    try:
        found = _read(path)
        return found is not None and _of_the_dead(found, _flock(handle))
    finally:
        os.close(handle)


def torn(path: Path) -> bool:
    """Whether a lease is there that names no holder: it died while it wrote the lease, or is about to write it."""
    found = _read(path)
    return found is not None and _field(found, "token") is None


@cache
def kernel() -> str:
    """A name of this running kernel that no other has, not even another boot of the same machine."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"node-{uuid.getnode():012x}"


def _acquire(path: Path, handle: int, wait: float, waiting: Callable[[], None]) -> Lease | None:
    told, seen, since, began = False, None, 0.0, time.monotonic()
    while True:
        if (flocked := _flock(handle)) is not False:
            if (lease := Lease(path, flocked is True)).take():
                return lease
            if (found := _read(path)) is None:
                continue
            if found != seen:
                seen, since = found, time.monotonic()
            if _of_the_dead(found, flocked) or time.monotonic() - since > PATIENCE:
                _remove(path, found)
                continue
        if time.monotonic() - began >= wait:
            return None
        if not told:
            told = True
            waiting()
        time.sleep(POLL)


def _flock(handle: int) -> bool | None:
    """True: this process has the lock. False: another has. None: this file system has no such locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_FLOCK:
            return None
        raise
    return True


def _of_the_dead(lease: bytes, flocked: bool | None) -> bool:
    """Whether the lease's holder had on this kernel the lock that this process has now."""
    return flocked is True and _field(lease, "flock") is True and _field(lease, "kernel") == kernel()


def _read(path: Path) -> bytes | None:
    """A lease's content, None when there is none. Anything but a file (a link, a pipe, a folder) is empty, as a torn lease is."""
    try:
        handle = os.open(path, os.O_RDONLY | _OWN)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            return b""
        raise
    try:
        return os.read(handle, MAX_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    finally:
        os.close(handle)


def _field(content: bytes, name: str) -> object:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return record.get(name) if isinstance(record, dict) else None


def _remove(path: Path, expected: bytes) -> None:
    """Removes the lease with that content. Another lease that came in between is put back."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        if _read(aside) != expected:
            with suppress(OSError):
                os.link(aside, path)
        files.discard([aside])
