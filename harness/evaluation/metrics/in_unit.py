"""Errors in the unit of the user's data, for data with a scaling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.data.values import Values
from harness.evaluation.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class _InUnit(Metric):
    """A mean over known pixels and channels, of predictions and truth in the values of the file."""

    higher_is_better: ClassVar[bool] = False
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = None

    def __init__(self, values: Values) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "unit", values.unit)  # an instance's own: it belongs to the data

    @property
    def convention(self) -> str:
        """What is computed."""
        unit = getattr(self, "unit", "") or "the data's unit"
        return f"{self.title.lower()} over all known pixels and channels, in {unit}, of predictions clamped to the scaling's limits"

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """The sum of a frame's errors, and its pixels."""
        import torch

        return self.counts_where(prediction_BTCHW, target_BTCHW, torch.ones_like(target_BTCHW, dtype=torch.bool))

    def counts_where(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor, known_BTCHW: Tensor) -> Tensor:
        """The same of known pixels."""
        import torch

        scaling = self.values.scaling  # type: ignore[attr-defined]  # set as the unit is, not declared: it is no setting
        prediction, target = (scaling.inverse(one) for one in (prediction_BTCHW, target_BTCHW))
        error = torch.where(known_BTCHW, prediction - target, prediction.new_zeros(())).flatten(2).double()
        return torch.stack((self.of(error).sum(-1), known_BTCHW.flatten(2).sum(-1).double()), dim=-1)

    @abstractmethod
    def of(self, error: Tensor) -> Tensor:
        """What is added up of each pixel's error."""


@dataclass(frozen=True, kw_only=True, init=False)
class MeanError(_InUnit):
    """Mean absolute error in the data's unit."""

    name: ClassVar[str] = "mae_unit"
    title: ClassVar[str] = "Mean absolute error"

    def of(self, error: Tensor) -> Tensor:
        """Its size."""
        return error.abs()

    def finish(self, sums: Sequence[float]) -> float:
        """The mean; NaN of no pixels."""
        total, pixels = sums
        return total / pixels if pixels else float("nan")


@dataclass(frozen=True, kw_only=True, init=False)
class RootMeanSquare(_InUnit):
    """Root mean squared error in the data's unit."""

    name: ClassVar[str] = "rmse_unit"
    title: ClassVar[str] = "Root mean squared error"

    def of(self, error: Tensor) -> Tensor:
        """Its square."""
        return error.square()

    def finish(self, sums: Sequence[float]) -> float:
        """The root of the mean; NaN of no pixels."""
        total, pixels = sums
        return float((total / pixels) ** 0.5) if pixels else float("nan")


def unit_metrics(values: Values | None) -> tuple[Metric, ...]:
    """The errors in the data's unit; none where values are intensities already."""
    return () if values is None or values.scaling is None else (MeanError(values), RootMeanSquare(values))
