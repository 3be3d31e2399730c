"""Recordings of frames, whatever file or folder they are in: read by parts, and named by their content.

Letters of the shapes: R recordings, T frames, C channels, H and W pixels, B sequences of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data import remembered
from harness.data.formats import LARGEST_UNPACKED, Array, open_arrays
from harness.data.layout import Layout, layout_of
from harness.data.scan import Scan
from harness.errors import RequestError

__all__ = ["LARGEST_UNPACKED", "FrameFile", "open_frames"]


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
        return np.asarray(self.layout.ordered(found)[0])

    def array_of(self, recording: int) -> Array:
        """The array that a recording lies in."""
        return self._places[recording][0]

    @cached_property
    def _places(self) -> list[tuple[Array, int]]:
        return [(one, index) for one in self.arrays for index in range(self.layout.size(one.shape, "N"))]

    # --- the whole content

    @property
    def digest(self) -> str:
        """SHA-256 of the stored shape, dtype and items, whatever the packing. Reads the whole file, or remembers it.

        Raises RequestError when there is no scaling and a frame is not in range (see `check_range`).
        """
        return self.scan.digest

    @cached_property
    def scan(self) -> Scan:
        """One pass over all values, or what is remembered of it. See `harness.data.remembered`."""
        return remembered.scan(self.path, self.arrays, self.layout, self.missing)


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
    'training part, --set "data.scaling=min-max(low=LOW, high=HIGH)" gives it; --set data.missing=nan, or a value, masks '
    "missing ones"
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
            f"{path} holds recordings of unequal size or type: {one.path.name} has (channels, height, width) {this[1]} "
            f"of {this[2]}, {two.path.name} {other[1]} of {other[2]}; give recordings of one size and type"
        )
    return FrameFile(path, tuple(arrays), found[0], missing)
