"""PhyDNet: one recurrent branch follows a differential equation, another keeps the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape, setting
from harness.variant import Claim, Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class PhyDNet(Component):
    """PhyCell and a ConvLSTM on the same features, a frame a step: (B, T, C, H, W) -> (B, horizon, C, H, W).

    H and W must be multiples of `patch`. The defaults are OpenSTL's for Moving MNIST.

    Source: Le Guen and Thome 2020, arXiv:2003.01460.
    """

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "phydnet"
    features: int = setting(
        64, "channels that both branches read and make; a multiple of 2 * groups", at_least=4, at_most=4096
    )
    lstm_widths: tuple[int, ...] = setting(
        (128, 128), "channels of the ConvLSTM layers before the last, which has `features`", at_least=1, at_most=65536
    )
    kernel: int = setting(3, "kernel size of the ConvLSTM layers, odd", at_least=1, at_most=31)
    physical_kernel: int = setting(7, "side of PhyCell's filters, odd; its square is their number", at_least=3, at_most=15)
    patch: int = setting(4, "how many times smaller than the frame the features are: 2 or 4", at_least=2, at_most=4)
    groups: int = setting(16, "groups of the normalisation in encoders and decoders", at_least=1, at_most=1024)
    moment_weight: float = setting(
        1.0, "weight of the moment constraint beside the squared errors, summed over frames", at_least=0, at_most=1e6
    )
    warm_up_weight: float = setting(
        1.0, "weight of the squared error of frames predicted while reading", at_least=0, at_most=1e6
    )

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network. Raises RequestError for frames or settings that do not fit."""
        from variants.phydnet.module import build_phydnet

        return build_phydnet(shape.channels, shape.height, shape.width, **self.settings)

    def openstl_name(self, name: str) -> str | None:
        """The name here of a weight of OpenSTL's network; None for one that is left out."""
        from variants.phydnet.module import translate

        return translate(name)


VARIANT = Variant(
    name="phydnet",
    summary="PhyDNet: a partial differential equation and a ConvLSTM, side by side",
    source="Le Guen and Thome 2020, arXiv:2003.01460; sizes: OpenSTL, arXiv:2306.11249",
    changes={"architecture": PhyDNet()},
    sizes={
        "cpu": {"architecture": PhyDNet(features=32, groups=8, lstm_widths=(32,), physical_kernel=5)},
        "tiny": {"architecture": PhyDNet(features=4, groups=1, lstm_widths=(4,), physical_kernel=3)},
    },
    claim=Claim(parameters="3.1M", ssim="0.937"),
    citation="V. Le Guen and N. Thome, Disentangling Physical Dynamics from Unknown Factors for Unsupervised Video "
    "Prediction, CVPR 2020",
)
