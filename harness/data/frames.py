"""Recordings of frames, whatever file or folder they are in: read by parts, and named by their content.

Letters of the shapes: R recordings, T frames, C channels, H and W pixels, B sequences of a batch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats import LARGEST_UNPACKED, Array, open_arrays
from harness.data.layout import Layout, layout_of
from harness.errors import RequestError

__all__ = ["LARGEST_UNPACKED", "FrameFile", "Scan", "open_frames"]

_SCAN_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over the values found. Missing values (NaN, or `missing`) take no part.

    `low`, `high`, `total` and `count` are by recording, frame and channel, a list of float64 (T, C); `hashes` by recording and
    frame, 0 where axes of the file lie so that a frame is not read whole.
    """

    digest: str
    low: list[NDArray[np.float64]]
    high: list[NDArray[np.float64]]
    total: list[NDArray[np.float64]]
    count: list[NDArray[np.int64]]
    hashes: list[NDArray[np.uint64]]


@dataclass(frozen=True, eq=False)
class FrameFile:
    """Recordings of one frame size and type: the sequences of an array with an axis N, or files of a folder."""

    path: Path
    arrays: tuple[Array, ...]
    layout: Layout
    missing: float | None = None
    """The value that stands for a missing one, beside NaN."""

    @property
    def stored(self) -> Array:
        """The first array, in the axes of the file."""
        return self.arrays[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the stored values."""
        return self.stored.dtype

    @property
    def as_sequences(self) -> bool:
        """Whether the file has an axis of sequences."""
        return "N" in self.layout.letters

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Frames of each recording."""
        counts = [self.layout.sizes(one.shape) for one in self.arrays]
        return tuple(t for n, t, *_ in counts for _ in range(n))

    @property
    def sequences(self) -> int:
        """Number of recordings."""
        return len(self.lengths)

    @property
    def frames(self) -> int:
        """Frames of the shortest recording."""
        return min(self.lengths)

    @property
    def shape_CHW(self) -> tuple[int, int, int]:
        """Channels, height and width of a frame."""
        _, _, channels, height, width = self.layout.sizes(self.stored.shape)
        return channels, height, width

    @property
    def channels(self) -> int:
        """Channels of a frame."""
        return self.shape_CHW[0]

    @property
    def height(self) -> int:
        """Height of a frame, pixels."""
        return self.shape_CHW[1]

    @property
    def width(self) -> int:
        """Width of a frame, pixels."""
        return self.shape_CHW[2]

    @property
    def frames_NTCHW(self) -> _Sequences:
        """All recordings as an array that is read when it is indexed by a slice of recordings."""
        return _Sequences(self)

    def check_unchanged(self) -> None:
        """Raises HarnessError when a file changed since it was opened."""
        for one in self.arrays:
            one.check_unchanged()

    # --- reading

    def read(self, indices: Iterable[int], frames: slice = slice(None)) -> NDArray[np.float32]:
        """The frames of some recordings, float32 (B, T, C, H, W) in [0, 1]; bytes are divided by 255.

        Raises RequestError, naming the sequence, when a value is not finite or not in [0, 1].
        """
        raw = self.read_stored(indices, frames)
        unit: NDArray[np.float32] = raw.astype(np.float32)
        return unit / np.float32(255) if raw.dtype == np.uint8 else unit

    def read_stored(self, indices: Iterable[int], frames: slice | Iterable[slice] = slice(None)) -> NDArray[Any]:
        """As `read`, but bytes stay bytes, and each recording may have its own slice of frames (of equal lengths)."""
        chosen = [int(index) for index in indices]
        slices = [frames] * len(chosen) if isinstance(frames, slice) else list(frames)
        raw = np.stack([self.window(index, part) for index, part in zip(chosen, slices, strict=True)])
        check_unit(self.path, raw, chosen)
        return raw if raw.dtype == np.uint8 else raw.astype(np.float32)

    def window(self, recording: int, frames: slice) -> NDArray[Any]:
        """Frames of a recording as they are stored, (T, C, H, W)."""
        array, index = self._places[recording]
        start, stop, _ = frames.indices(self.lengths[recording])
        parts = {"N": slice(index, index + 1), "T": slice(start, stop)}
        found = array.read(*(parts.get(letter, slice(None)) for letter in self.layout.letters))
        return np.asarray(self._ordered(found)[0])

    def array_of(self, recording: int) -> Array:
        """The array that a recording lies in."""
        return self._places[recording][0]

    @cached_property
    def _places(self) -> list[tuple[Array, int]]:
        return [(one, index) for one in self.arrays for index in range(self.layout.size(one.shape, "N"))]

    def _ordered(self, found: NDArray[Any]) -> NDArray[Any]:
        """An array with the axes of the file as (N, T, C, H, W)."""
        letters = self.layout.letters
        kept_sizes = [size for size, letter in zip(found.shape, letters, strict=True) if letter]
        kept = [letter for letter in letters if letter]
        ordered: NDArray[Any] = found.reshape(kept_sizes).transpose(
            [kept.index(letter) for letter in "NTCHW" if letter in kept]
        )
        for axis, letter in enumerate("NTCHW"):
            if letter not in kept:
                ordered = np.expand_dims(ordered, axis)
        return ordered

    # --- the whole content

    @property
    def digest(self) -> str:
        """SHA-256 of the stored shape, dtype and items, whatever the packing. Reads the whole file.

        Raises RequestError when there is no scaling and a frame is not in range (see `check_range`).
        """
        return self.scan.digest

    @cached_property
    def scan(self) -> Scan:
        """One pass over all values."""
        parts = [self._scan(one) for one in self.arrays]
        digests = [one.digest for one in parts]
        digest = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
        return Scan(
            digest,
            [item for one in parts for item in one.low],
            [item for one in parts for item in one.high],
            [item for one in parts for item in one.total],
            [item for one in parts for item in one.count],
            [item for one in parts for item in one.hashes],
        )

    def _scan(self, array: Array) -> Scan:
        hashed = hashlib.sha256(f"{array.shape} {array.dtype.str}\n".encode())
        n, t, c, _, _ = self.layout.sizes(array.shape)
        low, high = np.full((n, t, c), np.inf), np.full((n, t, c), -np.inf)
        total, count, hashes = np.zeros((n, t, c)), np.zeros((n, t, c), np.int64), np.zeros((n, t), np.uint64)
        first = self.layout.letters[0]
        step = max(1, _SCAN_BYTES // max(1, array.bytes // array.shape[0]))
        for start in range(0, array.shape[0], step):
            stop = min(start + step, array.shape[0])
            part = np.ascontiguousarray(array.read(slice(start, stop)))
            hashed.update(part.reshape(-1).view(np.uint8).data)
            at = tuple(slice(start, stop) if letter == first else slice(None) for letter in "NTC")
            frames = self._ordered(part)
            if first in "NT":
                hashes[at[:2]] = [[_hash(one) for one in several] for several in frames]
            known = self._known(frames)
            exact = np.int64 if frames.itemsize < 8 else np.float64
            if known is None:  # nothing can be missing: no copy is made
                lowest, highest = frames.min((-2, -1)), frames.max((-2, -1))
                sums, counts = frames.sum((-2, -1), dtype=exact), math.prod(frames.shape[-2:])
            else:
                lowest = np.where(known, frames, np.inf).min((-2, -1))
                highest = np.where(known, frames, -np.inf).max((-2, -1))
                sums, counts = np.where(known, frames, 0).sum((-2, -1), dtype=np.float64), known.sum((-2, -1))
            np.minimum(low[at], lowest, out=low[at])
            np.maximum(high[at], highest, out=high[at])
            total[at] += sums
            count[at] += counts
        return Scan(hashed.hexdigest(), list(low), list(high), list(total), list(count), list(hashes))

    def _known(self, frames: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Where values are known; None where all are, as of integers without a missing value."""
        if frames.dtype.kind != "f" and self.missing is None:
            return None
        known: NDArray[np.bool_] = ~np.isnan(frames)
        if self.missing is not None:
            known &= frames != self.missing
        return known


def _hash(frame: NDArray[Any]) -> int:
    content = np.ascontiguousarray(frame).reshape(-1).view(np.uint8).data
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


class _Sequences:
    """Recordings of equal length as an array (N, T, C, H, W) that is read by `[start:stop]`."""

    def __init__(self, file: FrameFile) -> None:
        self._file = file
        self.shape = (file.sequences, file.frames, *file.shape_CHW)

    def __getitem__(self, some: slice) -> NDArray[Any]:
        return np.stack([self._file.window(index, slice(None)) for index in range(*some.indices(self.shape[0]))])


def check_unit(path: Path, frames_BTCHW: NDArray[Any], names: Sequence[int]) -> None:
    """Raises RequestError, naming the sequence, for values that are neither bytes nor floats in [0, 1]."""
    # A comparison with NaN is false, so one test finds NaN, infinities and values out of range.
    if frames_BTCHW.dtype == np.uint8 or not frames_BTCHW.size or (frames_BTCHW.min() >= 0 and frames_BTCHW.max() <= 1):
        return
    for name, sequence in zip(names, frames_BTCHW, strict=True):
        bad = sequence[~((sequence >= 0) & (sequence <= 1))]
        if bad.size:
            raise RequestError(f"{path}: sequence {name} holds {bad.flat[0]!s}; {OUT_OF_RANGE}")


OUT_OF_RANGE = (
    "without a scaling frames must be finite and in [0, 1], or uint8 in 0..255: --set data.scaling=min-max fits one to the "
    'training part, --set "data.scaling=min-max(low=0, high=76.5)" gives it; --set data.missing=nan, or a value, masks missing ones'
)


def open_frames(
    path: Path | str,
    layout: str = "auto",
    *,
    frames: int | None = None,
    fewest: int = 1,
    variable: str = "",
    missing: float | None = None,
) -> FrameFile:
    """Opens a file or folder of frames; see `harness.data.formats` for the formats and `harness.data.layout` for `layout`.

    Args:
        frames: frames that a sequence must have, by which "auto" tells readings apart; without it the usual one is taken.
        fewest: sequences that are needed.
        variable: the array's name, where there are several.
        missing: a value that stands for a missing one, beside NaN.

    Raises RequestError for what is missing, damaged, ambiguous, not numbers, or of unequal sizes.
    """
    path = Path(path).expanduser()
    arrays = open_arrays(path, variable)
    for one in arrays:
        if one.dtype.kind not in "buif" or one.dtype.itemsize > 8:
            raise RequestError(
                f"{one.path} holds {one.dtype} values; give numbers: integers, or float16, float32 or float64"
            )
    found = [layout_of(one.path, one.shape, one.dims, layout, frames, fewest) for one in arrays]
    kinds: dict[Any, Array] = {}
    for one, how in zip(arrays, found, strict=True):
        if min(one.shape) < 1:
            raise RequestError(f"{one.path} holds an array of shape {one.shape}; no axis may be empty")
        kinds.setdefault((how.letters, how.sizes(one.shape)[2:], one.dtype), one)
    if len(kinds) > 1:
        (this, one), (other, two) = list(kinds.items())[:2]
        raise RequestError(
            f"{path} holds recordings of unequal frames: {one.path.name} has (channels, height, width) {this[1]} of {this[2]}, "
            f"{two.path.name} {other[1]} of {other[2]}; give recordings of one size and type"
        )
    return FrameFile(path, tuple(arrays), found[0], missing)
