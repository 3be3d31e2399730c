"""ST-LSTM layers with a memory that all of them share, predictions fed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape, setting
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class PredRNN(Component):
    """ST-LSTM layers at one resolution, which share a memory; they predict the next frame and read it.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration.
    """

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "predrnn"
    layers: int = setting(4, "ST-LSTM layers", at_least=1, at_most=64)
    hidden: int = setting(128, "channels of every layer", at_least=1, at_most=4096)
    kernel: int = setting(5, "kernel size of the layers' convolutions, odd", at_least=1, at_most=31)
    patch: int = setting(4, "side of the pixel blocks folded into channels", at_least=1, at_most=64)
    warm_up_weight: float = setting(
        1.0, "weight of the errors of predictions of frames that were shown, in training", at_least=0, at_most=1e6
    )

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network. Raises RequestError for an even kernel, or frames that `patch` does not divide."""
        from harness.model.cells import check_build
        from variants.predrnn.module import PredRNN as Network

        check_build("predrnn", kernel=self.kernel, patch=self.patch, height=shape.height, width=shape.width)
        return Network(shape.channels, **self.settings)

    def openstl_name(self, name: str) -> str | None:
        """The name here of a weight of OpenSTL's network; None for one that is left out."""
        from variants.predrnn.module import translate

        return translate(name)


VARIANT = Variant(
    name="predrnn",
    summary="ST-LSTM layers that share a spatiotemporal memory, predictions fed back",
    source="Wang et al. 2017 (NeurIPS), PredRNN; as OpenSTL (Tan et al. 2023, arXiv:2306.11249) runs it",
    changes={"architecture": PredRNN()},
    sizes={
        "cpu": {"architecture": PredRNN(layers=2, hidden=32, kernel=3, patch=4)},
        "tiny": {"architecture": PredRNN(layers=2, hidden=4, kernel=3, patch=2)},
    },
    claim=Claim(parameters="23.8M", ssim="0.9462"),
    citation=(
        "Y. Wang et al., PredRNN: Recurrent Neural Networks for Predictive Learning using Spatiotemporal LSTMs, NeurIPS 2017"
    ),
)
