"""The attention module; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpatialTransformer(nn.Module):
    """Transformer blocks over the H * W positions of every frame by itself: (B, T, C, H, W) -> the same shape.

    The residual stream passes untouched; positions enter the queries and keys alone. With all gates at zero, as at
    initialisation, the module is the identity.
    """

    def __init__(self, channels: int, blocks: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, heads, expansion) for _ in range(blocks))

    def forward(self, features_BTCHW: Tensor) -> Tensor:
        """Attends within each frame."""
        batch, steps, channels, height, width = features_BTCHW.shape
        positions = sinusoids(height, width, channels, features_BTCHW)
        tokens_NLC = features_BTCHW.reshape(batch * steps, channels, height * width).transpose(1, 2)
        for block in self.blocks:
            tokens_NLC = block(tokens_NLC, positions)
        return tokens_NLC.transpose(1, 2).reshape(batch, steps, channels, height, width)


class Block(nn.Module):
    """Self-attention, then a feed-forward layer, each normalised before and gated after."""

    def __init__(self, channels: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query_key, self.value = nn.Linear(channels, 2 * channels), nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )
        self.gates = nn.Parameter(torch.zeros(2))

    def forward(self, tokens_NLC: Tensor, positions_LC: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        normed = self.attention_norm(tokens_NLC)
        query, key = self._split(self.query_key(normed + positions_LC)).chunk(2, dim=1)
        mixed = attend(query, key, self._split(self.value(normed)))
        tokens_NLC = tokens_NLC + self.gates[0] * self.project(mixed.transpose(1, 2).flatten(2))
        fed: Tensor = self.feed_forward(self.feed_forward_norm(tokens_NLC))
        return tokens_NLC + self.gates[1] * fed

    def _split(self, x_NLC: Tensor) -> Tensor:
        """(N, L, k * C) -> (N, k * heads, L, C / heads)."""
        per_head = self.value.in_features // self.heads
        return x_NLC.view(*x_NLC.shape[:2], -1, per_head).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query key / sqrt(C)) value, each (N, heads, L, C).

    Under the autocast of a CPU in float32: its 16-bit kernel takes four to five times as long.
    """
    if query.is_cuda or not torch.is_autocast_enabled("cpu"):
        return F.scaled_dot_product_attention(query, key, value)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(query.float(), key.float(), value.float())


def sinusoids(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Fixed positions (H * W, C) in [-1, 1]: sines and cosines of y in the first half of the channels, of x in the second.

    Wavelengths grow from 2 pi to 2 pi * 100 positions; any grid size works. Source: Vaswani et al. 2017, section 3.5.
    """
    quarter = channels // 4
    frequencies = 100.0 ** -(torch.arange(quarter, device=like.device, dtype=torch.float32) / quarter)
    y = torch.arange(height, device=like.device, dtype=torch.float32)[:, None] * frequencies
    x = torch.arange(width, device=like.device, dtype=torch.float32)[:, None] * frequencies
    rows = torch.cat([y.sin(), y.cos()], dim=1)[:, None].expand(-1, width, -1)
    columns = torch.cat([x.sin(), x.cos()], dim=1)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1).to(like.dtype)
