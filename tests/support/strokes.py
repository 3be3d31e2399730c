"""Frames like digits, predictions of them, and metrics of single frames by other implementations."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import gaussian
from torch import Tensor


def strokes(sequences: int = 2, frames: int = 4, channels: int = 1, size: int = 64, seed: int = 0) -> Tensor:
    """(B, T, C, H, W) of two moving rings with soft edges, in [0, 1]: like digits, mostly black."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    out = np.zeros((sequences, frames, channels, size, size))
    for index in np.ndindex(sequences, channels):
        for _ in range(2):
            start, velocity = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(-3, 3, 2)
            radius, thickness = rng.uniform(0.09, 0.15) * size, rng.uniform(1.2, 1.8)
            for frame in range(frames):
                row, column = start + frame * velocity
                ring = np.abs(np.hypot((rows - row) * 0.8, columns - column) - radius) - thickness
                where = (index[0], frame, index[1])
                out[where] = np.maximum(out[where], np.clip(0.5 - ring, 0, 1))
    return torch.from_numpy(out).float()


def blurred(frames: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(gaussian(frames.numpy(), sigma=(0, 0, 0, sigma, sigma))).float()


def noisy(frames: Tensor, scale: float = 0.1, seed: int = 1) -> Tensor:
    return frames + scale * torch.randn(frames.shape, generator=torch.Generator().manual_seed(seed))


def predictions(target: Tensor) -> dict[str, Tensor]:
    return {
        "blurred": blurred(target, 1.3),
        "noisy": noisy(target),
        "shifted": target.roll(2, -1),
        "negative": 1 - target,
    }


def each_frame(metric, prediction: Tensor, target: Tensor) -> NDArray[np.float64]:
    """`metric` of every (C, H, W) pair, with the prediction clamped first."""
    x, y = prediction.clamp(0, 1).double().numpy(), target.double().numpy()
    return np.array([[metric(p, t) for p, t in zip(ps, ts, strict=True)] for ps, ts in zip(x, y, strict=True)])
