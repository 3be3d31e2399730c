"""Causal LSTM layers with a gradient highway, predictions fed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape, setting
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class PredRNNPP(Component):
    """Causal LSTM layers at one resolution and a gradient highway after the first; they predict the next frame and read it.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration.
    """

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "predrnn-pp"
    layers: int = setting(4, "causal LSTM layers", at_least=2, at_most=64)
    hidden: int = setting(128, "channels of every layer", at_least=1, at_most=4096)
    kernel: int = setting(5, "kernel size of the layers' convolutions, odd", at_least=1, at_most=31)
    patch: int = setting(4, "side of the pixel blocks folded into channels", at_least=1, at_most=64)
    warm_up_weight: float = setting(
        1.0, "weight of the errors of predictions of frames that were shown, in training", at_least=0, at_most=1e6
    )

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network. Raises RequestError for an even kernel, or frames that `patch` does not divide."""
        from harness.model.cells import check_build
        from variants.predrnn_pp.module import PredRNNPP as Network

        check_build("predrnn-pp", kernel=self.kernel, patch=self.patch, height=shape.height, width=shape.width)
        return Network(shape.channels, **self.settings)

    def openstl_name(self, name: str) -> str | None:
        """The name here of a weight of OpenSTL's network; None for one that is left out."""
        from variants.predrnn_pp.module import translate

        return translate(name)


VARIANT = Variant(
    name="predrnn-pp",
    summary="causal LSTM layers with a gradient highway, predictions fed back (PredRNN++)",
    source="Wang et al. 2018, arXiv:1804.06300; as OpenSTL (Tan et al. 2023, arXiv:2306.11249) runs it",
    changes={"architecture": PredRNNPP()},
    sizes={
        "cpu": {"architecture": PredRNNPP(layers=2, hidden=24, kernel=3, patch=4)},
        "tiny": {"architecture": PredRNNPP(layers=2, hidden=4, kernel=3, patch=2)},
    },
    claim=Claim(parameters="38.6M (35.3M live)", ssim="0.9509"),
    citation=(
        "Y. Wang et al., PredRNN++: Towards A Resolution of the Deep-in-Time Dilemma in Spatiotemporal "
        "Predictive Learning, ICML 2018"
    ),
)
