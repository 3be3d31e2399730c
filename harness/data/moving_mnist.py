"""Moving MNIST as a component: sequences generated from disjoint sets of digits. `harness.data.movement` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.component import CONTENT, EVALUATION, Component, setting, slot_field
from harness.data import movement
from harness.data.digits import Digits, load_digits
from harness.data.draws import generator
from harness.data.frames import open_frames
from harness.data.parts import PlainTest
from harness.data.source import HeldOut, Source
from harness.data.windows import long_enough
from harness.errors import RequestError
from harness.experiment import MOST

if TYPE_CHECKING:
    import torch

MOST_SEQUENCE_BYTES = 2**32
"""Memory that one generated sequence may take, float32."""

CHUNK = 100
"""Held-out sequences are generated in chunks of this size, whatever the batch size: it is part of what they are."""


@dataclass(frozen=True, kw_only=True)
class MovingMnist(Component):
    """Moving MNIST, generated as training goes: digits that bounce in a square (Srivastava et al., 2015, arXiv:1502.04681).

    Training, validation and test sequences have disjoint digits. With `evaluation` the test sequences come from a file instead.
    """

    slot: ClassVar[str] = "data"
    name: ClassVar[str] = "moving-mnist"
    canvas: int = setting(64, "height and width of a frame, pixels", at_least=8, at_most=4096)
    digit_size: int = setting(28, "height and width of a digit, pixels: 28, or a divisor of 28", at_least=2, at_most=28)
    digits: int = setting(2, "digits in a sequence", at_least=1, at_most=64)
    speed: float = setting(0.1, "distance a frame, as a share of the free canvas", at_least=0, at_most=1)
    input_frames: int = setting(10, "frames shown", at_least=1, at_most=1000, shared=True)
    horizon: int = setting(10, "frames to predict", at_least=1, at_most=1000, shared=True)
    flip_horizontal: float = setting(
        0.5, "probability of a left-right flip of a training sequence", at_least=0, at_most=1, shared=True
    )
    flip_vertical: float = setting(
        0.5, "probability of an up-down flip of a training sequence", at_least=0, at_most=1, shared=True
    )
    epoch_sequences: int = setting(10_000, "sequences that count as one epoch", at_least=1, at_most=MOST)
    validation_sequences: int = setting(1_000, "sequences to validate on", at_least=1, at_most=MOST, shared=True)
    test_sequences: int = setting(10_000, "sequences to test on", at_least=1, at_most=MOST, decides=EVALUATION, shared=True)
    test_seed: int = setting(
        2015, "seed of the validation and test sequences, the same for every run", at_least=0, at_most=2**31 - 1
    )
    evaluation: str = setting(
        "", "test frames: a .npy/.npz file (mnist_test_seq.npy, say); empty: generated", decides=CONTENT
    )
    layout: str = setting(
        "auto",
        "axes of a 4-D evaluation file: NTHW, TNHW, or auto (TNHW for the shape of mnist_test_seq.npy, else NTHW)",
        choices=("auto", "NTHW", "TNHW"),
        neutral="auto",
    )
    augment: tuple[Any, ...] = slot_field((), "slots: changes to the training batches", many=True, neutral=(), shared=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 28 % self.digit_size:
            raise RequestError(f"data.digit_size is {self.digit_size}; it must divide 28 (2, 4, 7, 14 or 28)")
        if self.canvas < self.digit_size:
            raise RequestError(f"data.canvas is {self.canvas}; a digit of {self.digit_size} pixels does not fit")
        if 4 * self.total_frames * self.canvas**2 > MOST_SEQUENCE_BYTES:
            raise RequestError(
                f"a sequence of {self.total_frames} frames of {self.canvas}x{self.canvas} pixels takes more than "
                f"{MOST_SEQUENCE_BYTES >> 30} GiB; lower data.canvas, data.input_frames or data.horizon"
            )

    @property
    def total_frames(self) -> int:
        """Frames in one sequence: shown and to be predicted."""
        return self.input_frames + self.horizon

    def open(self, digits_folder: Path | None = None) -> Source:
        """The sequences. `digits_folder` has MNIST's files, see `harness.data.digits.load_digits`. Raises RequestError."""
        return open_generated(self, digits_folder)


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
        file = open_frames(data.evaluation, data.layout, frames=data.total_frames)
        long_enough(file, data.input_frames, data.horizon)
        if file.shape_CHW != train.shape_CHW:
            raise RequestError(
                f"{file.path} holds frames of (channels, height, width) {file.shape_CHW}, training has {train.shape_CHW}; "
                "set data.canvas to match, or give an evaluation file of that shape"
            )
        test = PlainTest(data, file).held_out(data.test_sequences)
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
        return movement.resize_digits(self._images, self.data.digit_size)

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
        drawn = movement.sample_trajectories(data, size, len(self._sprites), rng, frames=frames, augment=True)
        return movement.render(drawn, self._sprites.on(device), data.canvas)


class _GeneratedHeldOut:
    def __init__(self, sprites: _Sprites, purpose: str, count: int) -> None:
        self._sprites = sprites
        self._purpose = purpose
        self.count = count
        self.identity = sprites.identity

    def _trajectories(self, start: int, stop: int) -> movement.Trajectories:
        data = self._sprites.data
        parts = []
        for chunk in range(start // CHUNK, (stop - 1) // CHUNK + 1):
            rng = generator(data.test_seed, self._purpose, chunk)
            whole = movement.sample_trajectories(
                data, CHUNK, len(self._sprites), rng, frames=data.total_frames, augment=False
            )
            parts.append(whole[max(start - chunk * CHUNK, 0) : stop - chunk * CHUNK])
        return movement.concatenate(parts)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        return movement.render_bytes(self._trajectories(start, stop), self._sprites.array, self._sprites.data.canvas)

    def tensor(self, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
        return movement.render(self._trajectories(start, stop), self._sprites.on(device), self._sprites.data.canvas)
