"""SSIM of Wang et al., IEEE Transactions on Image Processing 13(4), 2004, in three conventions of the literature.

On the same frames the conventions differ by more than the effects that an ablation looks for.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.errors import RequestError
from harness.evaluation.metrics.metric import FrameMean

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_CANVAS = 11
"""Height and width below which SSIM's 11x11 window does not fit, pixels."""

_UNIFORM = (1 / 7,) * 7


@dataclass(frozen=True, kw_only=True)
class _SSIM(FrameMean):
    taps: ClassVar[int] = 11
    """Side of the window, pixels."""
    higher_is_better: ClassVar[bool] = True
    lowest: ClassVar[float] = -1.0
    highest: ClassVar[float | None] = 1.0

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """As any mean's. Raises RequestError for frames smaller than the window."""
        height, width = prediction_BTCHW.shape[-2:]
        if min(height, width) < SMALLEST_CANVAS:
            raise RequestError(
                f"frames are {height}x{width} pixels; SSIM's window needs at least {SMALLEST_CANVAS}x{SMALLEST_CANVAS}. "
                f"Use frames (data.canvas) of {SMALLEST_CANVAS} pixels or more"
            )
        return super().counts(prediction_BTCHW, target_BTCHW)

    @abstractmethod
    def mapped(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """SSIM at every position of the window, (N, C, H, W)."""

    def counts_where(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor, known_BTCHW: Tensor) -> Tensor:
        """The mean over positions whose whole window is known; a frame without any adds nothing."""
        import torch
        from torch.nn import functional as F

        known, zero = known_BTCHW.flatten(0, 1), prediction_BTCHW.new_zeros(())
        pair = (torch.where(known, one.flatten(0, 1), zero) for one in (prediction_BTCHW, target_BTCHW))
        ssim = self.mapped(*pair).double()
        taps = self.taps
        padding = (ssim.shape[-2] - known.shape[-2] + taps - 1) // 2
        touched = F.max_pool2d(F.pad((~known).double(), 4 * (padding,)), taps, 1) > 0
        total = torch.where(touched, ssim.new_zeros(()), ssim).flatten(1).sum(1)
        count = (~touched).flatten(1).sum(1)
        values = torch.where(count > 0, total / count.clamp_min(1), ssim.new_zeros(()))
        return torch.stack((values, (count > 0).double()), dim=-1).view(*known_BTCHW.shape[:2], 2)


@dataclass(frozen=True, kw_only=True)
class SSIM(_SSIM):
    """The convention of pytorch-msssim, which also trains (see `harness.training.losses.ssim_loss`)."""

    name: ClassVar[str] = "ssim"
    title: ClassVar[str] = "SSIM"
    convention = (
        "Gaussian window 11x11, sigma 1.5, data range 1, valid positions, mean over map and channels (pytorch-msssim)"
    )

    def mapped(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """SSIM at every position of the window."""
        from harness.evaluation.windows import GAUSSIAN

        return _ssim_map(prediction_NCHW, target_NCHW, GAUSSIAN)

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """SSIM of each frame, (N,)."""
        import pytorch_msssim

        found: Tensor = pytorch_msssim.ssim(
            prediction_NCHW, target_NCHW, data_range=1.0, size_average=False, win_size=11, win_sigma=1.5
        )
        return found


@dataclass(frozen=True, kw_only=True)
class SSIMArticle(_SSIM):
    """The convention of the article's code."""

    name: ClassVar[str] = "ssim_article"
    title: ClassVar[str] = "SSIM (article)"
    convention = "Gaussian window 11x11, sigma 1.5, data range 1, zero 'same' padding, mean over the full map and channels"

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """SSIM of each frame, (N,)."""
        return _mean(self.mapped(prediction_NCHW, target_NCHW))

    def mapped(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """SSIM at every pixel."""
        from harness.evaluation.windows import GAUSSIAN

        return _ssim_map(prediction_NCHW, target_NCHW, GAUSSIAN, padding=len(GAUSSIAN) // 2)


@dataclass(frozen=True, kw_only=True)
class SSIMOpenSTL(_SSIM):
    """The convention of OpenSTL."""

    name: ClassVar[str] = "ssim_openstl"
    taps: ClassVar[int] = 7
    title: ClassVar[str] = "SSIM (OpenSTL)"
    convention = "uniform window 7x7, data range 2, sample covariance, valid positions (scikit-image's default up to 0.19)"

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """SSIM of each frame, (N,)."""
        return _mean(self.mapped(prediction_NCHW, target_NCHW))

    def mapped(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """SSIM at every position of the window."""
        return _ssim_map(prediction_NCHW, target_NCHW, _UNIFORM, data_range=2.0, covariance_scale=49 / 48)


def _mean(ssim_NCHW: Tensor) -> Tensor:
    import torch

    return ssim_NCHW.flatten(1).mean(1, dtype=torch.float64)


def _ssim_map(
    x_NCHW: Tensor,
    y_NCHW: Tensor,
    taps: tuple[float, ...],
    *,
    padding: int = 0,
    data_range: float = 1.0,
    covariance_scale: float = 1.0,
) -> Tensor:
    """SSIM at every position of the window, (N, C, H, W). `covariance_scale` n/(n-1) gives the sample covariance."""
    import torch

    from harness.evaluation.windows import window_means

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = window_means(
        torch.stack((x_NCHW, y_NCHW, x_NCHW * x_NCHW, y_NCHW * y_NCHW, x_NCHW * y_NCHW)), taps, padding=padding
    ).unbind()
    product = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    covariance = covariance_scale * (mean_xy - product)
    variances = covariance_scale * (mean_xx + mean_yy - squares)
    ssim: Tensor = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return ssim
