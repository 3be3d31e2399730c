"""Sequences of a file as a source: what trains, validates and tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.component import CONTENT, EVALUATION, Component, setting, slot_field
from harness.data.draws import generator
from harness.data.frames import FrameFile, open_frames
from harness.data.source import HeldOut, Source
from harness.errors import RequestError
from harness.experiment import MOST

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Frames(Component):
    """Sequences of a .npy or .npz file, (N, T, H, W), (T, N, H, W) or (N, T, C, H, W); uint8, or floats in [0, 1].

    The last tenth of its sequences is for testing and the tenth before that for validation, at least one each. With `evaluation`
    the test sequences come from another file. An epoch is one visit of every training sequence.
    """

    slot: ClassVar[str] = "data"
    name: ClassVar[str] = "frames"
    path: str = setting("", "training frames: a .npy or .npz file", decides=CONTENT)
    evaluation: str = setting("", "test frames: a .npy or .npz file; empty: the held-out part of `path`", decides=CONTENT)
    layout: str = setting(
        "auto",
        "axes of a 4-D file: NTHW, TNHW, or auto (TNHW for the shape of mnist_test_seq.npy, else NTHW)",
        choices=("auto", "NTHW", "TNHW"),
    )
    input_frames: int = setting(10, "frames shown", at_least=1, at_most=1000, shared=True)
    horizon: int = setting(10, "frames to predict", at_least=1, at_most=1000, shared=True)
    flip_horizontal: float = setting(
        0.5, "probability of a left-right flip of a training sequence", at_least=0, at_most=1, shared=True
    )
    flip_vertical: float = setting(
        0.5, "probability of an up-down flip of a training sequence", at_least=0, at_most=1, shared=True
    )
    validation_sequences: int = setting(1_000, "most sequences to validate on", at_least=1, at_most=MOST, shared=True)
    test_sequences: int = setting(
        10_000, "most sequences to test on", at_least=1, at_most=MOST, decides=EVALUATION, shared=True
    )
    augment: tuple[Any, ...] = slot_field((), "slots: changes to the training batches", many=True, neutral=(), shared=True)

    @property
    def total_frames(self) -> int:
        """Frames in one sequence: shown and to be predicted."""
        return self.input_frames + self.horizon

    def open(self, digits_folder: Path | None = None) -> Source:
        """The sequences; `digits_folder` is for generated data and not read. Raises RequestError for an unusable file."""
        del digits_folder
        if not self.path:
            raise RequestError("data.path is empty; name a .npy or .npz file: --set data.path=FILE")
        file = long_enough(open_frames(self.path, self.layout), self)
        tenth = max(1, file.sequences // 10)
        kept = file.sequences - 2 * tenth
        if kept < 1:
            raise RequestError(
                f"{file.path} holds {file.sequences} sequences; at least 3 are needed, to train, to validate and to test"
            )
        validation = FileHeldOut(self, file, kept, min(tenth, self.validation_sequences))
        test: HeldOut = FileHeldOut(self, file, kept + tenth, min(tenth, self.test_sequences))
        if self.evaluation:
            other = long_enough(open_frames(self.evaluation, self.layout), self)
            if other.shape_CHW != file.shape_CHW:
                raise RequestError(
                    f"{other.path} holds frames of (channels, height, width) {other.shape_CHW}, training has {file.shape_CHW}; "
                    "give an evaluation file of that shape"
                )
            test = FileHeldOut(self, other, 0, min(other.sequences, self.test_sequences))
        return Source(self, FileTrain(self, file, kept), validation, test)


class Lengths(Protocol):
    """What of a data component a file's sequences are checked and cut by."""

    @property
    def input_frames(self) -> int:
        """Frames in one sequence."""
        ...

    @property
    def horizon(self) -> int:
        """Frames to predict."""
        ...

    @property
    def total_frames(self) -> int:
        """Frames in one sequence."""
        ...


def long_enough(file: FrameFile, data: Lengths) -> FrameFile:
    """The file, when its sequences are long enough for `data`. Raises RequestError."""
    if file.frames < data.total_frames:
        raise RequestError(
            f"{file.path} holds sequences of {file.frames} frames; data.input_frames {data.input_frames} + "
            f"data.horizon {data.horizon} need {data.total_frames}: lower them, or give longer sequences"
        )
    return file


def unit_tensor(stored: NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """Bytes travel as bytes; the division gives the same float32 on every device."""
    import torch

    tensor = torch.from_numpy(stored).to(device)
    return tensor.to(torch.float32) / 255 if tensor.dtype == torch.uint8 else tensor


class FileTrain:
    """Visits every sequence once an epoch, in an order and from start frames drawn by (seed, step)."""

    def __init__(self, data: Frames, file: FrameFile, count: int) -> None:
        self.data = data
        self._file = file
        self._count = self.epoch = count
        self.shape_CHW = file.shape_CHW

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
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
        starts = rng.integers(0, self._file.frames - data.total_frames + 1, size)
        horizontal = rng.random(size) < data.flip_horizontal
        vertical = rng.random(size) < data.flip_vertical
        indices = _shuffled(seed, step * size, size, self._count)
        stored = self._file.read_stored(indices, [slice(start, start + frames) for start in starts])
        batch_BTCHW = unit_tensor(stored, device)
        for flip, axis in ((horizontal, -1), (vertical, -2)):
            batch_BTCHW = _flip(batch_BTCHW, flip, axis)
        return batch_BTCHW


def _shuffled(seed: int, first: int, size: int, count: int) -> list[int]:
    """Draws first..first + size - 1 of an endless stream that visits 0..count - 1 once an epoch, each epoch in its order."""
    orders = {
        epoch: generator(seed, "order", epoch).permutation(count)
        for epoch in range(first // count, (first + size - 1) // count + 1)
    }
    return [int(orders[draw // count][draw % count]) for draw in range(first, first + size)]


def _flip(batch_BTCHW: torch.Tensor, flip: NDArray[np.bool_], axis: int) -> torch.Tensor:
    import torch

    if not flip.any():
        return batch_BTCHW
    chosen = torch.from_numpy(flip).to(batch_BTCHW.device)[:, None, None, None, None]
    return torch.where(chosen, batch_BTCHW.flip(axis), batch_BTCHW)


class FileHeldOut:
    """Some sequences of a file, from their first frames."""

    def __init__(self, data: Lengths, file: FrameFile, first: int, count: int) -> None:
        self._frames = slice(0, data.total_frames)
        self._file = file
        self._first = first
        self.count = count

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
        return f"file:{self._file.digest}:{self._first}-{self._first + self.count}"  # two parts of a file are two data sets

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Sequences start..stop - 1 as they are stored, (B, T, C, H, W)."""
        return self._file.read_stored(range(self._first + start, self._first + stop), self._frames)

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        """The same as float32 in [0, 1] on a device."""
        return unit_tensor(self.stored(start, stop), device)
