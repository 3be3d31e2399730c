"""What the training part of a file expects of a frame before any is seen: its mean for each pixel, by season and time of day.

Letters of the shapes: B sequences, T frames, C channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.data.frames import FrameFile
from harness.data.values import Values
from harness.data.windows import Segment, calendar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MOST_FRAMES = 4_000
"""Training frames that are averaged at most, evenly spread: more hardly move a mean, and a file may be larger than memory."""

HALF_A_DAY, TWO_DAYS, TWO_YEARS = 12.0, 2 * 24.0, 2 * 360 * 24.0
"""Hours; the year of a model's calendar has 360 days."""


class Climatology:
    """Means of training frames in the file's values: by calendar month where training spans two years, by hour of the day where it
    spans two days in steps below twelve hours; without times one mean."""

    def __init__(self, file: FrameFile, training: Sequence[Segment], values: Values) -> None:
        self._file, self._training, self._values = file, training, values

    def expected(self, file: FrameFile, recording: int, frames: NDArray[np.int64], device: torch.device | str) -> Tensor:
        """What training expects of frames of a recording, as a source gives them, float32 (T, C, H, W); NaN where there is none."""
        keys = self._keys(file, recording, frames)
        found = np.stack([self._means.get(key, self._overall) for key in keys])
        if self._values.scaling is None and self._file.dtype == np.uint8:
            found = found / 255
        return self._values.tensor(found.astype(np.float32), device)

    @cached_property
    def _chosen(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Training frames by recording."""
        total = sum(stop - start for _, start, stop in self._training)
        wanted = np.linspace(0, total - 1, min(total, MOST_FRAMES)).round().astype(np.int64)
        found, before = [], 0
        for number, start, stop in self._training:
            inside = wanted[(wanted >= before) & (wanted < before + stop - start)] - before + start
            if len(inside):
                found.append((number, inside))
            before += stop - start
        return found

    @cached_property
    def _by(self) -> tuple[bool, bool]:
        """Whether months and hours are told apart."""
        ends: list[float] = []
        steps: list[float] = []
        for number, start, stop in self._training:
            if (found := calendar(self._file, number)) is None:
                return False, False
            hours = found.hours[start:stop]
            ends += [hours[0], hours[-1]]
            steps += np.diff(hours)[:1].tolist()
        span = max(ends) - min(ends)  # of recordings of their own each counts from its first frame
        return span >= TWO_YEARS, span >= TWO_DAYS and bool(steps) and float(np.median(steps)) < HALF_A_DAY

    def _keys(self, file: FrameFile, recording: int, frames: NDArray[np.int64]) -> list[tuple[int, int]]:
        months, hours = self._by
        found = calendar(file, recording) if months or hours else None
        if found is None:
            return [(0, 0)] * len(frames)
        return [
            (int(month) * months, int(hour) * hours)
            for month, hour in zip(found.month[frames], found.hour[frames], strict=True)
        ]

    @cached_property
    def _sums(self) -> dict[tuple[int, int], list[NDArray[Any]]]:
        """Sum and count of known values by key, float64 (C, H, W)."""
        found: dict[tuple[int, int], list[NDArray[Any]]] = {}
        for number, frames in self._chosen:
            for at, key in zip(frames.tolist(), self._keys(self._file, number, frames), strict=True):
                one = self._values.stored(self._file.window(number, slice(at, at + 1))[None])[0, 0].astype(np.float64)
                known = ~np.isnan(one)
                sums = found.setdefault(key, [np.zeros(one.shape), np.zeros(one.shape)])
                sums[0] += np.where(known, one, 0)
                sums[1] += known
        return found

    @cached_property
    def _overall(self) -> NDArray[np.float64]:
        return _mean(sum(one[0] for one in self._sums.values()), sum(one[1] for one in self._sums.values()))

    @cached_property
    def _means(self) -> dict[tuple[int, int], NDArray[np.float64]]:
        return {key: _mean(*one) for key, one in self._sums.items()}


def _mean(total: Any, count: Any) -> NDArray[np.float64]:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
