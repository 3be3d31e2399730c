"""Causal LSTM layers with a gradient highway, predictions fed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.component import setting
from harness.model.fed_back import FedBackConfig
from harness.variant import Claim, Variant


@dataclass(frozen=True, kw_only=True)
class PredRNNPP(FedBackConfig):
    """Causal LSTM layers at one resolution and a gradient highway after the first; they predict the next frame and read it.

    (B, T, C, H, W) -> (B, horizon, C, H, W). The defaults are OpenSTL's Moving MNIST configuration.
    """

    name: ClassVar[str] = "predrnn-pp"
    network: ClassVar[str] = "variants.predrnn_pp.module:PredRNNPP"
    layers: int = setting(4, "causal LSTM layers", at_least=2, at_most=64)


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
