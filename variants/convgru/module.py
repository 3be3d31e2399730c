"""The ConvGRU layer; apart from the configuration, so that listing variants does not import torch.

    z, r = sigmoid(Wx * x + Wh * h + b)
    n    = activation(Wx * x + b + r (Wh * h))
    h'   = (1 - z) n + z h

with * a convolution with 'same' padding (Shi et al. 2017, arXiv:1706.03458, section 3.1; after Ballas et al. 2016,
arXiv:1511.06432, whose reset gate acts before the convolution).

Shapes: T time, B batch, C channels, H height, W width. A layer works time-major.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model.build import mark_gates

ACTIVATIONS = ("tanh", "leaky_relu")


class ConvGRU(nn.Module):
    """A ConvGRU layer over a whole sequence, called like `harness.model.cell.ConvLSTM`.

    The two gates and the candidate are one convolution of the input, for all steps at once, and one of the state, a step
    at a time.

    Args:
        in_channels: channels of the input sequence.
        channels: channels of the state, and of the output.
        kernel: odd kernel size of both convolutions.
        constant_channels: channels of an input that stays the same over all steps; 0 for none.
        activation: of the candidate, 'tanh' or 'leaky_relu' (slope 0.2).
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, constant_channels: int = 0, activation: str = "tanh"
    ) -> None:
        super().__init__()
        self.channels, self.kernel, self.activation = channels, kernel, activation
        parts = 3 * channels
        self.input_weight = nn.Parameter(torch.empty(parts, in_channels, kernel, kernel))
        self.state_weight = nn.Parameter(torch.empty(parts, channels, kernel, kernel))
        self.constant_weight = (
            nn.Parameter(torch.empty(parts, constant_channels, kernel, kernel)) if constant_channels else None
        )
        self.bias = nn.Parameter(torch.empty(parts))
        mark_gates([self.input_weight, self.state_weight, self.constant_weight], 3)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan in), as torch's own convolutions."""
        weights = [w for w in (self.input_weight, self.constant_weight, self.state_weight) if w is not None]
        for weight in weights:
            nn.init.uniform_(weight, -(weight[0].numel() ** -0.5), weight[0].numel() ** -0.5)
        nn.init.uniform_(self.bias, -(self.input_weight[0].numel() ** -0.5), self.input_weight[0].numel() ** -0.5)

    def forward(
        self,
        inputs_TBCHW: Tensor | None,
        state: tuple[Tensor, ...] | None = None,
        *,
        constant: Tensor | None = None,
        steps: int = 0,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Runs the layer over the input, or for `steps` steps without one (a state is then needed).

        Returns the hidden states (T, B, C, H, W) and the last state, whose only part is the hidden one. Without a state it
        starts from zeros.
        """
        hidden = None if state is None else state[0]
        driven: Tensor | None = None
        if inputs_TBCHW is not None:
            steps = inputs_TBCHW.shape[0]
            driven = self._convolve(inputs_TBCHW.flatten(0, 1), self.input_weight, self.bias)
            driven = driven.view(*inputs_TBCHW.shape[:2], *driven.shape[1:])
            if constant is not None and self.constant_weight is not None:
                driven = driven + self._convolve(constant, self.constant_weight)
            if hidden is None:
                hidden = driven.new_zeros(driven.shape[1], self.channels, *driven.shape[3:])
        if hidden is None or steps < 1:
            raise ValueError("a layer without an input needs a state and at least one step")
        outputs: list[Tensor] = []
        for step in range(steps):
            given = self.bias.view(-1, 1, 1) if driven is None else driven[step]
            hidden = self._step(given, hidden)
            outputs.append(hidden)
        return torch.stack(outputs), (hidden,)

    def _step(self, given: Tensor, hidden: Tensor) -> Tensor:
        """The next hidden state. `given` is what the input and the bias add, (B, 3 C, H, W) or without B."""
        recalled = self._convolve(hidden, self.state_weight)
        gates = 2 * self.channels
        update, reset = (given[..., :gates, :, :] + recalled[:, :gates]).sigmoid().chunk(2, dim=1)
        total = given[..., gates:, :, :] + reset * recalled[:, gates:]
        new = total.tanh() if self.activation == "tanh" else F.leaky_relu(total, 0.2)
        return torch.lerp(new, hidden.to(new.dtype), update)

    def _convolve(self, x_NCHW: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x_NCHW, weight, bias, padding=self.kernel // 2)
