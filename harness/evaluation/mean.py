"""Measures predicted frames and averages what was measured.

Letters in names: B sequences, T frames, C channels, H height, W width, K counts of a metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from harness.errors import HarnessError, RequestError, unknown
from harness.evaluation.metrics import BUILT_IN, Metric
from harness.system.precision import exact_float32


@torch.no_grad()
def frame_counts(
    prediction_BTCHW: Tensor, target_BTCHW: Tensor, metrics: Iterable[Metric] = BUILT_IN, *, missing: bool = False
) -> dict[str, Tensor]:
    """What every frame adds to the sums of each metric.

    Predictions are clamped to [0, 1]; the arithmetic is float32 with autocast and TF32 off, whatever surrounds the call.
    A frame with a value that is not finite (NaN or infinite) gets NaN from every metric; other frames are not touched.

    Args:
        prediction_BTCHW: (B, T, C, H, W), any floating type.
        target_BTCHW: the same shape, any floating type, in [0, 1].
        metrics: what to measure.
        missing: whether NaN in the target is a missing value, so that only known pixels are measured (see `Metric.counts_where`).

    Returns:
        For each metric's name a float64 tensor (B, T, K) on the prediction's device.

    Raises:
        RequestError: the shapes differ or are not (B, T, C, H, W), a tensor is not floating point, or a metric cannot
            measure such frames.
    """
    _check(prediction_BTCHW, target_BTCHW)
    with exact_float32(prediction_BTCHW.device):
        prediction = _only_finite(prediction_BTCHW.float()).clamp(0, 1)
        target = _only_finite(target_BTCHW.float())
        if missing:
            known = ~target_BTCHW.isnan()
            if not known.all():
                return {metric.name: metric.counts_where(prediction, target, known) for metric in metrics}
        return {metric.name: metric.counts(prediction, target) for metric in metrics}


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


class MetricMean:
    """Collects the counts of frames over batches and adds them up, in float64: over all frames, by frame, by sequence.

    Every sequence counts equally, so the result does not depend on how sequences were cut into batches. Nothing is copied
    from the device before a result is read. A sequence costs 8 bytes a count and frame: 96 a frame for the built-in metrics.
    """

    def __init__(self, metrics: Iterable[Metric] = BUILT_IN) -> None:
        self.metrics = {metric.name: metric for metric in metrics}
        self._batches: list[Mapping[str, Tensor]] = []
        self._frames: int | None = None

    def update(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> None:
        """Measures and adds a batch: two tensors (B, T, C, H, W), T the same in every batch.

        Raises:
            RequestError: as `frame_counts`, or T is not that of the first batch.
        """
        self.add(frame_counts(prediction_BTCHW, target_BTCHW, self.metrics.values()))

    def add(self, counts_BTK: Mapping[str, Tensor]) -> None:
        """Adds a batch that `frame_counts` measured. Raises RequestError when T is not that of the first batch."""
        for counts in counts_BTK.values():
            if self._frames not in (None, frames := counts.shape[1]):
                raise RequestError(f"a batch has {frames} frames a sequence; those before it had {self._frames}")
            self._frames = frames
        self._batches.append(counts_BTK)

    def _all(self, name: str) -> list[Tensor]:
        """The K counts of one metric, each (sequences, T), on the host."""
        if name not in self.metrics:
            raise unknown("metric", name, self.metrics)
        if not self._batches:
            raise HarnessError("there is nothing to average: no batch of predictions was measured")
        counts = torch.cat([batch[name] for batch in self._batches]).cpu()
        return [count.contiguous() for count in counts.unbind(-1)]

    def _by(self, name: str, axis: int) -> list[float]:
        """A metric of the frames that are added up over one axis."""
        sums = zip(*(count.sum(axis).tolist() for count in self._all(name)), strict=True)
        return [self.metrics[name].finish(one) for one in sums]

    def overall(self) -> dict[str, float]:
        """Each metric of all frames of all sequences. Raises HarnessError before the first update."""
        return {
            name: metric.finish([count.sum().item() for count in self._all(name)]) for name, metric in self.metrics.items()
        }

    def per_frame(self) -> dict[str, list[float]]:
        """For each metric T values over all sequences, one for each predicted frame. Raises as `overall`."""
        return {name: self._by(name, 0) for name in self.metrics}

    def per_sequence(self, name: str) -> list[float]:
        """One metric of each sequence, in the order of the updates.

        Raises:
            RequestError: no metric has that name.
            HarnessError: nothing was measured yet.
        """
        return self._by(name, 1)
