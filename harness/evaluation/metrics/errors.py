"""Errors of intensities, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.evaluation.metrics.metric import FrameMean

if TYPE_CHECKING:
    from torch import Tensor

PSNR_CAP = 100.0
"""PSNR of a perfect frame, dB: a mean squared error of 1e-10 or less counts as 1e-10, so that means stay finite."""


def _errors(prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
    """(N, pixels), float64."""
    return (prediction_NCHW - target_NCHW).flatten(1).double()


@dataclass(frozen=True, kw_only=True)
class _Error(FrameMean):
    higher_is_better: ClassVar[bool] = False
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = None


@dataclass(frozen=True, kw_only=True)
class MSE(_Error):
    """Squared error, summed over a frame."""

    name: ClassVar[str] = "mse"
    title: ClassVar[str] = "MSE"
    unit: ClassVar[str] = "squared intensity, summed over a frame's pixels"
    convention = "sum of squared errors over a frame's pixels and channels; as OpenSTL, but predictions are clamped"

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """The sum of each frame, (N,)."""
        return _errors(prediction_NCHW, target_NCHW).square().sum(1)


@dataclass(frozen=True, kw_only=True)
class MAE(_Error):
    """Absolute error, summed over a frame."""

    name: ClassVar[str] = "mae"
    title: ClassVar[str] = "MAE"
    unit: ClassVar[str] = "intensity, summed over a frame's pixels"
    convention = "sum of absolute errors over a frame's pixels and channels; as OpenSTL, but predictions are clamped"

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """The sum of each frame, (N,)."""
        return _errors(prediction_NCHW, target_NCHW).abs().sum(1)


@dataclass(frozen=True, kw_only=True)
class PSNR(_Error):
    """Peak signal-to-noise ratio."""

    name: ClassVar[str] = "psnr"
    title: ClassVar[str] = "PSNR"
    higher_is_better: ClassVar[bool] = True
    highest: ClassVar[float | None] = PSNR_CAP
    unit: ClassVar[str] = "dB"
    convention = f"10 log10(1 / mean squared error) of each frame, at most {PSNR_CAP:g} dB, then the mean over frames"

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """PSNR of each frame, dB, (N,)."""
        return self._of(_errors(prediction_NCHW, target_NCHW).square().mean(1))

    def counts_where(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor, known_BTCHW: Tensor) -> Tensor:
        """The mean squared error is that of the known pixels."""
        import torch

        error = torch.where(known_BTCHW, prediction_BTCHW - target_BTCHW, prediction_BTCHW.new_zeros(())).flatten(2)
        pixels = known_BTCHW.flatten(2).sum(-1)
        values = self._of(error.double().square().sum(-1) / pixels.clamp_min(1))
        some = (pixels > 0).double()
        return torch.stack((values * some, some), dim=-1)

    def _of(self, mean: Tensor) -> Tensor:
        return -10 * mean.clamp_min(10 ** (-PSNR_CAP / 10)).log10()
