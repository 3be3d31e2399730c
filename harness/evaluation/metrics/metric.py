"""What a metric is. This module does not import torch, so that tables and `harness list` can name metrics at once."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.component import Component
from harness.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.values import Values


WITHOUT_SCALING = "is in the data's unit, and data without a scaling have none; give one, such as --set data.scaling=min-max"


@dataclass(frozen=True, kw_only=True)
class Metric(Component):
    """How predictions are judged: counts of every frame, which add up, and what their sums give.

    A mean over frames counts a value and 1 (see `FrameMean`). A ratio of sums, such as a critical success index, counts its
    numerator and its denominator. Letters in names: B sequences, T frames, C channels, H height, W width, K counts.

    A metric decides no weights and no prediction, so adding one, or raising its `revision`, changes no key: a stored run that
    lacks it is tested again with its checkpoint.
    """

    slot: ClassVar[str] = "metrics"
    name: ClassVar[str]
    """The key in results."""
    title: ClassVar[str]
    """The heading of a column or axis."""
    higher_is_better: ClassVar[bool]
    lowest: ClassVar[float]
    """The smallest possible value."""
    highest: ClassVar[float | None]
    """The largest possible value; None: bounded by the frame's size alone."""
    unit: ClassVar[str] = ""
    """The unit; empty for a pure number."""

    @property
    @abstractmethod
    def convention(self) -> str:
        """Exactly what is computed, in one line."""

    @property
    def needs_scaling(self) -> bool:
        """Whether it speaks of values in the data's unit, which only data with a scaling have."""
        return False

    def on(self, values: Values | None) -> Metric:
        """The metric as it measures data of such values: itself, unless it speaks of their unit.

        Raises RequestError where it needs a scaling, and there is none.
        """
        if self.needs_scaling and (values is None or values.scaling is None):
            raise RequestError(f"{self.name} {WITHOUT_SCALING}")
        return self

    @property
    def direction(self) -> str:
        """'higher' or 'lower': which way is better."""
        return "higher" if self.higher_is_better else "lower"

    def better(self, value: float, than: float) -> bool:
        """Whether a value is better than another."""
        return value > than if self.higher_is_better else value < than

    @abstractmethod
    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """What a frame adds to the sums: float64 (B, T, K).

        Called in exact float32 without autograd. Both arguments are float32 in [0, 1]; a frame with a value that is not
        finite is NaN there, and must come out as NaN. Raises RequestError for frames that it cannot measure.
        """

    def counts_where(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor, known_BTCHW: Tensor) -> Tensor:
        """As `counts`, of the pixels where `known` is true; a frame without any adds 0 everywhere.

        Unless a metric says otherwise, other pixels are 0 in both frames: exact for sums of errors and for events.
        """
        import torch

        zero = prediction_BTCHW.new_zeros(())
        found = self.counts(torch.where(known_BTCHW, prediction_BTCHW, zero), torch.where(known_BTCHW, target_BTCHW, zero))
        return torch.where(known_BTCHW.flatten(2).any(-1)[..., None], found, torch.zeros_like(found))

    @abstractmethod
    def finish(self, sums: Sequence[float]) -> float:
        """The metric of frames whose K counts add up to `sums`; NaN where it is not defined."""


def bound(metric: Metric, **known: Any) -> Metric:
    """A copy of a metric that knows something of the data, which is none of its settings."""
    found = copy.copy(metric)
    for name, value in known.items():
        object.__setattr__(found, name, value)
    return found


@dataclass(frozen=True, kw_only=True)
class FrameMean(Metric):
    """A metric whose mean over frames is reported. A subclass gives `values`."""

    @abstractmethod
    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        """The metric of each of N = B * T frames, (N,)."""

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """Each frame's value, and 1."""
        import torch

        # Time goes into the batch: given 5-D input, pytorch-msssim would filter over time as well.
        values = self.values(prediction_BTCHW.flatten(0, 1), target_BTCHW.flatten(0, 1)).double()
        return torch.stack((values, torch.ones_like(values)), dim=-1).view(*prediction_BTCHW.shape[:2], 2)

    def finish(self, sums: Sequence[float]) -> float:
        """The mean; NaN of no frames."""
        total, frames = sums
        return total / frames if frames else float("nan")
