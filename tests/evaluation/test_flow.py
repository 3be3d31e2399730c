"""Optical flow of known motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift

from harness.evaluation import flow as optical


def moving(frames: int, dy: float, dx: float) -> np.ndarray:
    """A smooth texture that moves by (dy, dx) pixels a frame, (T, 32, 32) in [0, 1]."""
    pattern = gaussian_filter(np.random.default_rng(0).random((96, 96)), 2)
    pattern = (pattern - pattern.min()) / np.ptp(pattern)
    return np.stack([shift(pattern, (dy * t, dx * t), order=3)[32:64, 32:64] for t in range(frames)]).clip(0, 1)


@pytest.mark.parametrize(("dy", "dx"), [(0.0, 2.0), (-1.0, 1.5)])
def test_flow_moves_the_last_frame_on(dy: float, dx: float) -> None:
    pytest.importorskip("cv2")
    frames = torch.from_numpy(moving(6, dy, dx)).float()[None, :, None]
    predicted = optical.flow(frames[:, :3], 3)
    assert predicted.shape == (1, 3, 1, 32, 32)
    inside = (..., slice(8, -8), slice(8, -8))  # what has come in from outside cannot be known
    error = (predicted - frames[:, 3:])[inside].abs().mean((0, 2, 3, 4))
    still = (frames[:, 2:3] - frames[:, 3:])[inside].abs().mean((0, 2, 3, 4))
    assert (error < 0.25 * still).all(), (error, still)
    assert torch.equal(optical.flow(frames[:, :1], 2), frames[:, :1].expand(1, 2, 1, 32, 32)), "one frame has no motion"


def test_flow_applies_where_it_can() -> None:
    pytest.importorskip("cv2")
    assert optical.available(12, 12)
    assert not optical.available(11, 40)
