"""PredRNN, trained to keep its two memories apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.component import setting
from harness.model.fed_back import FedBackConfig
from harness.variant import Claim, Variant


@dataclass(frozen=True, kw_only=True)
class PredRNNV2(FedBackConfig):
    """ST-LSTM layers as in PredRNN, with a loss that keeps what they write to their two memories apart.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration.
    """

    name: ClassVar[str] = "predrnn-v2"
    network: ClassVar[str] = "variants.predrnn_v2.module:PredRNNV2"
    layers: int = setting(4, "ST-LSTM layers", at_least=1, at_most=64)
    decoupling: float = setting(0.1, "weight of the decoupling loss", at_least=0, at_most=1e6)


VARIANT = Variant(
    name="predrnn-v2",
    summary="PredRNN with a loss that decouples its memories",
    source="Wang et al. 2021, arXiv:2103.09504; as OpenSTL (Tan et al. 2023, arXiv:2306.11249) runs it",
    changes={"architecture": PredRNNV2()},
    sizes={
        "cpu": {"architecture": PredRNNV2(layers=2, hidden=32, kernel=3, patch=4)},
        "tiny": {"architecture": PredRNNV2(layers=2, hidden=4, kernel=3, patch=2)},
    },
    claim=Claim(parameters="23.9M", ssim="0.9453"),
    citation="Y. Wang et al., PredRNN: A Recurrent Neural Network for Spatiotemporal Predictive Learning, TPAMI 2022",
)
