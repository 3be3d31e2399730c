"""The network; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.model.cells import FedBack, same_convolution, translate_names

State = list[tuple[Tensor, Tensor]]
"""Hidden and cell state of each layer, each (B, C, H, W)."""


class Cell(nn.Module):
    """One step of a ConvLSTM layer, without peepholes, biases or a forget bias, as OpenSTL runs it."""

    def __init__(self, in_channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.input = same_convolution(in_channels, hidden, kernel, gates=4)
        self.state = same_convolution(hidden, hidden, kernel, gates=4)

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """(B, in_channels, H, W) and the state, each (B, hidden, H, W) -> hidden and cell state after the step."""
        in_gate, forget_gate, candidate, out_gate = (self.input(inputs) + self.state(hidden)).chunk(4, dim=1)
        cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(in_gate) * torch.tanh(candidate)
        return torch.sigmoid(out_gate) * torch.tanh(cell), cell


class ConvLSTMStack(FedBack):
    """ConvLSTM layers on top of each other at one resolution, which predict the next frame and read it."""

    layer = Cell

    def start(self, zeros_BCHW: Tensor) -> State:
        """All states are zero."""
        return [(zeros_BCHW, zeros_BCHW)] * len(self.cells)

    def step(self, patches_BPHW: Tensor, state: State) -> tuple[Tensor, State, None]:
        """One frame through all layers."""
        after: State = []
        features = patches_BPHW
        for layer, (hidden, cell) in zip(self.cells, state, strict=True):
            after.append(layer(features, hidden, cell))
            features = after[-1][0]
        return features, after, None


def translate(name: str) -> str | None:
    """OpenSTL's name of a weight -> ours; None for the two convolutions of a cell that its forward pass never calls."""
    return translate_names(name, {"conv_x.0": "input", "conv_h.0": "state"})
