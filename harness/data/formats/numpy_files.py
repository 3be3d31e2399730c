"""`.npy` and `.npz` files, checked before they are believed, and read rather than mapped.

A memory map of a file that somebody truncates ends the process with SIGBUS, and its pages count as the process's memory. A
read does neither.
"""

from __future__ import annotations

import io
import itertools
import math
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.array import Array, Part, choose
from harness.errors import RequestError

LARGEST_UNPACKED = 2 << 30
"""Bytes of an array that are read into memory at once: a compressed one, or one in Fortran order."""
_LONGEST_HEADER = 10_000
"""Characters of a .npy header: numpy's own limit, which it checks only after it has read what the header claims to be."""
_MOST_PIECES = 4096
"""Pieces of a file that are read for one part; an array that needs more is read into memory once, if it is small enough."""


def open_numpy(path: Path, variable: str = "") -> Array:
    """The array of a `.npy` file, or of an `.npz`: `variable`, else `frames`, else `arr_0`, else the only one.

    Raises RequestError for a file that is damaged, pickled, or too large to unpack.
    """
    with open(path, "rb") as stream:
        start = stream.read(6)
        if start[:4] == b"PK\x03\x04":
            return _from_zip(path, stream, variable)
        if start == b"\x93NUMPY":
            return _plain(path, stream, 0, path.stat().st_size)
        if start[:1] == b"\x80":
            raise RequestError(f"{path} is a pickle, which is never loaded; save the frames with np.save")
        raise RequestError(f"{path} is neither a .npy nor a .npz file; save the frames with np.save")


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int
    """Where the items start, from the start of the array's own header."""

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _header(path: Path, stream: IO[bytes]) -> _Header:
    """The header of an array, with shape and dtype checked. Nothing is allocated by what it claims."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(stream)
            read, width = {
                (1, 0): (np.lib.format.read_array_header_1_0, 2),
                (2, 0): (np.lib.format.read_array_header_2_0, 4),
            }[version]
            length = stream.read(width)
            announced = int.from_bytes(length, "little")
            if announced > _LONGEST_HEADER:
                raise ValueError("too long")
            shape, fortran, dtype = read(io.BytesIO(length + stream.read(announced)))
    except Exception as error:  # the parser evaluates a literal of the file: what it raises depends on the content
        raise RequestError(
            f"{path} has a damaged .npy header ({type(error).__name__}); save the frames with np.save"
        ) from None
    if dtype.hasobject:
        raise RequestError(f"{path} holds pickled Python objects, which are never loaded; save an array of numbers")
    return _Header(shape, fortran, dtype, np.lib.format.MAGIC_LEN + width + announced)


def _plain(path: Path, stream: IO[bytes], offset: int, available: int) -> Array:
    """An array that lies in the file as it is."""
    stream.seek(offset)
    header = _header(path, stream)
    if min(header.shape, default=0) < 0:
        raise RequestError(f"{path} holds an array of shape {header.shape}; frames have no axis empty")
    if header.offset + header.bytes > available:
        raise RequestError(
            f"{path} is truncated: shape {header.shape} of {header.dtype} takes {header.bytes:,} bytes, "
            f"{max(0, available - header.offset):,} are there; copy or make it again"
        )
    items = _Items(path, offset + header.offset, header)
    return Array(path, header.shape, header.dtype, items.fetch, (path,))


class _Items:
    """The items of an array in a file, read where they are asked for."""

    def __init__(self, path: Path, offset: int, header: _Header) -> None:
        self.path, self.offset, self.header = path, offset, header
        self._whole: NDArray[Any] | None = None

    def fetch(self, part: Part) -> NDArray[Any]:
        shape = self.header.shape[::-1] if self.header.fortran else self.header.shape
        wanted = part[::-1] if self.header.fortran else part
        last = max((axis for axis, one in enumerate(wanted) if (one.start, one.stop) != (0, shape[axis])), default=0)
        pieces = math.prod(one.stop - one.start for one in wanted[:last])
        if self._whole is None and pieces > _MOST_PIECES:
            if self.header.bytes > LARGEST_UNPACKED:
                raise RequestError(
                    f"{self.path} would be read in {pieces:,} pieces a sequence; save it with time and sequences as its first axes"
                )
            self._whole = self._read(shape, tuple(slice(0, size) for size in shape), 0)
        found = self._read(shape, wanted, last) if self._whole is None else self._whole[wanted]
        return found.transpose() if self.header.fortran else found

    def _read(self, shape: tuple[int, ...], part: Part, last: int) -> NDArray[Any]:
        """A part of which all axes after `last` are read whole, so that it lies in pieces of equal length."""
        items = self.header.dtype.itemsize
        strides = [items * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        found = np.empty([one.stop - one.start for one in part], self.header.dtype)
        size = (part[last].stop - part[last].start) * strides[last]
        flat: Any = found.reshape(-1).view(np.uint8)
        with open(self.path, "rb", buffering=0) as file:
            for at, starts in enumerate(itertools.product(*(range(one.start, one.stop) for one in part[:last]))):
                place = (
                    sum(one * stride for one, stride in zip(starts, strides, strict=False))
                    + part[last].start * strides[last]
                )
                file.seek(self.offset + place)
                done = at * size
                while done < (at + 1) * size:
                    if not (count := file.readinto(flat[done : (at + 1) * size])):
                        raise RequestError(f"{self.path} is truncated; copy or make it again")
                    done += count
        return found


def _from_zip(path: Path, stream: IO[bytes], variable: str) -> Array:
    try:
        with zipfile.ZipFile(stream) as archive:
            member = _member(path, archive, variable)
            if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
                return _plain(path, stream, _stored_offset(stream, member), member.file_size)
            # The other methods unpack thousands of bytes from each one that they read, whatever was asked for.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise RequestError(f"{path} is not packed as numpy packs; save the frames with np.savez_compressed")
            with archive.open(member) as packed:
                whole = _unpack(path, packed)
            return Array(path, whole.shape, whole.dtype, lambda part: whole[part], (path,))
    except RequestError:
        raise
    except OSError:
        raise
    except Exception as error:  # zipfile and its decompressors raise errors of many kinds for damaged content
        raise RequestError(f"{path} is a damaged .npz file ({error}); copy or make it again") from None


def _member(path: Path, archive: zipfile.ZipFile, variable: str) -> zipfile.ZipInfo:
    arrays = {info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename.endswith(".npy")}
    if not variable and len(arrays) != 1 and not {"frames", "arr_0"} & arrays.keys():
        listed = ", ".join(sorted(arrays)[:8]) or "none"
        raise RequestError(
            f"{path} holds the arrays: {listed}; name the one with the frames 'frames', or --set data.variable=NAME"
        )
    return arrays[choose(path, dict.fromkeys(arrays, ()), variable, ("frames", "arr_0"))]


def _stored_offset(stream: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where the content of a stored member starts: the local header repeats the name and may differ in its extra field."""
    stream.seek(member.header_offset)
    local = stream.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("bad local header")
    name, more = struct.unpack("<HH", local[26:30])
    return int(member.header_offset + 30 + name + more)


def _unpack(path: Path, packed: IO[bytes]) -> NDArray[Any]:
    header = _header(path, packed)
    if header.bytes > LARGEST_UNPACKED:
        raise RequestError(
            f"{path} unpacks to {header.bytes:,} bytes, more than {LARGEST_UNPACKED:,}; "
            "save it with np.save or np.savez, so that it can be read by parts"
        )
    items = bytearray()
    for piece in _pieces(packed, header.bytes):
        items += piece
    if len(items) < header.bytes or packed.read(1):
        raise RequestError(f"{path} is damaged: its array is not the {header.bytes:,} bytes of shape {header.shape}")
    array: NDArray[Any] = np.frombuffer(items, header.dtype).reshape(header.shape, order="F" if header.fortran else "C")
    return array


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size and (piece := stream.read(min(size, 1 << 20))):
        size -= len(piece)
        yield piece
