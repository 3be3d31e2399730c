"""The critical success index of forecasting, as radar benchmarks report it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import setting
from harness.errors import RequestError
from harness.evaluation.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CriticalSuccessIndex(Metric):
    """Hits / (hits + misses + false alarms) of the pixels at or above a threshold, the mean over thresholds.

    Pixels are counted over all frames before the ratio is taken, so a frame with many events weighs more than an empty one.
    Source: Schaefer, Weather and Forecasting 5(4), 1990; the mean over thresholds as in SEVIR (Veillette et al., NeurIPS 2020).
    """

    name: ClassVar[str] = "csi"
    title: ClassVar[str] = "CSI"
    higher_is_better: ClassVar[bool] = True
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = 1.0

    thresholds: tuple[float, ...] = setting(
        (0.1, 0.3, 0.5), "intensities at which a pixel counts as an event", above=0, at_most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.thresholds or len(set(self.thresholds)) != len(self.thresholds):
            raise RequestError("metrics.csi.thresholds needs at least one intensity, each once, such as [0.1, 0.5]")

    @property
    def convention(self) -> str:
        """What is computed."""
        marks = ", ".join(f"{one:g}" for one in self.thresholds)
        return f"hits / (hits + misses + false alarms) over all pixels at or above {marks}, the mean over thresholds"

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """Hits and events of each threshold, (B, T, 2 * thresholds)."""
        import torch

        broken = ~(prediction_BTCHW + target_BTCHW).flatten(2).isfinite().all(-1)
        found = []
        for mark in self.thresholds:
            predicted, seen = prediction_BTCHW >= mark, target_BTCHW >= mark
            for events in (predicted & seen, predicted | seen):
                found.append(events.flatten(2).sum(-1).double())
        return torch.stack(found, dim=-1).masked_fill(broken[..., None], float("nan"))

    def finish(self, sums: Sequence[float]) -> float:
        """The mean ratio; NaN where no pixel reached a threshold, in truth or prediction."""
        ratios = [hits / events if events else float("nan") for hits, events in zip(sums[::2], sums[1::2], strict=True)]
        return sum(ratios) / len(ratios)
