"""Metrics of predicted frames; `harness.evaluation.conventions` says what each name means.

SSIM is that of Wang et al., IEEE Transactions on Image Processing 13(4), 2004, in three conventions that appear in the
literature. Letters in names: B sequences, T frames, C channels, H height, W width.
"""

from __future__ import annotations

import pytorch_msssim
import torch
from torch import Tensor

from harness.errors import HarnessError, RequestError, unknown
from harness.evaluation.conventions import METRICS, PSNR_CAP, SMALLEST_CANVAS
from harness.training.losses import GAUSSIAN, exact_float32, window_means

_UNIFORM = (1 / 7,) * 7


@torch.no_grad()
def frame_metrics(prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> dict[str, Tensor]:
    """Every metric of every frame.

    Predictions are clamped to [0, 1]; the arithmetic is float32 with autocast and TF32 off, whatever surrounds the call.
    A frame with a value that is not finite (NaN or infinite) gets NaN from every metric; other frames are not touched.

    Args:
        prediction_BTCHW: (B, T, C, H, W), any floating type.
        target_BTCHW: the same shape, any floating type, in [0, 1].

    Returns:
        For each name of `harness.evaluation.conventions.METRICS` a float64 tensor (B, T) on the prediction's device: ssim,
        ssim_article and ssim_openstl in [-1, 1] and averaged over channels; mse and mae summed over the frame's pixels
        and channels; psnr in dB, at most `PSNR_CAP`.

    Raises:
        RequestError: the shapes differ or are not (B, T, C, H, W), a tensor is not floating point, or a frame is smaller
            than the 11x11 window of SSIM.
    """
    _check(prediction_BTCHW, target_BTCHW)
    batch, frames = prediction_BTCHW.shape[:2]
    with exact_float32(prediction_BTCHW.device):
        # Time goes into the batch: given 5-D input, pytorch-msssim would filter over time as well.
        x = _only_finite(prediction_BTCHW.float()).clamp(0, 1).flatten(0, 1)
        y = _only_finite(target_BTCHW.float()).flatten(0, 1)
        error = (x - y).flatten(1).double()
        squares = error.square()
        found = {
            "ssim": pytorch_msssim.ssim(x, y, data_range=1.0, size_average=False, win_size=11, win_sigma=1.5),
            "ssim_article": _ssim(x, y, GAUSSIAN, padding=len(GAUSSIAN) // 2),
            "ssim_openstl": _ssim(x, y, _UNIFORM, data_range=2.0, covariance_scale=49 / 48),
            "mse": squares.sum(1),
            "mae": error.abs().sum(1),
            "psnr": -10 * squares.mean(1).clamp_min(10 ** (-PSNR_CAP / 10)).log10(),
        }
        return {name: found[name].double().reshape(batch, frames) for name in METRICS}


def _ssim(
    x_NCHW: Tensor,
    y_NCHW: Tensor,
    taps: tuple[float, ...],
    *,
    padding: int = 0,
    data_range: float = 1.0,
    covariance_scale: float = 1.0,
) -> Tensor:
    """Mean SSIM over map and channels of each image, (N,). `covariance_scale` n/(n-1) gives the sample covariance."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = window_means(
        torch.stack((x_NCHW, y_NCHW, x_NCHW * x_NCHW, y_NCHW * y_NCHW, x_NCHW * y_NCHW)), taps, padding=padding
    ).unbind()
    product = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    covariance = covariance_scale * (mean_xy - product)
    variances = covariance_scale * (mean_xx + mean_yy - squares)
    ssim = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return ssim.flatten(1).mean(1, dtype=torch.float64)


def _only_finite(frames: Tensor) -> Tensor:
    # Clamping would turn an infinite prediction into a plausible white or black pixel.
    return frames.masked_fill(~frames.isfinite(), float("nan"))


def _check(prediction: Tensor, target: Tensor) -> None:
    if prediction.ndim != 5 or prediction.shape != target.shape:
        raise RequestError(
            "metrics compare two tensors of one shape (sequences, frames, channels, height, width); "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    for what, tensor in (("prediction", prediction), ("target", target)):
        if not tensor.is_floating_point():
            raise RequestError(f"the {what} is {tensor.dtype}; metrics take floating point intensities in [0, 1]")
    height, width = prediction.shape[-2:]
    if min(height, width) < SMALLEST_CANVAS:
        raise RequestError(
            f"frames are {height}x{width} pixels; SSIM's window needs at least {SMALLEST_CANVAS}x{SMALLEST_CANVAS}. "
            f"Use frames (data.canvas) of {SMALLEST_CANVAS} pixels or more"
        )


class MetricMean:
    """Collects `frame_metrics` over batches and averages them over frames and sequences, in float64.

    Every sequence counts equally, so the result does not depend on how sequences were cut into batches. Nothing is copied
    from the device before a result is read. A sequence costs 48 bytes a frame.
    """

    def __init__(self) -> None:
        self._batches: list[dict[str, Tensor]] = []

    def update(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> None:
        """Adds a batch: two tensors (B, T, C, H, W) as `frame_metrics` takes them, T the same in every batch.

        Raises:
            RequestError: as `frame_metrics`, or T is not that of the first batch.
        """
        self.add(frame_metrics(prediction_BTCHW, target_BTCHW))

    def add(self, metrics_BT: dict[str, Tensor]) -> None:
        """Adds a batch that `frame_metrics` measured. Raises RequestError when T is not that of the first batch."""
        frames = metrics_BT["ssim"].shape[1]
        if self._batches and (expected := self._batches[0]["ssim"].shape[1]) != frames:
            raise RequestError(f"a batch has {frames} frames a sequence; those before it had {expected}")
        self._batches.append(metrics_BT)

    def _all(self, name: str) -> Tensor:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
        if not self._batches:
            raise HarnessError("there is nothing to average: no batch of predictions was measured")
        return torch.cat([batch[name] for batch in self._batches]).cpu()

    def overall(self) -> dict[str, float]:
        """The mean of each metric over all frames of all sequences. Raises HarnessError before the first update."""
        return {name: self._all(name).mean().item() for name in METRICS}

    def per_frame(self) -> dict[str, list[float]]:
        """For each metric T means over sequences, one for each predicted frame. Raises as `overall`."""
        return {name: self._all(name).mean(0).tolist() for name in METRICS}

    def per_sequence(self, name: str) -> list[float]:
        """The mean over frames of one metric for each sequence, in the order of the updates.

        Raises:
            RequestError: no metric has that name.
            HarnessError: nothing was measured yet.
        """
        values: list[float] = self._all(name).mean(1).tolist()
        return values


def blank(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
    """The baseline that predicts nothing: zeros (B, horizon, C, H, W). Raises RequestError for a horizon below 1."""
    return torch.zeros_like(repeat_last(inputs_BTCHW, horizon))


def repeat_last(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
    """The baseline that expects no motion: the last input frame, (B, horizon, C, H, W).

    Raises RequestError for a horizon below 1.
    """
    if horizon < 1:
        raise RequestError(f"the horizon is {horizon}; predict at least 1 frame")
    return inputs_BTCHW[:, -1:].repeat(1, horizon, 1, 1, 1)
