"""Dilated convolutions on the deep features: more context without more layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.errors import RequestError
from harness.variant import Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class DilatedContext:
    """Parallel 3x3 convolutions of several dilations, mixed by a 1x1 convolution that starts at zero, added to the features.

    Args:
        rates: the dilations, each at least 1.
        width: channels of each branch.
    """

    slot: ClassVar[str] = "architecture.bottleneck"
    revision: ClassVar[int] = 1
    rates: tuple[int, ...] = (1, 2, 4)
    width: int = 16

    def __post_init__(self) -> None:
        if not self.rates or min(self.rates) < 1 or self.width < 1:
            raise RequestError(f"dilated rates {self.rates}, width {self.width}: give at least one rate, all at least 1")

    def build(self, channels: int) -> nn.Module:
        """A module (B, T, C, H, W) -> the same shape."""
        from harness_dilated.module import DilatedBranches

        return DilatedBranches(channels, self.rates, self.width)


VARIANT = Variant(
    name="dilated",
    summary="dilated convolutions on the deep features",
    source="Yu, Koltun 2015, arXiv:1511.07122",
    changes={"architecture.bottleneck": DilatedContext()},
    citation="F. Yu, V. Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, ICLR 2016",
)
