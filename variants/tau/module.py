"""TAU's translator; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from harness.model.simvp import OPENSTL_PARTS, LargeKernel, ResidualTranslator, SimVP, check_coder, check_size


def build_tau(
    channels: int,
    height: int,
    width: int,
    input_frames: int,
    *,
    hidden: int = 64,
    translator_width: int = 512,
    stages: int = 4,
    blocks: int = 8,
    kernel: int = 3,
    expansion: int = 8,
) -> SimVP:
    """The network for frames of that size; the settings are those of `variants.tau.TAU`.

    Raises RequestError for frames or settings that do not fit.
    """
    check_coder(hidden, stages, kernel)
    check_size(height, width, 2 ** (stages // 2))
    middle = ResidualTranslator(input_frames * hidden, translator_width, blocks, expansion, TemporalAttention)
    return SimVP(middle, channels, input_frames, hidden, stages, kernel)


class TemporalAttention(nn.Module):
    """A temporal attention unit, (B, C, h, w) -> the same shape: a large kernel within, a gate per channel across frames.

    The channels are those of all frames, so the gate, made of the mean over all positions, weighs the frames too.

    Source: Tan et al. 2023, arXiv:2206.12126, section 3.3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.large = LargeKernel(channels)
        self.point = nn.Conv2d(channels, channels, 1)
        squeezed = channels // max(channels // 16, 4)
        self.squeeze = nn.Linear(channels, squeezed, bias=False)
        self.excite = nn.Linear(squeezed, channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """A residual branch around it is part of it."""
        inner = self.activation(self.project_in(x_BCHW))
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(inner.mean(dim=(2, 3))))))
        attended: Tensor = self.project_out(gates[:, :, None, None] * self.point(self.large(inner)) * inner)
        return attended + x_BCHW


_PARTS = (
    *OPENSTL_PARTS,
    (r"hid\.enc\.(\d+)\.block\.attn\.spatial_gating_unit\.conv1\.(\w+)", r"translator.blocks.\1.attention.point.\2"),
    (r"hid\.enc\.(\d+)\.block\.attn\.spatial_gating_unit\.fc\.0\.(\w+)", r"translator.blocks.\1.attention.squeeze.\2"),
    (r"hid\.enc\.(\d+)\.block\.attn\.spatial_gating_unit\.fc\.2\.(\w+)", r"translator.blocks.\1.attention.excite.\2"),
)


def translate(name: str) -> str | None:
    """Our name of the weight that OpenSTL's SimVP with `tau` calls `name`; None for one that we do not have."""
    for pattern, ours in _PARTS:
        if found := re.fullmatch(pattern, name):
            return found.expand(ours)
    return None
