"""Means over a sliding window, shared by the SSIM of the loss and those of the metrics."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor


def _gaussian(size: int, sigma: float) -> tuple[float, ...]:
    weights = [math.exp(-((i - size // 2) ** 2) / (2 * sigma**2)) for i in range(size)]
    return tuple(weight / sum(weights) for weight in weights)


GAUSSIAN = _gaussian(11, 1.5)
"""One axis of SSIM's separable Gaussian window: 11 taps, sigma 1.5, sum 1."""


@cache
def window_matrix(size: int, taps: tuple[float, ...], padding: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The banded matrix that takes the window's means over an axis of `size` pixels; see `window_means`."""
    # Out of inference mode: a tensor made inside it could never take part in training later.
    with torch.inference_mode(False), torch.no_grad():
        rows = size + 2 * padding - len(taps) + 1
        matrix = torch.zeros(rows, size + 2 * padding, dtype=torch.float64)
        for offset, tap in enumerate(taps):
            matrix.diagonal(offset).fill_(tap)
        return matrix[:, padding : padding + size].to(device, dtype, copy=True)


def window_means(images: Tensor, taps: tuple[float, ...], *, padding: int = 0) -> Tensor:
    """Weighted means over a separable window, as two products with banded matrices.

    Args:
        images: (..., H, W), floating point.
        taps: weights of one axis of the window, centre in the middle; their number k is odd and at most H and W.
        padding: zeros assumed around the image, pixels; 0 keeps valid positions only, k // 2 keeps the size.

    Returns:
        (..., H + 2 padding - k + 1, W + 2 padding - k + 1). The matrices are cached for each size, device and dtype;
        the first call for a size copies from the host, so it cannot be part of a CUDA graph.
    """
    height, width = images.shape[-2:]
    rows = window_matrix(height, taps, padding, images.device, images.dtype)
    columns = window_matrix(width, taps, padding, images.device, images.dtype)
    return rows @ (images @ columns.mT)
