"""Dilated convolutions on the deep features: more context without more layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.errors import RequestError
from harness.variant import Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class DilatedContext(Component):
    """Parallel 3x3 convolutions of several dilations, mixed by a 1x1 convolution that starts at zero, added to the features."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "dilated"
    revision: ClassVar[int] = 2  # raised whenever the module computes something else
    rates: tuple[int, ...] = setting((1, 2, 4), "the dilations", at_least=1)
    width: int = setting(16, "channels of each branch", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rates:
            raise RequestError("architecture.bottleneck.rates is empty; give at least one dilation")

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
