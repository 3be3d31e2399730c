"""The article's network as one would first write it: the literal cell, one time step after the other through all layers.

It computes the same function as `EncoderForecaster` and exists to be measured against (`harness bench`) and to check it with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model.cell import ConvLSTM, State
from harness.model.forecaster import EncoderForecaster, NoPath
from harness.model.heads import Direct


class ArticleCell(nn.Module):
    """The article's reference cell: eight convolutions (Wxi, Whi, Wxf, Whf, Wxo, Who, Wxc, Whc), 'same' padding.

    Built from a `ConvLSTM` layer, with a copy of its weights.
    """

    def __init__(self, layer: ConvLSTM) -> None:
        super().__init__()
        weight = layer.input_weight
        if layer.constant_weight is not None:
            weight = torch.cat([weight, layer.constant_weight], dim=1)  # type: ignore[assignment]
        for index, gate in enumerate("ifoc"):
            part = slice(index * layer.channels, (index + 1) * layer.channels)
            self.add_module(f"Wx{gate}", _convolution(weight[part], layer.bias[part]))
            self.add_module(f"Wh{gate}", _convolution(layer.state_weight[part], None))

    def forward(self, x: Tensor | None, state: State) -> State:
        """One step: input (B, C, H, W), or None for none, and state -> new state."""
        h, c = state

        def total(gate: str) -> Tensor:
            wx, wh = self.get_submodule(f"Wx{gate}"), self.get_submodule(f"Wh{gate}")
            recurrent: Tensor = wh(h)
            driven: Tensor = wx(x) if x is not None else wx.bias.view(1, -1, 1, 1)  # type: ignore[operator]
            return driven + recurrent

        i = torch.sigmoid(total("i"))
        f = torch.sigmoid(total("f"))
        o = torch.sigmoid(total("o"))
        c = f * c + i * torch.tanh(total("c"))
        return o * torch.tanh(c), c


class ArticleForecaster(nn.Module):
    """The network of an `EncoderForecaster` with empty slots, run step by step with the article's cells."""

    def __init__(self, model: EncoderForecaster) -> None:
        super().__init__()
        head = model.head
        filled = model.bottleneck is not None or not all(isinstance(path, NoPath) for path in model.forecaster_skip)
        if filled or not isinstance(head, Direct):
            raise ValueError("the article's plain reading has no slots: give it a base network")
        self.patch = model.patch
        self.encoder = nn.ModuleList(ArticleCell(_layer(layer)) for layer in model.encoder)
        self.forecaster = nn.ModuleList(ArticleCell(_layer(layer)) for layer in model.forecaster)
        self.widths = [_layer(layer).channels for layer in model.encoder]
        self.down, self.up, self.head = model.down, model.up, head

    def forward(self, frames_BTCHW: Tensor, horizon: int) -> Tensor:
        """(B, T, C, H, W) -> (B, horizon, C, H, W)."""
        batch, _, _, height, width = frames_BTCHW.shape
        side = [(height // self.patch >> level, width // self.patch >> level) for level in range(len(self.widths))]
        zeros = [frames_BTCHW.new_zeros(batch, channels, *size) for channels, size in zip(self.widths, side, strict=True)]
        states: list[State] = [(zero, zero) for zero in zeros]
        for frame in frames_BTCHW.unbind(1):
            features = F.pixel_unshuffle(frame, self.patch)
            for level, cell in enumerate(self.encoder):
                if level:
                    features = self.down[level - 1](features)
                states[level] = cell(features, states[level])
                features = states[level][0]
        shown = [state[0] for state in states]
        predictions = []
        for _ in range(horizon):
            states[-1] = self.encoder[-1](None, states[-1])
            features = states[-1][0]
            for level in reversed(range(len(self.forecaster))):
                features = torch.cat([self.up[level](features), shown[level]], dim=1)
                states[level] = self.forecaster[level](features, states[level])
                features = states[level][0]
            predictions.append(F.pixel_shuffle(F.conv2d(features, self.head.weight, self.head.bias), self.patch))
        return torch.stack(predictions, dim=1)


def _layer(module: nn.Module) -> ConvLSTM:
    assert isinstance(module, ConvLSTM)
    return module


def _convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    out_channels, in_channels, kernel, _ = weight.shape
    convolution = nn.Conv2d(in_channels, out_channels, kernel, padding="same", bias=bias is not None)
    with torch.no_grad():
        convolution.weight.copy_(weight)
        if bias is not None and convolution.bias is not None:
            convolution.bias.copy_(bias)
    return convolution
