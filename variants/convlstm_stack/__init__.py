"""ConvLSTM layers on patches, predictions fed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape, setting
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class ConvLSTMStack(Component):
    """ConvLSTM layers on top of each other at one resolution, which predict the next frame and read it: ConvLSTM-S of OpenSTL.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration.
    """

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "convlstm-stack"
    layers: int = setting(4, "ConvLSTM layers", at_least=1, at_most=64)
    hidden: int = setting(128, "channels of every layer", at_least=1, at_most=4096)
    kernel: int = setting(5, "kernel size of the layers' convolutions, odd", at_least=1, at_most=31)
    patch: int = setting(4, "side of the pixel blocks folded into channels", at_least=1, at_most=64)
    warm_up_weight: float = setting(
        1.0, "weight of the errors of predictions of frames that were shown, in training", at_least=0, at_most=1e6
    )

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network. Raises RequestError for an even kernel, or frames that `patch` does not divide."""
        from harness.model.cells import check_build
        from variants.convlstm_stack.module import ConvLSTMStack as Network

        check_build("convlstm-stack", kernel=self.kernel, patch=self.patch, height=shape.height, width=shape.width)
        return Network(shape.channels, **self.settings)

    def openstl_name(self, name: str) -> str | None:
        """The name here of a weight of OpenSTL's network; None for one that is left out."""
        from variants.convlstm_stack.module import translate

        return translate(name)


VARIANT = Variant(
    name="convlstm-stack",
    summary="ConvLSTM layers on patches of pixels, predictions fed back (ConvLSTM-S)",
    source="Shi et al. 2015, arXiv:1506.04214; as OpenSTL (Tan et al. 2023, arXiv:2306.11249) runs it",
    changes={"architecture": ConvLSTMStack()},
    sizes={
        "cpu": {"architecture": ConvLSTMStack(layers=2, hidden=56, kernel=3, patch=4)},
        "tiny": {"architecture": ConvLSTMStack(layers=2, hidden=4, kernel=3, patch=2)},
    },
    claim=Claim(parameters="15.0M (11.7M live)", ssim="0.9288"),
    citation=(
        "X. Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting, NeurIPS 2015"
    ),
)
