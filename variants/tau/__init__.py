"""TAU: SimVP's frame encoder and decoder around temporal attention units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape, setting
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class TAU(Component):
    """SimVP with temporal attention units as translator: (B, T, C, H, W) -> (B, horizon, C, H, W).

    H and W must be multiples of 2**(stages / 2). The defaults are OpenSTL's for Moving MNIST.

    Source: Tan et al. 2023, arXiv:2206.12126.
    """

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "tau"
    hidden: int = setting(64, "channels of the frame encoder and decoder, even", at_least=4, at_most=4096)
    translator_width: int = setting(512, "channels between the translator's blocks", at_least=4, at_most=65536)
    stages: int = setting(4, "convolutions of the encoder, every second one halves the size; even", at_least=2, at_most=16)
    blocks: int = setting(8, "blocks of the translator", at_least=2, at_most=64)
    kernel: int = setting(3, "kernel size of the frame encoder and decoder, odd", at_least=1, at_most=31)
    expansion: int = setting(8, "width of a block's feed-forward part as a multiple of its own", at_least=1, at_most=64)

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network. Raises RequestError for frames or settings that do not fit."""
        from variants.tau.module import build_tau

        return build_tau(shape.channels, shape.height, shape.width, shape.input_frames, **self.settings)

    def openstl_name(self, name: str) -> str | None:
        """The name here of a weight of OpenSTL's network; None for one that is left out."""
        from variants.tau.module import translate

        return translate(name)


VARIANT = Variant(
    name="tau",
    summary="temporal attention units between SimVP's frame encoder and decoder",
    source="Tan et al. 2023, arXiv:2206.12126; sizes: OpenSTL, arXiv:2306.11249",
    changes={"architecture": TAU(), "loss.temporal-difference": 0.1},
    sizes={
        "cpu": {"architecture": TAU(hidden=16, translator_width=128, blocks=3, expansion=4)},
        "tiny": {"architecture": TAU(hidden=4, translator_width=16, blocks=2, expansion=2)},
    },
    claim=Claim(parameters="44.7M", ssim="0.945"),
    citation="C. Tan et al., Temporal Attention Unit: Towards Efficient Spatiotemporal Predictive Learning, CVPR 2023",
)
