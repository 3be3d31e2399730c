"""Files of frames: `.npy` and `.npz`, memory-mapped where they can be, checked before they are believed.

Letters of the shapes: N sequences, T frames, C channels, H and W pixels, B sequences of a batch.
"""

from __future__ import annotations

import hashlib
import io
import math
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import RequestError

MOVING_MNIST_TEST = (20, 10_000)
"""The first axes of the canonical mnist_test_seq.npy: frames before sequences."""
LARGEST_UNPACKED = 2 << 30
"""Bytes of a compressed array that are unpacked into memory; larger ones must be stored so that they can be mapped."""
_SCAN_BYTES = 64 << 20
_LONGEST_HEADER = 10_000
"""Characters of a .npy header: numpy's own limit, which it checks only after it has read what the header claims to be."""


@dataclass(frozen=True, eq=False)
class FrameFile:
    """Sequences of one file.

    `frames_NTCHW` is a view of the mapped file: uint8 0..255, or floats that should lie in [0, 1] and are checked as they
    are read. `stored` is the same array with the axes of the file.
    """

    path: Path
    stored: NDArray[Any]
    frames_NTCHW: NDArray[Any]

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return int(self.frames_NTCHW.shape[0])

    @property
    def frames(self) -> int:
        """Frames in every sequence."""
        return int(self.frames_NTCHW.shape[1])

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return int(self.frames_NTCHW.shape[2])

    @property
    def height(self) -> int:
        """Height of a frame, pixels."""
        return int(self.frames_NTCHW.shape[3])

    @property
    def width(self) -> int:
        """Width of a frame, pixels."""
        return int(self.frames_NTCHW.shape[4])

    @property
    def shape_CHW(self) -> tuple[int, int, int]:
        """Channels, height and width of a frame."""
        return self.channels, self.height, self.width

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the stored shape, dtype and items: the same for `.npy` and `.npz`. Reads and checks the whole file.

        Raises RequestError when a frame is not in range.
        """
        hashed = hashlib.sha256(f"{self.stored.shape} {self.stored.dtype.str}\n".encode())
        step = max(1, _SCAN_BYTES // max(1, self.stored[0].nbytes))
        frames_first = self.frames_NTCHW.shape[0] != self.stored.shape[0]
        for start in range(0, len(self.stored), step):
            part = np.ascontiguousarray(self.stored[start : start + step])
            hashed.update(part.reshape(-1).view(np.uint8).data)
            if frames_first:
                self._check(part.swapaxes(0, 1), range(self.sequences))
            else:
                self._check(part, range(start, start + len(part)))
        return hashed.hexdigest()

    def read(self, indices: Iterable[int], frames: slice = slice(None)) -> NDArray[np.float32]:
        """The frames of some sequences, float32 (B, T, C, H, W) in [0, 1]; bytes are divided by 255.

        Raises RequestError, naming the sequence, when a value is not finite or not in [0, 1].
        """
        raw = self.read_stored(indices, frames)
        unit: NDArray[np.float32] = raw.astype(np.float32)
        return unit / np.float32(255) if raw.dtype == np.uint8 else unit

    def read_stored(self, indices: Iterable[int], frames: slice | Iterable[slice] = slice(None)) -> NDArray[Any]:
        """As `read`, but bytes stay bytes, and each sequence may have its own slice of frames (of equal lengths)."""
        chosen = [int(index) for index in indices]
        slices = [frames] * len(chosen) if isinstance(frames, slice) else list(frames)
        raw = np.stack([self.frames_NTCHW[index, part] for index, part in zip(chosen, slices, strict=True)])
        self._check(raw, chosen)
        return raw if raw.dtype == np.uint8 else raw.astype(np.float32)

    def _check(self, part: NDArray[Any], indices: Iterable[int]) -> None:
        # A comparison with NaN is false, so one test finds NaN, infinities and values out of range.
        if part.dtype == np.uint8 or (part.min() >= 0 and part.max() <= 1):
            return
        for index, sequence in zip(indices, part, strict=True):
            bad = sequence[~((sequence >= 0) & (sequence <= 1))]
            if bad.size:
                raise RequestError(
                    f"{self.path}: sequence {index} holds {float(bad.flat[0]):g}; frames must be finite and in [0, 1], "
                    "or uint8 in 0..255: scale the file"
                )


def open_frames(path: Path | str, layout: str = "auto") -> FrameFile:
    """Opens a `.npy` or `.npz` file of frames: (N, T, H, W), (T, N, H, W) or (N, T, C, H, W); uint8 or floats in [0, 1].

    `layout` names the axes of a 4-D array: NTHW, TNHW, or auto: TNHW for the shape of the canonical mnist_test_seq.npy,
    (20, 10000, H, W), otherwise NTHW. Of an `.npz`, the array `frames`, else `arr_0`, else the only one is taken; it is
    mapped when it is stored uncompressed (`np.savez`), otherwise unpacked into memory up to 2 GiB.

    Raises RequestError for a file that is missing, damaged, pickled, too large to unpack, or of another shape or dtype.
    """
    path = Path(path).expanduser()
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block for ever
            raise RequestError(
                f"the frames file {path} cannot be read: it is no file; give a .npy or .npz file, or moving-mnist"
            )
        with open(path, "rb") as stream:
            start = stream.read(6)
            if start[:4] == b"PK\x03\x04":
                stored = _from_zip(path, stream)
            elif start == b"\x93NUMPY":
                stored = _map(path, stream, 0, path.stat().st_size)
            elif start[:1] == b"\x80":
                raise RequestError(f"{path} is a pickle, which is never loaded; save the frames with np.save")
            else:
                raise RequestError(f"{path} is neither a .npy nor a .npz file; save the frames with np.save")
    except FileNotFoundError:
        raise RequestError(f"the frames file {path} does not exist; give a .npy or .npz file, or moving-mnist") from None
    except (OSError, ValueError) as error:  # ValueError: no path at all, such as one with a zero byte
        raise RequestError(f"the frames file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stored.ndim == 5:
        return FrameFile(path, stored, stored)
    if layout == "TNHW" or (layout == "auto" and stored.shape[:2] == MOVING_MNIST_TEST):
        return FrameFile(path, stored, stored.swapaxes(0, 1)[:, :, None])
    return FrameFile(path, stored, stored[:, :, None])


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    order: Any
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
        raise RequestError(f"{path} holds pickled Python objects, which are never loaded; save an array of uint8 or float32")
    if dtype != np.uint8 and not (dtype.kind == "f" and dtype.itemsize in (2, 4, 8)):
        raise RequestError(f"{path} holds {dtype} values; give uint8 in 0..255, or float16, float32 or float64 in [0, 1]")
    if len(shape) not in (4, 5) or min(shape) < 1:
        raise RequestError(
            f"{path} holds an array of shape {shape}; frames are (N, T, H, W) or (N, T, C, H, W), no axis empty"
        )
    return _Header(shape, "F" if fortran else "C", dtype, np.lib.format.MAGIC_LEN + width + announced)


def _map(path: Path, stream: IO[bytes], offset: int, available: int) -> NDArray[Any]:
    stream.seek(offset)
    header = _header(path, stream)
    if header.offset + header.bytes > available:
        raise RequestError(
            f"{path} is truncated: shape {header.shape} of {header.dtype} takes {header.bytes:,} bytes, "
            f"{max(0, available - header.offset):,} are there; copy or make it again"
        )
    mapped = np.memmap(
        path, dtype=header.dtype, mode="r", offset=offset + header.offset, shape=header.shape, order=header.order
    )
    return np.asarray(mapped)


def _from_zip(path: Path, stream: IO[bytes]) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(stream) as archive:
            member = _member(path, archive)
            if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
                return _map(path, stream, _stored_offset(stream, member), member.file_size)
            # The other methods unpack thousands of bytes from each one that they read, whatever was asked for.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise RequestError(f"{path} is not packed as numpy packs; save the frames with np.savez_compressed")
            with archive.open(member) as packed:
                return _unpack(path, packed)
    except RequestError:
        raise
    except OSError:
        raise
    except Exception as error:  # zipfile and its decompressors raise errors of many kinds for damaged content
        raise RequestError(f"{path} is a damaged .npz file ({error}); copy or make it again") from None


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    arrays = {info.filename.removesuffix(".npy"): info for info in archive.infolist() if info.filename.endswith(".npy")}
    for name in ("frames", "arr_0"):
        if name in arrays:
            return arrays[name]
    if len(arrays) != 1:
        listed = ", ".join(sorted(arrays)[:8]) or "none"
        raise RequestError(f"{path} holds the arrays: {listed}; name the one with the frames 'frames'")
    return next(iter(arrays.values()))


def _stored_offset(stream: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where the content of a stored member starts: the local header repeats the name and may differ in its extra field."""
    stream.seek(member.header_offset)
    local = stream.read(30)
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("bad local header")
    name, extra = struct.unpack("<HH", local[26:30])
    return int(member.header_offset + 30 + name + extra)


def _unpack(path: Path, packed: IO[bytes]) -> NDArray[Any]:
    header = _header(path, packed)
    if header.bytes > LARGEST_UNPACKED:
        raise RequestError(
            f"{path} unpacks to {header.bytes:,} bytes, more than {LARGEST_UNPACKED:,}; "
            "save it with np.save or np.savez, so that it can be memory-mapped"
        )
    items = bytearray()
    for piece in _pieces(packed, header.bytes):
        items += piece
    if len(items) < header.bytes or packed.read(1):
        raise RequestError(f"{path} is damaged: its array is not the {header.bytes:,} bytes of shape {header.shape}")
    array: NDArray[Any] = np.frombuffer(items, header.dtype).reshape(header.shape, order=header.order)
    return array


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size and (piece := stream.read(min(size, 1 << 20))):
        size -= len(piece)
        yield piece
