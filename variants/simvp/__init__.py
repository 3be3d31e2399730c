"""SimVP: convolutions alone, all frames at once; with either of its two translators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape, setting
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class SimVP(Component):
    """Frames to small maps, a translator over all of them at once, maps to frames: (B, T, C, H, W) -> (B, horizon, C, H, W).

    H and W must be multiples of 2**(stages / 2). The defaults are OpenSTL's for Moving MNIST.

    Source: Gao et al. 2022, arXiv:2206.05099; with `gsta` Tan et al. 2022, arXiv:2211.12509.
    """

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "simvp"
    translator: str = setting("gsta", "what maps input frames to frames to come", choices=("incepu", "gsta"))
    hidden: int = setting(64, "channels of the frame encoder and decoder, even", at_least=4, at_most=4096)
    translator_width: int = setting(512, "channels between the translator's layers", at_least=4, at_most=65536)
    stages: int = setting(4, "convolutions of the encoder, every second one halves the size; even", at_least=2, at_most=16)
    blocks: int = setting(8, "blocks of the translator (incepu: layers down, and as many up)", at_least=2, at_most=64)
    kernel: int = setting(3, "kernel size of the frame encoder and decoder, odd", at_least=1, at_most=31)
    expansion: int = setting(
        8, "gsta: width of a block's feed-forward part as a multiple of its own", at_least=1, at_most=64
    )
    kernels: tuple[int, ...] = setting(
        (3, 5, 7, 11), "incepu: kernel sizes of a layer's branches, odd", at_least=1, at_most=31
    )
    groups: int = setting(8, "incepu: groups of its convolutions and normalisations", at_least=1, at_most=1024)

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network. Raises RequestError for frames or settings that do not fit."""
        from variants.simvp.module import build_simvp

        return build_simvp(shape.channels, shape.height, shape.width, shape.input_frames, **self.settings)

    def openstl_name(self, name: str) -> str | None:
        """The name here of a weight of OpenSTL's network; None for one that is left out."""
        from variants.simvp.module import translate

        return translate(name)


VARIANT = Variant(
    name="simvp",
    summary="SimVP with gated spatiotemporal attention: convolutions alone, all frames at once",
    source="Gao et al. 2022, arXiv:2206.05099; Tan et al. 2022, arXiv:2211.12509; sizes: OpenSTL, arXiv:2306.11249",
    changes={"architecture": SimVP()},
    sizes={
        "cpu": {"architecture": SimVP(hidden=16, translator_width=128, blocks=3, expansion=4)},
        "tiny": {"architecture": SimVP(hidden=4, translator_width=16, blocks=2, expansion=2)},
    },
    claim=Claim(parameters="46.8M", ssim="0.940"),
    citation="C. Tan et al., SimVP: Towards Simple yet Powerful Spatiotemporal Predictive Learning, 2022",
)

VARIANT_INCEPU = Variant(
    name="simvp-incepu",
    summary="SimVP as first published, with a U-net of inception layers",
    source="Gao et al. 2022, arXiv:2206.05099; sizes: OpenSTL, arXiv:2306.11249",
    changes={"architecture": SimVP(translator="incepu")},
    sizes={
        "cpu": {"architecture": SimVP(translator="incepu", hidden=16, translator_width=128, blocks=2)},
        "tiny": {
            "architecture": SimVP(translator="incepu", hidden=4, translator_width=16, blocks=2, kernels=(3, 5), groups=4)
        },
    },
    claim=Claim(parameters="58.0M", ssim="0.927"),
    citation="Z. Gao et al., SimVP: Simpler yet Better Video Prediction, CVPR 2022",
)
