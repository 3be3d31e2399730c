"""One interface over generated and stored sequences: what a run trains on, validates on and is tested on.

Letters of the shapes: B sequences, T frames (shown, then to be predicted), C channels, H and W pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.component import Shape
from harness.data.draws import generator
from harness.data.values import Values
from harness.system.seeds import derived_seed
from harness.tree import record_of

if TYPE_CHECKING:
    import torch

CHUNK = 100
"""Sequences that are hashed at a time."""


class Source:
    """Sequences to train on, validate on and test on, as float32 tensors in [0, 1] on the device that asks for them.

    `open_source` makes one. It holds no position: a batch depends on its arguments alone. Where `fill` is not None, NaN in its
    frames is a missing value: the network is shown `fill(frames)`, and losses and metrics leave it out.
    """

    def __init__(self, data: Any, train: Train, validation: HeldOut, test: HeldOut, content: Content | None = None) -> None:
        self.data = data
        self.content = content
        self._train = train
        self._validation = validation
        self._test = test
        self.channels, self.height, self.width = train.shape_CHW

    @property
    def validation_sequences(self) -> int:
        """Sequences that `validation` yields."""
        return self._validation.count

    @property
    def test_sequences(self) -> int:
        """Sequences that `test` yields."""
        return self._test.count

    @property
    def shape(self) -> Shape:
        """The frames that a network is built for."""
        return Shape(self.channels, self.height, self.width, self.data.input_frames, self.data.horizon)

    @property
    def values(self) -> Values | None:
        """How stored values became frames; None for generated ones."""
        return None if self.content is None else self.content.values

    @property
    def missing(self) -> Values | None:
        """What stands for missing values and padding, which are NaN in frames; None where there are none."""
        values = self.values
        return None if values is None or not (values.masked or values.padded != values.size) else values

    @property
    def fill(self) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """What a network is shown of frames (B, T, C, H, W) with missing values; None where none can be missing."""
        return None if self.missing is None else self.missing.filled

    @property
    def about(self) -> dict[str, Any]:
        """What was understood of the user's files, for records; empty for generated sequences."""
        return {} if self.content is None else self.content.about | {"values": self.content.values.record()}

    @property
    def text(self) -> str:
        """The same in words; empty for generated sequences."""
        return "" if self.content is None else self.content.text

    def check_unchanged(self) -> None:
        """Raises HarnessError when a file changed since it was opened."""
        if self.content is not None:
            self.content.check_unchanged()

    @property
    def epoch_sequences(self) -> int:
        """Training sequences that count as one epoch."""
        return self._train.epoch

    @property
    def digits(self) -> dict[str, str]:
        """Where the training content comes from: its `source` ('embedded', 'idx' or 'file') and its `digest`."""
        return self._train.origin

    @property
    def identity(self) -> dict[str, str]:
        """The content that training (`train`) and testing (`evaluation`) depend on, for the keys of runs and results.

        Files are read once, whole, to name and check them: RequestError when their frames are not in range.
        """
        return {"train": self._train.identity, "evaluation": self._test.identity}

    def train_batch(self, seed: int, step: int, batch_size: int, horizon: int, device: torch.device | str) -> torch.Tensor:
        """The training batch of a step: (batch_size, input_frames + horizon, C, H, W), flipped and augmented as `data` says.

        It depends on (seed, step, batch_size) and nothing else; a shorter horizon sees the same sequences cut short.
        """
        if not 1 <= horizon <= self.data.horizon:
            raise ValueError(f"horizon {horizon} is not in 1..{self.data.horizon}")
        rng = generator(seed, "train", step)
        shown, frames = self.data.input_frames, self.data.input_frames + horizon
        augmentations = getattr(self.data, "augment", ())
        if not augmentations:
            return self._train.batch(rng, seed, step, batch_size, frames, device)
        import torch

        batch_BTCHW = self._train.batch(rng, seed, step, batch_size, shown + self.data.horizon, device)
        for one in augmentations:
            draws = torch.Generator().manual_seed(derived_seed(seed, f"augment/{one.name}/{step}"))
            if one.inputs_only:
                batch_BTCHW = torch.cat((one.apply(batch_BTCHW[:, :shown], draws), batch_BTCHW[:, shown:]), dim=1)
            else:
                batch_BTCHW = one.apply(batch_BTCHW, draws)
        return batch_BTCHW[:, :frames].contiguous()

    def validation(self, batch_size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
        """The validation sequences in their fixed order, in full length, unflipped, in batches (the last may be smaller)."""
        return _batches(self._validation, batch_size, device)

    def test(self, batch_size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
        """The test sequences, in the same manner."""
        return _batches(self._test, batch_size, device)

    def climatology(self, batch_size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
        """For each test sequence of a file, in order: what the training part expects of the frames to be predicted, then those
        frames, (batch_size, 2 horizon, C, H, W). Nothing for generated sequences. See `harness.data.climatology`."""
        if self.content is None:
            return
        import torch

        start = 0
        for frames in self.test(batch_size, device):
            expected = self.content.expected(start, start + len(frames), device)
            yield torch.cat((expected, frames[:, self.data.input_frames :]), dim=1)
            start += len(frames)

    def test_digest(self) -> str:
        """The name of the test set: a SHA-256 of its type, its shape (N, T, C, H, W) and its frames in order.

        Frames are taken as bytes where they are bytes (generated, or a uint8 file), else as float32. Generates or reads
        the whole set the first time.
        """
        return self._test_digest

    @cached_property
    def _test_digest(self) -> str:
        first = self._test.stored(0, 1)
        shape = (self._test.count, *first.shape[1:])
        hashed = hashlib.sha256(f"{first.dtype.name} {shape}\n".encode())
        if (values := self.values) is not None and values.scaling is not None:  # frames of another scale are other frames
            hashed.update(f"{record_of(values.scaling)}\n".encode())
        for start in range(0, self._test.count, CHUNK):
            part = self._test.stored(start, min(start + CHUNK, self._test.count))
            hashed.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        return hashed.hexdigest()


def open_source(data: Any, digits_folder: Path | None = None) -> Source:
    """The source that a data component describes. `digits_folder` is for generated sequences.

    Raises RequestError when digits or files are not usable, or do not fit each other or `data`.
    """
    source: Source = data.open(digits_folder)
    return source


class Content(Protocol):
    """What a source of files knows of them."""

    @property
    def values(self) -> Values:
        """How stored values become frames."""
        ...

    @property
    def about(self) -> dict[str, Any]:
        """What was understood, for records."""
        ...

    @property
    def text(self) -> str:
        """What was understood, to be printed."""
        ...

    def expected(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        """What the training part alone expects of the frames to be predicted of test sequences start..stop - 1."""
        ...

    def check_unchanged(self) -> None:
        """Raises HarnessError when a file changed since it was opened."""
        ...


class Train(Protocol):
    """What a source trains on."""

    shape_CHW: tuple[int, int, int]

    @property
    def epoch(self) -> int:
        """Training sequences that count as one epoch."""
        ...

    @property
    def origin(self) -> dict[str, str]:
        """Where the content comes from: `source` and `digest`."""
        ...

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
        ...

    def batch(
        self, rng: np.random.Generator, seed: int, step: int, size: int, frames: int, device: torch.device | str
    ) -> torch.Tensor:
        """A training batch, (size, frames, C, H, W) in [0, 1]."""
        ...


class HeldOut(Protocol):
    """What a source validates or tests on."""

    count: int

    @property
    def identity(self) -> str:
        """What the content is called in keys."""
        ...

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Sequences start..stop - 1 on the host, (B, T, C, H, W), uint8 or float32."""
        ...

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        """Sequences start..stop - 1 on the host, (B, T, C, H, W), uint8 or float32."""
        ...


def _batches(part: HeldOut, size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
    for start in range(0, part.count, size):
        yield part.tensor(start, min(start + size, part.count), device)
