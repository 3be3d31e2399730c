"""Optical flow extrapolated: what a network for radar or video must beat. OpenCV is needed (extra `flow`)."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SMALLEST = 12
"""Pixels of height and width that the method needs."""


def available(height: int, width: int) -> bool:
    """Whether OpenCV is installed and frames are large enough."""
    return min(height, width) >= SMALLEST and importlib.util.find_spec("cv2") is not None


def flow(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
    """The last frame, moved on along the motion between the last two: (B, horizon, C, H, W).

    Motion is dense inverse search (Kroeger et al., ECCV 2016; OpenCV's DISOpticalFlow, medium preset) of the mean over channels,
    constant in time, and followed backwards from each pixel (semi-Lagrangian, as in pysteps). Where it leads out of the frame the
    border is repeated. With a single input frame: no motion.
    """
    frames: NDArray[np.float32] = inputs_BTCHW[:, -2:].detach().float().clamp(0, 1).cpu().numpy()
    made = np.stack([_extrapolated(one[0], one[-1], horizon) for one in frames])
    return torch.from_numpy(made).to(inputs_BTCHW.device)


def _extrapolated(before_CHW: NDArray[np.float32], last_CHW: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    cv2: Any = importlib.import_module("cv2")
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(1)
    last, before = ((one.mean(0) * 255).round().astype(np.uint8) for one in (last_CHW, before_CHW))
    back = search.calc(last, before, None)  # where what is at a pixel was one frame ago, minus the pixel
    y, x = np.mgrid[: last.shape[0], : last.shape[1]].astype(np.float32)
    at_x, at_y, found = x, y, []
    for _ in range(horizon):
        # What arrives at a pixel comes from where the motion at its origin leads back to.
        step = cv2.remap(back, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        at_x, at_y = at_x + step[..., 0], at_y + step[..., 1]
        found.append([cv2.remap(one, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for one in last_CHW])
    return np.array(found, np.float32)
