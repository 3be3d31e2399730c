"""The critical success index of forecasting, as radar benchmarks report it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import setting
from harness.data.scaling import Scaling
from harness.errors import RequestError
from harness.evaluation.metrics.metric import Metric, bound

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.values import Values


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
    scaling: ClassVar[Scaling | None] = None
    data_unit: ClassVar[str] = "the data's unit"

    thresholds: tuple[float, ...] = setting(
        (0.1, 0.3, 0.5), "values at which a pixel counts as an event: above 0 and at most 1, or with in_unit any"
    )
    in_unit: bool = setting(False, "thresholds are in the data's unit, such as mm/h; data need a scaling", neutral=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.in_unit and (outside := [one for one in self.thresholds if not 0 < one <= 1]):
            raise RequestError(
                f"metrics.csi.thresholds has {outside[0]:g}; give intensities above 0 and at most 1, or thresholds in the data's "
                'unit with in_unit: --set "metrics=csi(in_unit=true, thresholds=[0.5, 2])"'
            )
        if not self.thresholds or len(set(self.thresholds)) != len(self.thresholds):
            raise RequestError("metrics.csi.thresholds needs at least one intensity, each once, such as [0.1, 0.5]")

    @property
    def convention(self) -> str:
        """What is computed."""
        marks = ", ".join(f"{one:g}" for one in self.thresholds) + (f" {self.data_unit}" if self.in_unit else "")
        return f"hits / (hits + misses + false alarms) over all pixels at or above {marks}, the mean over thresholds"

    @property
    def needs_scaling(self) -> bool:
        """With thresholds in the data's unit."""
        return self.in_unit

    def on(self, values: Values | None) -> Metric:
        """With thresholds in the data's unit, the metric that knows its scaling."""
        super().on(values)
        if not self.in_unit or values is None:
            return self
        return bound(self, scaling=values.scaling, data_unit=values.unit or self.data_unit)

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """Hits and events of each threshold, (B, T, 2 * thresholds)."""
        import torch

        return self.counts_where(prediction_BTCHW, target_BTCHW, torch.ones_like(target_BTCHW, dtype=torch.bool))

    def counts_where(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor, known_BTCHW: Tensor) -> Tensor:
        """The same of known pixels."""
        import torch

        zero = prediction_BTCHW.new_zeros(())
        prediction, target = (torch.where(known_BTCHW, one, zero) for one in (prediction_BTCHW, target_BTCHW))
        broken = ~(prediction + target).flatten(2).isfinite().all(-1)
        if self.in_unit:
            assert self.scaling is not None, "see `on`"
            prediction, target = self.scaling.inverse(prediction), self.scaling.inverse(target)
        found = []
        for mark in self.thresholds:
            predicted, seen = (prediction >= mark) & known_BTCHW, (target >= mark) & known_BTCHW
            for events in (predicted & seen, predicted | seen):
                found.append(events.flatten(2).sum(-1).double())
        return torch.stack(found, dim=-1).masked_fill(broken[..., None], float("nan"))

    def finish(self, sums: Sequence[float]) -> float:
        """The mean ratio; NaN where no pixel reached a threshold, in truth or prediction."""
        ratios = [hits / events if events else float("nan") for hits, events in zip(sums[::2], sums[1::2], strict=True)]
        return sum(ratios) / len(ratios)
