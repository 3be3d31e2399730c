"""Views of the input for test-time augmentation: components whose predictions, transformed back, are averaged.

This module does not import torch, so that `harness list` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class View(Component):
    """Another look at the same frames. A subclass gives `forward` and `inverse`, which undoes it.

    {identity, hflip}, {identity, hflip, vflip, rot180} and {identity, rot90, rot180, rot270} are groups: a prediction averaged
    over one of them commutes with its members. All seven built-in views are not a group (the mirror at the other diagonal is
    missing).
    """

    slot: ClassVar[str] = "inference.views"
    swaps_axes: ClassVar[bool] = False
    """Height becomes width: for square frames only."""

    def forward(self, frames: Tensor) -> Tensor:
        """What the network is shown instead of frames (..., H, W)."""
        raise NotImplementedError(f"the view {type(self).__name__} has no forward(frames)")

    def inverse(self, frames: Tensor) -> Tensor:
        """The network's answer (..., H, W) brought back to how the frames stood."""
        raise NotImplementedError(f"the view {type(self).__name__} has no inverse(frames)")


@dataclass(frozen=True, kw_only=True)
class Identity(View):
    """The frames as they are."""

    name: ClassVar[str] = "identity"

    def forward(self, frames: Tensor) -> Tensor:
        """The frames themselves."""
        return frames

    def inverse(self, frames: Tensor) -> Tensor:
        """The frames themselves."""
        return frames


@dataclass(frozen=True, kw_only=True)
class HorizontalFlip(View):
    """Left and right mirrored."""

    name: ClassVar[str] = "hflip"
    axis: ClassVar[int] = -1

    def forward(self, frames: Tensor) -> Tensor:
        """Mirrored."""
        return frames.flip(self.axis)

    def inverse(self, frames: Tensor) -> Tensor:
        """Mirrored once more."""
        return frames.flip(self.axis)


@dataclass(frozen=True, kw_only=True)
class VerticalFlip(HorizontalFlip):
    """Up and down mirrored."""

    name: ClassVar[str] = "vflip"
    axis: ClassVar[int] = -2


@dataclass(frozen=True, kw_only=True)
class QuarterTurn(View):
    """Turned 90 degrees counter-clockwise."""

    name: ClassVar[str] = "rot90"
    quarters: ClassVar[int] = 1
    swaps_axes: ClassVar[bool] = True

    def forward(self, frames: Tensor) -> Tensor:
        """Turned."""
        return frames.rot90(self.quarters, (-2, -1))

    def inverse(self, frames: Tensor) -> Tensor:
        """Turned back."""
        return frames.rot90(-self.quarters, (-2, -1))


@dataclass(frozen=True, kw_only=True)
class HalfTurn(QuarterTurn):
    """Turned 180 degrees: both flips."""

    name: ClassVar[str] = "rot180"
    quarters: ClassVar[int] = 2
    swaps_axes: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class ThreeQuarterTurn(QuarterTurn):
    """Turned 270 degrees counter-clockwise."""

    name: ClassVar[str] = "rot270"
    quarters: ClassVar[int] = 3


@dataclass(frozen=True, kw_only=True)
class Transpose(View):
    """Mirrored at the main diagonal."""

    name: ClassVar[str] = "transpose"
    swaps_axes: ClassVar[bool] = True

    def forward(self, frames: Tensor) -> Tensor:
        """Rows become columns."""
        return frames.mT

    def inverse(self, frames: Tensor) -> Tensor:
        """Columns become rows."""
        return frames.mT


PLAIN = (Identity(),)
"""The network's own answer."""
