"""One ConvLSTM layer: a fast reading of its equations, and the plain one that every faster path is held against.

    i, f, o = sigmoid(Wx * x + Wh * h + b)      g = tanh(Wx * x + Wh * h + b)
    c' = f c + i g                              h' = o tanh(c')

with * a convolution with 'same' padding and no peepholes (Shi et al. 2015, arXiv:1506.04214, as the article reads it).

Shapes: T time, B batch, C channels, H height, W width. A layer works time-major, so that one step is contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (B, C, H, W)."""


class ConvLSTM(nn.Module):
    """A ConvLSTM layer over a whole sequence.

    The four gates (input, forget, output, candidate) are one convolution. What does not depend on the state is
    computed for all steps at once: the input's convolution over T * B frames, that of a constant input once.

    Args:
        in_channels: channels of the input sequence.
        channels: channels of the state, and of the output.
        kernel: odd kernel size of both convolutions.
        constant_channels: channels of an input that stays the same over all steps; 0 for none.
        forget_bias: added to the forget gate's bias at initialisation.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, constant_channels: int = 0, forget_bias: float = 0.0
    ) -> None:
        super().__init__()
        self.channels, self.kernel, self.forget_bias = channels, kernel, forget_bias
        gates = 4 * channels
        self.input_weight = nn.Parameter(torch.empty(gates, in_channels, kernel, kernel))
        self.state_weight = nn.Parameter(torch.empty(gates, channels, kernel, kernel))
        self.constant_weight = (
            nn.Parameter(torch.empty(gates, constant_channels, kernel, kernel)) if constant_channels else None
        )
        self.bias = nn.Parameter(torch.empty(gates))
        self.plain = False
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan in), as torch's own convolutions; the forget gate's bias is raised by `forget_bias`."""
        weights = [w for w in (self.input_weight, self.constant_weight, self.state_weight) if w is not None]
        for weight in weights:
            nn.init.uniform_(weight, -(weight[0].numel() ** -0.5), weight[0].numel() ** -0.5)
        nn.init.uniform_(self.bias, -(self.input_weight[0].numel() ** -0.5), self.input_weight[0].numel() ** -0.5)
        with torch.no_grad():
            self.bias[self.channels : 2 * self.channels] += self.forget_bias

    def forward(
        self, inputs_TBCHW: Tensor | None, state: State | None = None, *, constant: Tensor | None = None, steps: int = 0
    ) -> tuple[Tensor, State]:
        """Runs the layer over the input, or for `steps` steps without one (a state is then needed).

        Returns the hidden states (T, B, C, H, W) and the last state. Without a state it starts from zeros.
        """
        if self.plain:
            return plain_convlstm(self, inputs_TBCHW, state, constant=constant, steps=steps)
        convolve = partial(F.conv2d, padding=self.kernel // 2)
        if inputs_TBCHW is None:
            driven: Tensor | None = None
        else:
            steps = inputs_TBCHW.shape[0]
            driven = convolve(inputs_TBCHW.flatten(0, 1), self.input_weight, self.bias)
            driven = driven.view(steps, -1, *driven.shape[1:])
            if constant is not None and self.constant_weight is not None:
                driven = driven + convolve(constant, self.constant_weight)
        outputs = []
        for step in range(steps):
            if state is None:
                if driven is None:
                    raise ValueError("a layer without an input needs a state")
                state = lstm_update(driven[step], None)
            elif driven is None:
                state = lstm_update(convolve(state[0], self.state_weight, self.bias), state[1])
            else:
                state = lstm_update(driven[step] + convolve(state[0], self.state_weight), state[1])
            outputs.append(state[0])
        if state is None:
            raise ValueError("a layer needs at least one step")
        return torch.stack(outputs), state


def lstm_update(gates: Tensor, cell: Tensor | None) -> State:
    """The pointwise part: gates before their nonlinearities (B, 4C, H, W) and the cell state (None: zeros) -> new state."""
    in_gate, forget_gate, out_gate, candidate = gates.chunk(4, dim=1)
    update = torch.sigmoid(in_gate) * torch.tanh(candidate)
    cell = update if cell is None else torch.addcmul(update, torch.sigmoid(forget_gate), cell)
    return torch.sigmoid(out_gate) * torch.tanh(cell), cell


def plain_convlstm(
    layer: ConvLSTM,
    inputs_TBCHW: Tensor | None,
    state: State | None = None,
    *,
    constant: Tensor | None = None,
    steps: int = 0,
) -> tuple[Tensor, State]:
    """The oracle: the same layer read like its equations, one step and one gate after the other, zero initial state.

    Slow on purpose; use it in float32 to check a faster path. Arguments and result as `ConvLSTM.forward`.
    """
    convolve = partial(F.conv2d, padding=layer.kernel // 2)
    if inputs_TBCHW is not None:
        steps = inputs_TBCHW.shape[0]
    if state is None:
        assert inputs_TBCHW is not None
        _, batch, _, height, width = inputs_TBCHW.shape
        zeros = inputs_TBCHW.new_zeros(batch, layer.channels, height, width)
        state = (zeros, zeros)
    hidden, cell = state
    outputs = []
    for step in range(steps):

        def gate(index: int, nonlinearity: Callable[[Tensor], Tensor], step: int = step, hidden: Tensor = hidden) -> Tensor:
            part = slice(index * layer.channels, (index + 1) * layer.channels)
            total = convolve(hidden, layer.state_weight[part]) + layer.bias[part].view(1, -1, 1, 1)
            if inputs_TBCHW is not None:
                total = total + convolve(inputs_TBCHW[step], layer.input_weight[part])
            if inputs_TBCHW is not None and constant is not None and layer.constant_weight is not None:
                total = total + convolve(constant, layer.constant_weight[part])
            return nonlinearity(total)

        in_gate, forget_gate, out_gate = (gate(index, torch.sigmoid) for index in range(3))
        candidate = gate(3, torch.tanh)
        cell = forget_gate * cell + in_gate * candidate
        hidden = out_gate * torch.tanh(cell)
        outputs.append(hidden)
    return torch.stack(outputs), (hidden, cell)
