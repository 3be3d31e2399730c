"""What a pass over a large file found, kept in the user's cache, so that a file is read whole once and not at each opening.

The rule: what was found holds for the very files that were read, known by path, size, time of change (mtime), time of any change to
the inode (ctime, which programs cannot set back) and inode number. It is kept only when these are the same before and after the
pass, and when no file changed in the minute before it: a clock that counts in seconds, or pages that a program has written and the
system not yet, could hide a later change. Anything else is read again, and so is a small file. The cache may be deleted.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.data import scan as scanning
from harness.data.formats import Array
from harness.data.layout import Layout
from harness.data.scan import Scan
from harness.system import files
from harness.system.console import note

SMALL = 64 << 20
"""Bytes, unpacked, below which a file is read at each opening: it takes a fraction of a second."""
LARGE = 1 << 30
"""Bytes, unpacked, from which a pass is announced: it takes seconds to minutes."""
SETTLED = 60.0
"""Seconds that a file has to be unchanged before what was found in it is kept."""
_REVISION = "scan 1"
_DECODERS = ("av", "h5netcdf", "h5py", "numpy", "pillow", "xarray", "zarr")
_TABLES = ("low", "high", "total", "count", "hashes")


def scan(path: Path, arrays: Sequence[Array], layout: Layout, missing: float | None) -> Scan:
    """What one pass over all values finds, remembered where these files were read before.

    Raises RequestError for a damaged file, HarnessError for one that changed since it was opened.
    """
    size = sum(one.bytes for one in arrays)
    if size < SMALL:
        return scanning.scan(arrays, layout, missing)
    before = _states(arrays)
    for one in arrays:  # so that these are the states of what was opened
        one.check_unchanged()
    how = f"{_REVISION}, {_decoders()}, {[(one.shape, one.dtype.str, one.variable) for one in arrays]}"
    identity = files.digest([f"{how}\n{before}".encode()])
    place = _place(f"{path.absolute()}\n{arrays[0].variable}\n{layout}\n{missing}")
    if (known := _recall(place, identity)) is not None:
        return known
    if size >= LARGE:
        note(f"reading {path} once, {size / 1e9:.1f} GB, to name and check it")
    settled = all(one.newest < time.time() - SETTLED for one in before)
    found = scanning.scan(arrays, layout, missing)
    if settled and _states(arrays) == before:
        _keep(place, identity, found)
    return found


class _State(NamedTuple):
    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int

    @property
    def newest(self) -> float:
        """When it last changed, seconds since 1970."""
        return max(self.modified_ns, self.changed_ns) / 1e9


def _states(arrays: Sequence[Array]) -> list[_State]:
    """Of every file that the content depends on; of one that is gone, nothing that could be equal."""
    found = []
    for path in dict.fromkeys(chain.from_iterable(one.files for one in arrays)):
        try:
            state = path.stat()
            one = _State(str(path.absolute()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        except OSError:
            one = _State(str(path.absolute()), -1, time.time_ns(), time.time_ns(), -1)
        found.append(one)
    return found


@cache
def _decoders() -> str:
    """Versions of the libraries that unpack files: another one may unpack a video to other pixels."""
    versions = []
    for name in _DECODERS:
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    return ", ".join(versions)


def _place(reading: str) -> Path:
    """Where what is known of a file in one reading lies: a changed file takes the place of what it was."""
    import platformdirs

    return platformdirs.user_cache_path("ablation-harness") / "scans" / f"{files.digest([reading.encode()])[:32]}.npz"


def _keep(place: Path, identity: str, found: Scan) -> None:
    """Writes it; what cannot be written is found again the next time."""
    packed = io.BytesIO()
    tables: dict[str, Any] = {name: np.concatenate(getattr(found, name)) for name in _TABLES}
    np.savez(packed, identity=identity, digest=found.digest, lengths=[len(one) for one in found.hashes], **tables)
    with suppress(OSError):
        files.write(place, packed.getbuffer())


def _recall(place: Path, identity: str) -> Scan | None:
    """What was kept for this identity; None where nothing whole was."""
    try:
        with open(place, "rb") as stream, np.load(stream, allow_pickle=False) as kept:
            if str(kept["identity"]) != identity:
                return None
            borders = np.cumsum(kept["lengths"])[:-1]
            tables = {name: np.split(kept[name], borders) for name in _TABLES}
            return Scan(str(kept["digest"]), **tables)
    except Exception:  # a damaged archive raises errors of many kinds; it is made again
        return None
