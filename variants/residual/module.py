"""The residual projection; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

from torch import nn


class Projection(nn.Conv2d):
    """A 'same' convolution that starts at zero, without bias: it adds nothing until training finds a use for it."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)

    def reset_parameters(self) -> None:
        """All zeros."""
        nn.init.zeros_(self.weight)
