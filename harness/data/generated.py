"""Moving MNIST as a source: sequences drawn from disjoint sets of digits."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.data import moving_mnist
from harness.data.digits import Digits, load_digits
from harness.data.frames import open_frames
from harness.data.moving_mnist import MovingMnist
from harness.data.sequences import FileHeldOut, long_enough
from harness.data.source import HeldOut, Source
from harness.errors import RequestError

if TYPE_CHECKING:
    import torch

CHUNK = 100
"""Held-out sequences are generated in chunks of this size, whatever the batch size: it is part of what they are."""


def open_generated(data: MovingMnist, digits_folder: Path | None = None) -> Source:
    """Training, validation and test sequences from disjoint digits; the latter two from `data.test_seed`, the same for every run.

    With `data.evaluation` the first `data.test_sequences` sequences of that file are the test set.

    Raises RequestError when digits or file are not usable, or do not fit each other or `data`.
    """
    digits = load_digits(digits_folder)
    parts = {"train": digits.train, "validation": digits.validation, "test": digits.test}
    sprites = {purpose: _Sprites(data, digits, part) for purpose, part in parts.items()}
    train = _GeneratedTrain(sprites["train"])
    validation = _GeneratedHeldOut(sprites["validation"], "validation", data.validation_sequences)
    test: HeldOut = _GeneratedHeldOut(sprites["test"], "test", data.test_sequences)
    if data.evaluation:
        file = long_enough(open_frames(data.evaluation, data.layout), data)
        if file.shape_CHW != train.shape_CHW:
            raise RequestError(
                f"{file.path} holds frames of (channels, height, width) {file.shape_CHW}, training has {train.shape_CHW}; "
                "set data.canvas to match, or give an evaluation file of that shape"
            )
        test = FileHeldOut(data, file, 0, min(file.sequences, data.test_sequences))
    return Source(data, train, validation, test)


class _Sprites:
    """The digits of one split at their drawn size, on the devices that asked for them."""

    def __init__(self, data: MovingMnist, digits: Digits, images: NDArray[np.uint8]) -> None:
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
        """What the content is called in keys."""
        return f"{MovingMnist.name}:{self.digits.digest}"


class _GeneratedTrain:
    def __init__(self, sprites: _Sprites) -> None:
        self._sprites = sprites
        self.shape_CHW = (1, sprites.data.canvas, sprites.data.canvas)
        self.epoch = sprites.data.epoch_sequences
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
