"""Spatial attention on the deep features that the forecaster reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.errors import RequestError
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class SpatialAttention:
    """Pre-norm transformer blocks over the positions of each deep frame, each branch behind a gate that starts at zero.

    Args:
        blocks: number of transformer blocks.
        heads: attention heads; must divide the deepest width.
        expansion: width of the feed-forward layer as a multiple of the deepest width.
    """

    slot: ClassVar[str] = "architecture.bottleneck"
    blocks: int = 2
    heads: int = 4
    expansion: int = 4

    def __post_init__(self) -> None:
        for name, most in (("blocks", 64), ("heads", 1024), ("expansion", 64)):
            if not 1 <= getattr(self, name) <= most:
                raise RequestError(f"attention {name} is {getattr(self, name)}; it must be 1 to {most}")

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
