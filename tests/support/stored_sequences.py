"""Files of sequences whose pixels tell which sequence and which frame they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.data.moving_mnist import MovingMnist as Data
from harness.data.sequences import Frames

SMALL = Data(
    canvas=16, digit_size=7, digits=2, input_frames=4, horizon=3, validation_sequences=30, test_sequences=250, test_seed=7
)


FILE = Frames(input_frames=4, horizon=3, validation_sequences=30, test_sequences=250)


def file_data(path: Path, **changes: Any) -> Frames:
    letters = {4: "N T H W", 5: "N T C H W"}[np.load(path, mmap_mode="r").ndim]
    return dataclasses.replace(FILE, **{"path": str(path), "layout": letters} | changes)


def saved(path: Path, *shape: int, floats: bool = False) -> Path:
    """A file whose every frame tells its sequence (first pixel) and its time (second pixel)."""
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    array[..., 0, 0] = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 3))
    array[..., 0, 1] = np.arange(shape[1]).reshape(1, -1, *[1] * (len(shape) - 4))
    np.save(path, array / np.float32(255) if floats else array)
    return path


def collect(batches: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(batches))


def faded(frames: np.ndarray, factor: float) -> np.ndarray:
    """Three predictions of preset tiny: the last input frame (N, T, C, H, W), darker each time."""
    return np.stack([frames[:, 2] * factor**step for step in range(3)], 1)
