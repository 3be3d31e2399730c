"""SimVP's two translators; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import RequestError
from harness.model.simvp import (
    OPENSTL_PARTS,
    LargeKernel,
    ResidualTranslator,
    SimVP,
    check_coder,
    check_size,
    initialise_by_fan_out,
)


def build_simvp(
    channels: int,
    height: int,
    width: int,
    input_frames: int,
    *,
    translator: str = "gsta",
    hidden: int = 64,
    translator_width: int = 512,
    stages: int = 4,
    blocks: int = 8,
    kernel: int = 3,
    expansion: int = 8,
    kernels: tuple[int, ...] = (3, 5, 7, 11),
    groups: int = 8,
) -> SimVP:
    """The network for frames of that size; the settings are those of `variants.simvp.SimVP`.

    Raises RequestError for frames or settings that do not fit.
    """
    check_coder(hidden, stages, kernel)
    check_size(height, width, 2 ** (stages // 2))
    stacked = input_frames * hidden
    if translator == "gsta":
        middle: nn.Module = ResidualTranslator(stacked, translator_width, blocks, expansion, GatedAttention)
    else:
        if any(one % 2 == 0 for one in kernels) or not kernels:
            raise RequestError(f"architecture.kernels is {kernels}; give at least one, all odd")
        # A middle that the groups do not divide is taken whole; what is written has to divide where the middle does.
        if (translator_width // 2) % groups == 0 and (translator_width % groups or stacked % groups):
            raise RequestError(
                f"architecture.groups is {groups}; it must divide architecture.translator_width ({translator_width}) and "
                f"input frames * architecture.hidden ({stacked})"
            )
        middle = InceptionTranslator(stacked, translator_width, blocks, kernels, groups)
    return SimVP(middle, channels, input_frames, hidden, stages, kernel)


class GatedAttention(nn.Module):
    """gSTA's attention, (B, C, h, w) -> the same shape: a large kernel writes values and the gates on them.

    Source: Tan et al. 2022, arXiv:2211.12509, section 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.large = LargeKernel(channels)
        self.values_and_gates = nn.Conv2d(channels, 2 * channels, 1)
        self.project_out = nn.Conv2d(channels, channels, 1)
        self.apply(initialise_by_fan_out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """A residual branch around it is part of it."""
        values, gates = self.values_and_gates(self.large(self.activation(self.project_in(x_BCHW)))).chunk(2, dim=1)
        attended: Tensor = self.project_out(torch.sigmoid(gates) * values)
        return attended + x_BCHW


class InceptionTranslator(nn.Module):
    """IncepU: a U-net of inception layers at one size, (B, T * hidden, h, w) -> the same shape.

    `depth` layers go down, as many come up; each of the latter but the first also reads what its partner wrote.

    Source: Gao et al. 2022, arXiv:2206.05099, section 3.3.
    """

    nhwc_on_cpu = True

    def __init__(self, stacked: int, width: int, depth: int, kernels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        last = depth - 1
        self.falling = nn.ModuleList(
            Inception(width if level else stacked, width // 2, width, kernels, groups) for level in range(depth)
        )
        self.rising = nn.ModuleList(
            Inception(2 * width if level else width, width // 2, stacked if level == last else width, kernels, groups)
            for level in range(depth)
        )

    def forward(self, stacked_BCHW: Tensor) -> Tensor:
        """Down, then up."""
        written: list[Tensor] = []
        for layer in self.falling:
            stacked_BCHW = layer(stacked_BCHW)
            written.append(stacked_BCHW)
        written.pop()
        for level, layer in enumerate(self.rising):
            stacked_BCHW = layer(torch.cat([stacked_BCHW, written.pop()], dim=1) if level else stacked_BCHW)
        return stacked_BCHW


class Inception(nn.Module):
    """The sum of branches of several kernel sizes over a narrow middle: (B, in, h, w) -> (B, out, h, w)."""

    def __init__(self, in_channels: int, middle: int, out_channels: int, kernels: tuple[int, ...], groups: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(in_channels, middle, 1)
        self.branches = nn.ModuleList(
            GroupedBlock(middle, out_channels, kernel, 1 if middle % groups else groups) for kernel in kernels
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """One layer."""
        middle = self.narrow(x_BCHW)
        return torch.stack([branch(middle) for branch in self.branches]).sum(dim=0)


class GroupedBlock(nn.Module):
    """Grouped convolution, group normalisation, LeakyReLU of slope 0.2: (B, in, h, w) -> (B, out, h, w)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, groups=groups)
        self.norm = nn.GroupNorm(groups, out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """One branch."""
        return F.leaky_relu(self.norm(self.convolution(x_BCHW)), 0.2)


_PARTS = (
    *OPENSTL_PARTS,
    (
        r"hid\.enc\.(\d+)\.block\.attn\.spatial_gating_unit\.conv1\.(\w+)",
        r"translator.blocks.\1.attention.values_and_gates.\2",
    ),
    (r"hid\.enc\.(\d+)\.conv1\.(\w+)", r"translator.falling.\1.narrow.\2"),
    (r"hid\.dec\.(\d+)\.conv1\.(\w+)", r"translator.rising.\1.narrow.\2"),
    (r"hid\.enc\.(\d+)\.layers\.(\d+)\.conv\.(\w+)", r"translator.falling.\1.branches.\2.convolution.\3"),
    (r"hid\.dec\.(\d+)\.layers\.(\d+)\.conv\.(\w+)", r"translator.rising.\1.branches.\2.convolution.\3"),
    (r"hid\.enc\.(\d+)\.layers\.(\d+)\.norm\.(\w+)", r"translator.falling.\1.branches.\2.norm.\3"),
    (r"hid\.dec\.(\d+)\.layers\.(\d+)\.norm\.(\w+)", r"translator.rising.\1.branches.\2.norm.\3"),
)


def translate(name: str) -> str | None:
    """Our name of the weight that OpenSTL's SimVP calls `name`; None for one that we do not have."""
    for pattern, ours in _PARTS:
        if found := re.fullmatch(pattern, name):
            return found.expand(ours)
    return None
