"""ConvGRU layers in place of the ConvLSTM layers of the encoder-forecaster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, setting
from harness.variant import Variant

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class ConvGRUCell(Component):
    """A layer with two gates and one state: (T, B, in, H, W) -> (T, B, out, H, W).

    Source: Ballas et al. 2016, arXiv:1511.06432; as in Shi et al. 2017, arXiv:1706.03458, section 3.1.
    """

    slot: ClassVar[str] = "architecture.cell"
    name: ClassVar[str] = "convgru"
    activation: str = setting(
        "tanh", "of the candidate state: tanh, or LeakyReLU of slope 0.2", choices=("tanh", "leaky_relu")
    )

    def build(self, in_channels: int, out_channels: int, kernel: int, constant_channels: int = 0) -> nn.Module:
        """The layer, called like `harness.model.cell.ConvLSTM`; its state is a tuple of the hidden state alone."""
        from variants.convgru.module import ConvGRU

        return ConvGRU(in_channels, out_channels, kernel, constant_channels=constant_channels, activation=self.activation)


VARIANT = Variant(
    name="convgru",
    summary="ConvGRU layers in place of ConvLSTM layers",
    source="Ballas et al. 2016, arXiv:1511.06432; Shi et al. 2017, arXiv:1706.03458, section 3.1",
    changes={"architecture.cell": ConvGRUCell()},
    citation="X. Shi et al., Deep Learning for Precipitation Nowcasting: A Benchmark and A New Model, NeurIPS 2017",
)
