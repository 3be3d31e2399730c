"""ST-LSTM layers with a memory that all of them share, predictions fed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.component import setting
from harness.model.fed_back import FedBackConfig
from harness.variant import Claim, Variant


@dataclass(frozen=True, kw_only=True)
class PredRNN(FedBackConfig):
    """ST-LSTM layers at one resolution, which share a memory; they predict the next frame and read it.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration.
    """

    name: ClassVar[str] = "predrnn"
    network: ClassVar[str] = "variants.predrnn.module:PredRNN"
    layers: int = setting(4, "ST-LSTM layers", at_least=1, at_most=64)


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
