"""What of a file trains, and what validates or tests: windows that are read, scaled and masked when a batch asks for them.

Letters of the shapes: B sequences, T frames, C channels, H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.data.draws import generator
from harness.data.frames import FrameFile
from harness.data.values import Values, check_range
from harness.data.windows import Windows, heads

if TYPE_CHECKING:
    import torch


class Holder(Protocol):
    """Whose values held-out windows are read by."""

    @property
    def values(self) -> Values:
        """How stored values become frames."""
        ...

    @property
    def data(self) -> Any:
        """The data component."""
        ...


class TrainedOn(Holder, Protocol):
    """What windows are trained on."""

    @property
    def file(self) -> FrameFile:
        """The file of the training part."""
        ...

    @property
    def bare(self) -> Values:
        """Values before anything is read."""
        ...

    @property
    def limited(self) -> Values:
        """Values with the scaling fitted. Raises RequestError for values that cannot be used."""
        ...


class FileTrain:
    """Visits every window once an epoch, in an order and from start frames drawn by (seed, step)."""

    def __init__(self, content: TrainedOn, windows: Windows) -> None:
        self.data, self._content, self.windows = content.data, content, windows
        self._file = content.file
        self.epoch = len(windows)
        self.shape_CHW = (self._file.channels, *content.bare.padded)

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
        assert self._content.limited is not None  # values that cannot be used are found before they have a name
        return f"file:{self._file.digest}"

    @property
    def origin(self) -> dict[str, str]:
        """Where the content comes from: `source` and `digest`."""
        return {"source": "file", "digest": self._file.digest}

    def batch(
        self, rng: np.random.Generator, seed: int, step: int, size: int, frames: int, device: torch.device | str
    ) -> torch.Tensor:
        """A training batch, (size, frames, C, H, W) in [0, 1]."""
        data = self.data
        # The range of starts is that of the full horizon, so that a shorter one sees the same sequences cut short.
        later = rng.integers(0, self.windows.spare + 1, size)
        horizontal = rng.random(size) < data.flip_horizontal
        vertical = rng.random(size) < data.flip_vertical
        indices = _shuffled(seed, step * size, size, self.epoch)
        stored = _read(self._content.values, self._file, self.windows, indices, frames, later)
        return self._content.values.tensor(_flip(_flip(stored, horizontal, -1), vertical, -2), device)


def _read(
    values: Values, file: FrameFile, windows: Windows, indices: list[int], frames: int, later: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Windows of a file, (B, T, C, H, W), as `Values.stored` gives them."""
    starts = windows.starts[indices] + (0 if later is None else later)
    pairs = zip(windows.recordings[indices].tolist(), starts.tolist(), strict=True)
    return values.stored(np.stack([file.window(number, slice(start, start + frames)) for number, start in pairs]))


def _shuffled(seed: int, first: int, size: int, count: int) -> list[int]:
    """Draws first..first + size - 1 of an endless stream that visits 0..count - 1 once an epoch, each epoch in its order."""
    orders = {
        epoch: generator(seed, "order", epoch).permutation(count)
        for epoch in range(first // count, (first + size - 1) // count + 1)
    }
    return [int(orders[draw // count][draw % count]) for draw in range(first, first + size)]


def _flip(stored_BTCHW: NDArray[Any], flip: NDArray[np.bool_], axis: int) -> NDArray[Any]:
    if not flip.any():
        return stored_BTCHW
    return np.where(flip[:, None, None, None, None], np.flip(stored_BTCHW, axis), stored_BTCHW)


class FileHeldOut:
    """Some windows of a file."""

    def __init__(self, content: Holder, file: FrameFile, windows: Windows) -> None:
        self._content, self._file, self.windows = content, file, windows
        self.count = len(windows)

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
        # Two parts of a file are two data sets.
        first, last = int(self.windows.recordings[0]), int(self.windows.recordings[-1])
        heads_only = not self.windows.starts.any() and last - first == self.count - 1
        return f"file:{self._file.digest}:{f'{first}-{last + 1}' if heads_only else self.windows.digest}"

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Sequences start..stop - 1 as `Values.stored` gives them, (B, T, C, H, W)."""
        return _read(
            self._content.values, self._file, self.windows, list(range(start, stop)), self._content.data.total_frames
        )

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        """The same as float32 frames on a device."""
        return self._content.values.tensor(self.stored(start, stop), device)


@dataclass(frozen=True)
class PlainTest:
    """Test sequences of a file for a generator: uint8, or floats in [0, 1]."""

    data: Any
    file: FrameFile

    @cached_property
    def values(self) -> Values:
        """Values as they are stored, checked."""
        check_range(self.file, scaled=False, masked=False)
        size = (self.file.height, self.file.width)
        return Values(size, size)

    def held_out(self, most: int) -> FileHeldOut:
        """At most so many of its sequences, from their first frames."""
        windows = heads((number, 0, length) for number, length in enumerate(self.file.lengths))
        return FileHeldOut(self, self.file, windows.some(most, False))
