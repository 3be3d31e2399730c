"""Predictors that take the network's place: components of `inference.predictor`. Nothing is trained for them.

This module does not import torch, so that `harness list` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape
from harness.errors import RequestError

if TYPE_CHECKING:
    from harness.evaluation.predict import Predictor


@dataclass(frozen=True, kw_only=True)
class Untrained(Component):
    """Predicts in place of a trained network. A subclass gives `build`.

    A network that was trained elsewhere has seeds of its own: test its predictions with `harness score`.
    """

    slot: ClassVar[str] = "inference.predictor"

    def build(self, shape: Shape) -> Predictor:
        """(inputs (B, T, C, H, W), horizon) -> prediction (B, horizon, C, H, W) in [0, 1], on the same device.

        Raises RequestError when frames of this shape cannot be predicted, or a library is missing.
        """
        raise NotImplementedError(f"the predictor {type(self).__name__} has no build(shape)")


@dataclass(frozen=True, kw_only=True)
class Blank(Untrained):
    """Zeros: what a network that learnt nothing predicts on dark frames."""

    name: ClassVar[str] = "blank"

    def build(self, shape: Shape) -> Predictor:
        """See `harness.evaluation.baselines.blank`."""
        from harness.evaluation.baselines import blank

        return blank


@dataclass(frozen=True, kw_only=True)
class RepeatLast(Untrained):
    """The last input frame, again and again: persistence, as forecasters call it."""

    name: ClassVar[str] = "repeat-last"

    def build(self, shape: Shape) -> Predictor:
        """See `harness.evaluation.baselines.repeat_last`."""
        from harness.evaluation.baselines import repeat_last

        return repeat_last


@dataclass(frozen=True, kw_only=True)
class Advection(Untrained):
    """The last frame moved on along the optical flow between the last two (Kroeger et al., ECCV 2016). Needs OpenCV."""

    name: ClassVar[str] = "advection"

    def build(self, shape: Shape) -> Predictor:
        """See `harness.evaluation.flow`."""
        from harness.evaluation.flow import SMALLEST, available, flow

        if not available(shape.height, shape.width):
            raise RequestError(
                f"inference.predictor=advection needs OpenCV and frames of at least {SMALLEST} pixels each way; these are "
                f"{shape.height}x{shape.width}. Install OpenCV with pip install 'ablation-harness[flow]'"
            )
        return flow
