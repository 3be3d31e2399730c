"""Skip connections between the ConvLSTM layers: each layer's input, projected, is added to its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.errors import RequestError
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class ProjectedSkip(Component):
    """A convolution from a layer's input to its output, zero at initialisation: training starts from the base's function."""

    slot: ClassVar[str] = "architecture.skip"
    name: ClassVar[str] = "residual"
    kernel: int = setting(3, "odd kernel size of the projection", at_least=1, at_most=31)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel % 2 == 0:
            raise RequestError(f"architecture.skip.kernel is {self.kernel}; 'same' padding needs an odd kernel")

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        """A module (N, in, H, W) -> (N, out, H, W)."""
        from variants.residual.module import Projection

        return Projection(in_channels, out_channels, self.kernel)


VARIANT = Variant(
    name="residual",
    summary="skip connections between the ConvLSTM layers",
    source="article, section 5; He et al. 2015, arXiv:1512.03385",
    changes={"architecture.skip": ProjectedSkip()},
    claim=Claim(parameters="9.1M", relative_time="1.1x", ssim="+0.02"),
    citation="K. He et al., Deep Residual Learning for Image Recognition, CVPR 2016",
)
