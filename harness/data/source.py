"""One interface over generated and stored sequences: what a run trains on, validates on and is tested on.

Letters of the shapes: B sequences, T frames (shown, then to be predicted), C channels, H and W pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.data import moving_mnist
from harness.data.digits import Digits, load_digits
from harness.data.sequences import FrameFile, open_frames
from harness.errors import RequestError
from harness.experiment import GENERATED, Data

if TYPE_CHECKING:
    import torch

CHUNK = 100
"""Held-out sequences are generated in chunks of this size, whatever the batch size: it is part of what they are."""


class Source:
    """Sequences to train on, validate on and test on, as float32 tensors in [0, 1] on the device that asks for them.

    `open_source` makes one. It holds no position: a batch depends on its arguments alone.
    """

    def __init__(self, data: Data, train: _Train, validation: _HeldOut, test: _HeldOut) -> None:
        self.data = data
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
        """The training batch of a step: (batch_size, input_frames + horizon, C, H, W), flipped as `data` says.

        It depends on (seed, step, batch_size) and nothing else; a shorter horizon sees the same sequences cut short.
        """
        if not 1 <= horizon <= self.data.horizon:
            raise ValueError(f"horizon {horizon} is not in 1..{self.data.horizon}")
        rng = moving_mnist.generator(seed, "train", step)
        return self._train.batch(rng, seed, step, batch_size, self.data.input_frames + horizon, device)

    def validation(self, batch_size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
        """The validation sequences in their fixed order, in full length, unflipped, in batches (the last may be smaller)."""
        return _batches(self._validation, batch_size, device)

    def test(self, batch_size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
        """The test sequences, in the same manner."""
        return _batches(self._test, batch_size, device)

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
        for start in range(0, self._test.count, CHUNK):
            part = self._test.stored(start, min(start + CHUNK, self._test.count))
            hashed.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        return hashed.hexdigest()


def open_source(data: Data, digits_folder: Path | None = None) -> Source:
    """The source that `data` describes. `digits_folder` is for generated sequences: see `load_digits`.

    - `data.frames` is 'moving-mnist': training, validation and test sequences are generated from disjoint digits; the
      latter two from `data.test_seed`, the same for every run.
    - `data.frames` is a file: its last tenth of sequences is for testing, the tenth before that for validation, at least one
      each. Training visits every sequence once an epoch, in an order and from start frames drawn by (seed, step); validation
      and testing take the first frames.
    - `data.evaluation` is a file: its first `data.test_sequences` sequences are the test set. What is trained and validated
      on stays as it was.

    Raises RequestError when digits or files are not usable, or do not fit each other or `data`.
    """
    train: _Train
    if data.frames == GENERATED:
        digits = load_digits(digits_folder)
        parts = {"train": digits.train, "validation": digits.validation, "test": digits.test}
        sprites = {purpose: _Sprites(data, digits, part) for purpose, part in parts.items()}
        train = _GeneratedTrain(sprites["train"])
        validation: _HeldOut = _GeneratedHeldOut(sprites["validation"], "validation", data.validation_sequences)
        test: _HeldOut = _GeneratedHeldOut(sprites["test"], "test", data.test_sequences)
    else:
        file = _long_enough(open_frames(data.frames, data.layout), data)
        tenth = max(1, file.sequences // 10)
        kept = file.sequences - 2 * tenth
        if kept < 1:
            raise RequestError(
                f"{file.path} holds {file.sequences} sequences; at least 3 are needed, to train, to validate and to test"
            )
        train = _FileTrain(data, file, kept)
        validation = _FileHeldOut(data, file, kept, min(tenth, data.validation_sequences))
        test = _FileHeldOut(data, file, kept + tenth, min(tenth, data.test_sequences))
    if data.evaluation:
        file = _long_enough(open_frames(data.evaluation, data.layout), data)
        shape_CHW = (file.channels, file.height, file.width)
        if shape_CHW != train.shape_CHW:
            raise RequestError(
                f"{file.path} holds frames of (channels, height, width) {shape_CHW}, training has {train.shape_CHW}; "
                f"{'set data.canvas to match, or ' if data.frames == GENERATED else ''}give an evaluation file of that shape"
            )
        test = _FileHeldOut(data, file, 0, min(file.sequences, data.test_sequences))
    return Source(data, train, validation, test)


class _Train(Protocol):
    shape_CHW: tuple[int, int, int]

    @property
    def origin(self) -> dict[str, str]: ...

    @property
    def identity(self) -> str: ...

    def batch(
        self, rng: np.random.Generator, seed: int, step: int, size: int, frames: int, device: torch.device | str
    ) -> torch.Tensor: ...


class _HeldOut(Protocol):
    count: int

    @property
    def identity(self) -> str: ...

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """Sequences start..stop - 1 on the host, (B, T, C, H, W), uint8 or float32."""
        ...

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor: ...


def _batches(part: _HeldOut, size: int, device: torch.device | str) -> Iterator[torch.Tensor]:
    for start in range(0, part.count, size):
        yield part.tensor(start, min(start + size, part.count), device)


# --- generated


class _Sprites:
    """The digits of one split at their drawn size, on the devices that asked for them."""

    def __init__(self, data: Data, digits: Digits, images: NDArray[np.uint8]) -> None:
        self.data = data
        self.digits = digits
        self._images = images
        self._on: dict[str, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self._images)

    @cached_property
    def array(self) -> NDArray[np.uint8]:
        return moving_mnist.resize_digits(self._images, self.data.digit_size)

    def on(self, device: torch.device | str) -> torch.Tensor:
        import torch

        if str(device) not in self._on:
            self._on[str(device)] = torch.from_numpy(self.array).to(device)
        return self._on[str(device)]

    @property
    def identity(self) -> str:
        return f"{GENERATED}:{self.digits.digest}"


class _GeneratedTrain:
    def __init__(self, sprites: _Sprites) -> None:
        self._sprites = sprites
        self.shape_CHW = (1, sprites.data.canvas, sprites.data.canvas)
        self.identity = sprites.identity
        self.origin = {"source": sprites.digits.source, "digest": sprites.digits.digest}

    def batch(
        self, rng: np.random.Generator, seed: int, step: int, size: int, frames: int, device: torch.device | str
    ) -> torch.Tensor:
        del seed, step  # `rng` follows from them
        data = self._sprites.data
        drawn = moving_mnist.sample_trajectories(data, size, len(self._sprites), rng, frames=frames, augment=True)
        return moving_mnist.render(drawn, self._sprites.on(device), data.canvas)


class _GeneratedHeldOut:
    def __init__(self, sprites: _Sprites, purpose: str, count: int) -> None:
        self._sprites = sprites
        self._purpose = purpose
        self.count = count
        self.identity = sprites.identity

    def _trajectories(self, start: int, stop: int) -> moving_mnist.Trajectories:
        data = self._sprites.data
        parts = []
        for chunk in range(start // CHUNK, (stop - 1) // CHUNK + 1):
            rng = moving_mnist.generator(data.test_seed, self._purpose, chunk)
            whole = moving_mnist.sample_trajectories(
                data, CHUNK, len(self._sprites), rng, frames=data.total_frames, augment=False
            )
            parts.append(whole[max(start - chunk * CHUNK, 0) : stop - chunk * CHUNK])
        return moving_mnist.concatenate(parts)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        return moving_mnist.render_bytes(self._trajectories(start, stop), self._sprites.array, self._sprites.data.canvas)

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        return moving_mnist.render(self._trajectories(start, stop), self._sprites.on(device), self._sprites.data.canvas)


# --- files


def _long_enough(file: FrameFile, data: Data) -> FrameFile:
    if file.frames < data.total_frames:
        raise RequestError(
            f"{file.path} holds sequences of {file.frames} frames; data.input_frames {data.input_frames} + "
            f"data.horizon {data.horizon} need {data.total_frames}: lower them, or give longer sequences"
        )
    return file


def _unit_tensor(stored: NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """Bytes travel as bytes; the division gives the same float32 on every device."""
    import torch

    tensor = torch.from_numpy(stored).to(device)
    return tensor.to(torch.float32) / 255 if tensor.dtype == torch.uint8 else tensor


class _FileTrain:
    def __init__(self, data: Data, file: FrameFile, count: int) -> None:
        self.data = data
        self._file = file
        self._count = count
        self.shape_CHW = (file.channels, file.height, file.width)

    @property
    def identity(self) -> str:
        return f"file:{self._file.digest}"

    @property
    def origin(self) -> dict[str, str]:
        return {"source": "file", "digest": self._file.digest}

    def batch(
        self, rng: np.random.Generator, seed: int, step: int, size: int, frames: int, device: torch.device | str
    ) -> torch.Tensor:
        data = self.data
        # The range of starts is that of the full horizon, so that a shorter one sees the same sequences cut short.
        starts = rng.integers(0, self._file.frames - data.total_frames + 1, size)
        horizontal = rng.random(size) < data.flip_horizontal
        vertical = rng.random(size) < data.flip_vertical
        indices = _shuffled(seed, step * size, size, self._count)
        stored = self._file.read_stored(indices, [slice(start, start + frames) for start in starts])
        batch_BTCHW = _unit_tensor(stored, device)
        for flip, axis in ((horizontal, -1), (vertical, -2)):
            batch_BTCHW = _flip(batch_BTCHW, flip, axis)
        return batch_BTCHW


def _shuffled(seed: int, first: int, size: int, count: int) -> list[int]:
    """Draws first..first + size - 1 of an endless stream that visits 0..count - 1 once an epoch, each epoch in its order."""
    orders = {
        epoch: moving_mnist.generator(seed, "order", epoch).permutation(count)
        for epoch in range(first // count, (first + size - 1) // count + 1)
    }
    return [int(orders[draw // count][draw % count]) for draw in range(first, first + size)]


def _flip(batch_BTCHW: torch.Tensor, flip: NDArray[np.bool_], axis: int) -> torch.Tensor:
    import torch

    if not flip.any():
        return batch_BTCHW
    chosen = torch.from_numpy(flip).to(batch_BTCHW.device)[:, None, None, None, None]
    return torch.where(chosen, batch_BTCHW.flip(axis), batch_BTCHW)


class _FileHeldOut:
    def __init__(self, data: Data, file: FrameFile, first: int, count: int) -> None:
        self._frames = slice(0, data.total_frames)
        self._file = file
        self._first = first
        self.count = count

    @property
    def identity(self) -> str:
        return f"file:{self._file.digest}"

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        return self._file.read_stored(range(self._first + start, self._first + stop), self._frames)

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        return _unit_tensor(self.stored(start, stop), device)
