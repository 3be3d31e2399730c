"""The torch module; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DilatedBranches(nn.Module):
    """Adds context to every frame by itself: (B, T, C, H, W) -> the same shape. The identity at initialisation."""

    def __init__(self, channels: int, rates: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(channels, width, 3, padding=rate, dilation=rate) for rate in rates)
        self.mix = nn.Conv2d(width * len(rates), channels, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)

    def forward(self, features_BTCHW: Tensor) -> Tensor:
        """Frames are independent, so they are one batch."""
        frames_NCHW = features_BTCHW.flatten(0, 1)
        context = torch.cat([branch(frames_NCHW).tanh() for branch in self.branches], dim=1)
        return features_BTCHW + self.mix(context).view_as(features_BTCHW)
