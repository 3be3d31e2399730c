"""ConvLSTM layers on patches, predictions fed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.component import setting
from harness.model.fed_back import FedBackConfig
from harness.variant import Claim, Variant


@dataclass(frozen=True, kw_only=True)
class ConvLSTMStack(FedBackConfig):
    """ConvLSTM layers on top of each other at one resolution, which predict the next frame and read it: ConvLSTM-S of OpenSTL.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration.
    """

    name: ClassVar[str] = "convlstm-stack"
    network: ClassVar[str] = "variants.convlstm_stack.module:ConvLSTMStack"
    layers: int = setting(4, "ConvLSTM layers", at_least=1, at_most=64)


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
