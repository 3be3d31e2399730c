"""The network; apart from the configuration, so that listing variants does not import torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.model.cells import FedBack, same_convolution, translate_names

State = tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]
"""Hidden and cell state of each layer, the memory that all share, the highway's state; each (B, C, H, W)."""


class CausalLSTM(nn.Module):
    """One step of a causal LSTM layer: the memory is written after the cell state and depends on it.

        i, f, g = sigmoid, sigmoid, tanh of (Wx * x + Wh * h + Wc * c)        c' = f c + i g
        i, f, g = sigmoid, sigmoid, tanh of (W'x * x + Wm * m + W'c * c')     m' = f tanh(W"m * m) + i g
        o = tanh(Wx * x + Wh * h + W'c * c' + Wom * m')                       h' = o tanh(W1x1 * [c', m'])

    with * a convolution with 'same' padding and without a bias; g of the second line has no Wm, both forget gates a fixed bias
    of 1. Source: Wang et al. 2018 (PredRNN++), the causal LSTM's equations, as OpenSTL has them.
    """

    FORGET_BIAS = 1.0

    def __init__(self, in_channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.input = same_convolution(in_channels, hidden, kernel, gates=7)
        self.state = same_convolution(hidden, hidden, kernel, gates=4)
        self.cell = same_convolution(hidden, hidden, kernel, gates=3)
        self.memory = same_convolution(hidden, hidden, kernel, gates=3)
        self.new_cell = same_convolution(hidden, hidden, kernel, gates=4)
        self.new_memory = same_convolution(hidden, hidden, kernel)
        self.merge = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, in_channels, H, W) and the state, each (B, hidden, H, W) -> hidden, cell and memory after the step."""
        in_x, forget_x, new_x, in_xm, forget_xm, new_xm, out_x = self.input(inputs).chunk(7, dim=1)
        in_h, forget_h, new_h, out_h = self.state(hidden).chunk(4, dim=1)
        in_c, forget_c, new_c = self.cell(cell).chunk(3, dim=1)
        in_m, forget_m, carried = self.memory(memory).chunk(3, dim=1)
        candidate = torch.sigmoid(in_x + in_h + in_c) * torch.tanh(new_x + new_h + new_c)
        cell = torch.sigmoid(forget_x + forget_h + forget_c + self.FORGET_BIAS) * cell + candidate
        in_c, new_c, forget_c, out_c = self.new_cell(cell).chunk(4, dim=1)
        candidate = torch.sigmoid(in_xm + in_m + in_c) * torch.tanh(new_xm + new_c)
        memory = torch.sigmoid(forget_xm + forget_m + forget_c + self.FORGET_BIAS) * torch.tanh(carried) + candidate
        out_gate = torch.tanh(out_x + out_h + out_c + self.new_memory(memory))
        return out_gate * torch.tanh(self.merge(torch.cat([cell, memory], dim=1))), cell, memory


class GradientHighway(nn.Module):
    """One step of the highway: z' = s p + (1 - s) z with p = tanh, s = sigmoid of (Wx * x + Wz * z).

    Weights start in +-0.001, so that at first it halves its state at every step and adds next to nothing. Source: Wang et al.
    2018 (PredRNN++), the gradient highway unit's equations; the initialisation is OpenSTL's.
    """

    def __init__(self, hidden: int, kernel: int) -> None:
        super().__init__()
        self.input = same_convolution(hidden, hidden, kernel, gates=2)
        self.state = same_convolution(hidden, hidden, kernel, gates=2)
        for convolution in (self.input, self.state):
            nn.init.uniform_(convolution.weight, -0.001, 0.001)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Both (B, hidden, H, W) -> the state after the step."""
        proposal, switch = (self.input(inputs) + self.state(state)).chunk(2, dim=1)
        switch = torch.sigmoid(switch)
        return switch * torch.tanh(proposal) + (1 - switch) * state


NAMES = {
    "conv_x.0": "input",
    "conv_h.0": "state",
    "conv_c.0": "cell",
    "conv_m.0": "memory",
    "conv_c2m.0": "new_cell",
    "conv_om.0": "new_memory",
    "conv_last": "merge",
}


class PredRNNPP(FedBack):
    """Causal LSTM layers at one resolution with a gradient highway after the first; they predict the next frame and read it.

    The memory goes up through the layers within a step, and from the last layer to the first one of the next step. The highway
    is a recurrent unit with a short way through time, between the first layer and the second.
    """

    layer = CausalLSTM

    def __init__(self, channels: int, *, hidden: int, kernel: int, **settings: Any) -> None:
        super().__init__(channels, hidden=hidden, kernel=kernel, **settings)
        self.highway = GradientHighway(hidden, kernel)

    def start(self, zeros_BCHW: Tensor) -> State:
        """All states are zero."""
        return [(zeros_BCHW, zeros_BCHW)] * len(self.cells), zeros_BCHW, zeros_BCHW

    def step(self, patches_BPHW: Tensor, state: State) -> tuple[Tensor, State, None]:
        """One frame through all layers."""
        before, memory, highway = state
        after = []
        features = patches_BPHW
        for level, (layer, (hidden, cell)) in enumerate(zip(self.cells, before, strict=True)):
            hidden, cell, memory = layer(features, hidden, cell, memory)
            after.append((hidden, cell))
            features = hidden
            if level == 0:
                features = highway = self.highway(hidden, highway)
        return features, (after, memory, highway), None


def translate(name: str) -> str | None:
    """OpenSTL's name of a weight -> ours; None for the convolution of a cell that its forward pass never calls."""
    highway = {
        "gradient_highway.x_concat.0.weight": "highway.input.weight",
        "gradient_highway.z_concat.0.weight": "highway.state.weight",
    }
    return highway.get(name) or translate_names(name, NAMES)
