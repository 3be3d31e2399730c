"""Errors in the unit of the user's data, for data with a scaling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.data.scaling import Scaling
from harness.data.values import Values
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.metrics.metric import Metric, bound

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class _InUnit(Metric):
    """A mean over known pixels and channels, of predictions and truth in the values of the file."""

    higher_is_better: ClassVar[bool] = False
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = None
    scaling: ClassVar[Scaling | None] = None

    @property
    def needs_scaling(self) -> bool:
        """Always."""
        return True

    def on(self, values: Values | None) -> Metric:
        """The metric in the unit of these values."""
        super().on(values)
        assert values is not None
        return bound(self, scaling=values.scaling, unit=values.unit)

    @property
    def convention(self) -> str:
        """What is computed."""
        unit = self.unit or "the data's unit"
        return f"{self.title.lower()} over all known pixels and channels, in {unit}, of predictions clamped to the scaling's limits"

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """The sum of a frame's errors, and its pixels."""
        import torch

        return self.counts_where(prediction_BTCHW, target_BTCHW, torch.ones_like(target_BTCHW, dtype=torch.bool))

    def counts_where(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor, known_BTCHW: Tensor) -> Tensor:
        """The same of known pixels."""
        import torch

        assert self.scaling is not None, "see `on`"
        prediction, target = (self.scaling.inverse(one) for one in (prediction_BTCHW, target_BTCHW))
        error = torch.where(known_BTCHW, prediction - target, prediction.new_zeros(())).flatten(2).double()
        return torch.stack((self.of(error).sum(-1), known_BTCHW.flatten(2).sum(-1).double()), dim=-1)

    @abstractmethod
    def of(self, error: Tensor) -> Tensor:
        """What is added up of each pixel's error."""


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
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


IN_UNIT: tuple[Metric, ...] = (MeanError(), RootMeanSquare())
"""In the order of tables."""


def measured_on(values: Values | None, more: Iterable[Metric] = ()) -> tuple[Metric, ...]:
    """What is measured on such data: the built-in metrics, `more`, and with a scaling the errors in the data's unit.

    Raises RequestError for one that needs a scaling, where there is none.
    """
    scaled = values is not None and values.scaling is not None
    return tuple(one.on(values) for one in (*BUILT_IN, *more, *(IN_UNIT if scaled else ())))
