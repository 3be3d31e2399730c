"""TAU's translator and its loss term; apart from the configuration, so that listing variants does not import torch."""

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
    divergence: float = 0.1,
    temperature: float = 0.1,
) -> TAU:
    """The network for frames of that size; the settings are those of `variants.tau.TAU`.

    Raises RequestError for frames or settings that do not fit.
    """
    check_coder(hidden, stages, kernel)
    check_size(height, width, 2 ** (stages // 2))
    middle = ResidualTranslator(input_frames * hidden, translator_width, blocks, expansion, TemporalAttention)
    return TAU(middle, channels, input_frames, hidden, stages, kernel, divergence, temperature)


class TAU(SimVP):
    """SimVP with a translator of temporal attention units, and a loss term on how frames change.

    (B, T, C, H, W) -> (B, horizon, C, H, W), linear, not clamped.
    """

    def __init__(
        self,
        translator: nn.Module,
        channels: int,
        input_frames: int,
        hidden: int,
        stages: int,
        kernel: int,
        divergence: float,
        temperature: float,
    ) -> None:
        super().__init__(translator, channels, input_frames, hidden, stages, kernel)
        self.divergence, self.temperature = divergence, temperature

    def target_loss(self, predicted_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor | None:
        """What the published training adds to the squared error, its weight applied; None where that is 0.

        Unlike an auxiliary loss of the forward pass it needs the true frames.
        """
        if not self.divergence:
            return None
        return self.divergence * differential_divergence(predicted_BTCHW, target_BTCHW, self.temperature)


def differential_divergence(predicted_BTCHW: Tensor, target_BTCHW: Tensor, temperature: float = 0.1) -> Tensor:
    """How far the predicted changes from frame to frame are distributed over the pixels unlike the true ones; a scalar.

    The Kullback-Leibler divergence of the softmax of the differences between neighbouring frames, over all pixels of a
    frame; its terms are averaged, not summed, over the pixels, as in OpenSTL's code. 0 for two frames or fewer.

    Source: Tan et al. 2023, arXiv:2206.12126, section 3.4.
    """
    if predicted_BTCHW.shape[1] <= 2:
        return predicted_BTCHW.new_zeros(())

    def log_shares(frames_BTCHW: Tensor) -> Tensor:
        return (frames_BTCHW.diff(dim=1).flatten(2) / temperature).log_softmax(dim=-1)

    predicted, target = log_shares(predicted_BTCHW), log_shares(target_BTCHW)
    return (predicted.exp() * (predicted - target)).mean()


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
