"""Spatial attention on the deep features that the forecaster reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.errors import RequestError
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class SpatialAttention(Component):
    """Pre-norm transformer blocks over the positions of each deep frame, each branch behind a gate that starts at zero."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "attention"
    blocks: int = setting(2, "number of transformer blocks", at_least=1, at_most=64)
    heads: int = setting(4, "attention heads; must divide the deepest width", at_least=1, at_most=1024)
    expansion: int = setting(4, "width of the feed-forward layer as a multiple of the deepest width", at_least=1, at_most=64)

    def build(self, channels: int) -> nn.Module:
        """A module (B, T, C, H, W) -> the same shape. Raises RequestError when the heads do not divide the channels."""
        from variants.attention.module import SpatialTransformer

        if channels % self.heads or channels % 4:
            raise RequestError(
                f"attention with {self.heads} heads on {channels} channels: the deepest of architecture.widths must be "
                f"a multiple of 4 and of the heads"
            )
        return SpatialTransformer(channels, self.blocks, self.heads, self.expansion)


VARIANT = Variant(
    name="attention",
    summary="spatial self-attention on the deep features",
    source="article, section 5; Vaswani et al. 2017, arXiv:1706.03762; gates: Bachlechner et al. 2020, arXiv:2003.04887",
    changes={"architecture.bottleneck": SpatialAttention()},
    claim=Claim(parameters="10.3M", relative_time="1.3x", ssim="+0.03"),
    citation="A. Vaswani et al., Attention Is All You Need, NeurIPS 2017",
)
