"""Which frames are training, validation and test, and the windows (input and horizon) that are cut from them.

No window crosses the border of a part, a recording or a gap in time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats import Array
from harness.data.frames import FrameFile
from harness.errors import RequestError
from harness.system import files

ENOUGH_RECORDINGS = 10
"""From so many recordings on whole ones are set aside for validation and test; fewer are each cut in time."""
PARTS = ("training", "validation", "test")

Segment = tuple[int, int, int]
"""A recording, its first frame, and the frame after its last."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Where sequences start: `recordings` and `starts`, (N,). With `spare` each may start so many frames later."""

    recordings: NDArray[np.int64]
    starts: NDArray[np.int64]
    spare: int = 0

    def __len__(self) -> int:
        return len(self.recordings)

    def some(self, most: int, spread: bool) -> Windows:
        """At most so many: the first ones, or evenly spread ones."""
        if len(self) <= most:
            return self
        chosen = np.linspace(0, len(self) - 1, most).round().astype(np.int64) if spread else np.arange(most)
        return Windows(self.recordings[chosen], self.starts[chosen], self.spare)

    @property
    def digest(self) -> str:
        """Names them."""
        return files.digest([np.stack((self.recordings, self.starts)).astype("<i8").tobytes()])[:16]


def segments(file: FrameFile) -> list[list[Segment]]:
    """Each recording's stretches without a gap.

    A gap is where a time coordinate steps by more than 1.5 of its usual step, or not forward.
    """
    found: list[list[Segment]] = []
    for array in file.arrays:
        count, frames = file.layout.size(array.shape, "N"), file.layout.size(array.shape, "T")
        cuts = [0, *_gaps(array, file), frames]
        for _ in range(count):
            found.append([(len(found), start, stop) for start, stop in itertools.pairwise(cuts)])
    return found


@dataclass(frozen=True, eq=False)
class Calendar:
    """When frames are: hours since some moment, month 0..11 and hour of the day 0..23, each (T,)."""

    hours: NDArray[np.float64]
    month: NDArray[np.int64]
    hour: NDArray[np.int64]


def calendar(file: FrameFile, recording: int) -> Calendar | None:
    """The dates of a recording's frames; None where the file has none."""
    times = _times(file.array_of(recording), file)
    if times is None or times.dtype.kind not in "MO" or not len(times):
        return None
    if times.dtype.kind == "O":  # calendars of models: cftime
        since = np.array([(one - times[0]).total_seconds() / 3600 for one in times])
        return Calendar(since, np.array([one.month - 1 for one in times]), np.array([one.hour for one in times]))
    seconds = times.astype("datetime64[s]").astype(np.int64)
    return Calendar(seconds / 3600, times.astype("datetime64[M]").astype(np.int64) % 12, seconds // 3600 % 24)


def _times(array: Array, file: FrameFile) -> NDArray[Any] | None:
    """The coordinate along the axis of time."""
    name = dict(zip(file.layout.letters, array.dims, strict=False)).get("T", "")
    return array.coordinates.get(name)


def _gaps(array: Array, file: FrameFile) -> list[int]:
    times = _times(array, file)
    if times is None or len(times) < 3:
        return []
    if times.dtype.kind == "O":  # calendars of models: cftime
        steps = np.array([(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)])
    elif times.dtype.kind in "iufM":
        steps = np.diff(times.astype("datetime64[ns]").astype(np.int64) if times.dtype.kind == "M" else times).astype(
            np.float64
        )
    else:
        return []
    usual = float(np.median(steps))
    return [int(at) + 1 for at in np.flatnonzero((steps > 1.5 * usual) | (steps <= 0))] if usual > 0 else []


def split(file: FrameFile, shares: Sequence[float], total: int) -> tuple[list[Segment], list[Segment], list[Segment]]:
    """Training, validation and test, disjoint and in this order.

    The sequences of an array, and ten recordings or more, are split whole; fewer recordings are each cut in time.

    Raises RequestError when a part would have no window of `total` frames.
    """
    whole = segments(file)
    if file.as_sequences or len(whole) >= ENOUGH_RECORDINGS:
        held = [max(1, int(share * len(whole) + 1e-9)) for share in shares[1:]]
        kept = len(whole) - sum(held)
        if kept < 1:
            raise RequestError(
                f"{file.path} holds {len(whole)} sequence{'s' * (len(whole) > 1)}; at least 3 are needed, to train, to validate "
                "and to test"
            )
        borders = [0, kept, kept + held[0], len(whole)]
        several = [[one for some in whole[a:b] for one in some] for a, b in itertools.pairwise(borders)]
    else:
        several = [[], [], []]
        for number, stretches in enumerate(whole):
            frames = file.lengths[number]
            test, validation = (int(share * frames + 1e-9) for share in (shares[2], shares[1]))
            cuts = [0, frames - test - validation, frames - test, frames]
            for part, (a, b) in zip(several, itertools.pairwise(cuts), strict=True):
                part += [
                    (number, max(a, start), min(b, stop)) for _, start, stop in stretches if max(a, start) < min(b, stop)
                ]
    for name, part in zip(PARTS, several, strict=True):
        longest = max((stop - start for _, start, stop in part), default=0)
        if longest < total:
            gaps = " without a gap" if any(len(one) > 1 for one in whole) else ""
            raise RequestError(
                f"{file.path}: the {name} part has at most {longest} frames in a row{gaps}, and data.input_frames + data.horizon "
                f"need {total}; lower them, change data.split ({', '.join(f'{one:g}' for one in shares)}), or give longer "
                "recordings"
            )
    return several[0], several[1], several[2]


def cut(parts: Iterable[Segment], total: int, stride: int) -> Windows:
    """Windows of `total` frames, their starts `stride` frames apart, within each segment."""
    starts = [(number, at) for number, start, stop in parts for at in range(start, stop - total + 1, stride)]
    table = np.array(starts, np.int64).reshape(-1, 2)
    return Windows(table[:, 0], table[:, 1])


def heads(parts: Iterable[Segment], spare: int = 0) -> Windows:
    """One window a sequence, from its first frame, or with `spare` up to so many frames later."""
    numbers = np.array([number for number, *_ in parts], np.int64)
    return Windows(numbers, np.zeros(len(numbers), np.int64), spare)


def repeated(test: Windows, test_file: FrameFile, training: Sequence[Segment], file: FrameFile, total: int) -> int | None:
    """How many test windows occur in training, frame by frame; None where frames have no digests of their own."""
    if not all(one.any() for one in (*test_file.scan.hashes[:1], *file.scan.hashes[:1])):
        return None
    known = set()
    for number, start, stop in training:
        several = np.ascontiguousarray(file.scan.hashes[number][start:stop])
        known |= {several[at : at + total].tobytes() for at in range(len(several) - total + 1)}
    hashes = test_file.scan.hashes
    pairs = zip(test.recordings.tolist(), test.starts.tolist(), strict=True)
    return sum(hashes[number][start : start + total].tobytes() in known for number, start in pairs)


def long_enough(file: FrameFile, input_frames: int, horizon: int) -> FrameFile:
    """The file, when its sequences have that many frames to show and to predict. Raises RequestError."""
    if file.frames < input_frames + horizon:
        raise RequestError(
            f"{file.path} holds sequences of {file.frames} frames; data.input_frames {input_frames} + "
            f"data.horizon {horizon} need {input_frames + horizon}: lower them, or give longer sequences"
        )
    return file
