"""Training losses as pure functions.

SSIM is that of Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE Transactions on Image Processing 13(4), 2004: Gaussian window 11x11, sigma 1.5, C1 = 0.01^2,
C2 = 0.03^2 on intensities in [0, 1].

Letters in names: B sequences, T frames, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.errors import RequestError
from harness.evaluation.conventions import SMALLEST_CANVAS
from harness.evaluation.windows import GAUSSIAN, window_matrix, window_means
from harness.system.precision import exact_float32

C1 = 0.01**2
C2 = 0.03**2


class _OneMinusSSIM(torch.autograd.Function):
    """1 - mean SSIM of (N, H, W) float32 images, with its gradient for the first argument.

    The forward pass computes the gradient: it takes three filters where autograd would run five, keeps one tensor of the
    prediction's size alive instead of every intermediate map, and is safe from autocast around a backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        mean_x, mean_y, mean_xx, mean_yy, mean_xy = window_means(torch.stack((x, y, x * x, y * y, x * y)), GAUSSIAN).unbind()
        product = mean_x * mean_y
        squares = mean_x.square() + mean_y.square()
        a1 = 2 * product + C1
        a2 = 2 * (mean_xy - product) + C2
        b1 = squares + C1
        b2 = mean_xx + mean_yy - squares + C2
        inverse = (b1 * b2).reciprocal()
        ssim = a1 * a2 * inverse
        if ctx.needs_input_grad[0]:
            # The partial derivatives of SSIM for the window means of x, x^2 and xy.
            for_x = 2 * (mean_y * (a2 - a1) + mean_x * ssim * (b1 - b2)) * inverse
            for_xx = -ssim / b2
            for_xy = 2 * a1 * inverse
            rows = window_matrix(x.shape[-2], GAUSSIAN, 0, x.device, x.dtype)
            columns = window_matrix(x.shape[-1], GAUSSIAN, 0, x.device, x.dtype)
            back_x, back_xx, back_xy = (rows.mT @ (torch.stack((for_x, for_xx, for_xy)) @ columns)).unbind()
            ctx.save_for_backward((back_x + 2 * x * back_xx + y * back_xy) / -ssim.numel())
        return 1 - ssim.mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (for_x,) = ctx.saved_tensors
        return gradient * for_x, None


def ssim_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - mean SSIM (Wang et al. 2004): Gaussian 11, sigma 1.5, data range 1, valid positions.

    Args:
        prediction: (..., H, W), any floating type; not clamped, so that values outside [0, 1] keep their gradient.
        target: the same shape, in [0, 1]. It receives no gradient.

    Returns:
        A float32 scalar, 0 for equal frames; computed in float32 whatever autocast says. Differentiable once.

    Raises:
        RequestError: the shapes differ, or a frame is smaller than the 11x11 window.
    """
    if prediction.shape != target.shape:
        raise RequestError(f"SSIM compares equal shapes; got {_shape(prediction)} and {_shape(target)}")
    if prediction.ndim < 2 or min(prediction.shape[-2:]) < SMALLEST_CANVAS:
        raise RequestError(
            f"the SSIM loss needs frames of at least {SMALLEST_CANVAS}x{SMALLEST_CANVAS} pixels; got {_shape(prediction)}. "
            "Use a larger data.canvas, or loss.ssim=0"
        )
    with exact_float32(prediction.device):
        x = prediction.float().reshape(-1, *prediction.shape[-2:])
        y = target.detach().float().reshape(-1, *target.shape[-2:])
        loss: Tensor = _OneMinusSSIM.apply(x, y)  # type: ignore[no-untyped-call]
    return loss


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
