"""An ST-LSTM layer for the encoder-forecaster, whose layers lie at different resolutions: its memory stays in it.

Shapes: T time, B batch, C channels, H height, W width. A layer works time-major.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.model.cells import STLSTM, same_convolution


class STLSTMLayer(nn.Module):
    """An ST-LSTM layer over a whole sequence, called like `harness.model.cell.ConvLSTM`; see `harness.model.cells.STLSTM`.

    The input's convolution is one for all steps; what hangs on the state is a step at a time.

    Args:
        in_channels: channels of the input sequence.
        channels: channels of the state, and of the output.
        kernel: odd kernel size.
        constant_channels: channels of an input that stays the same over all steps; 0 for none.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int, *, constant_channels: int = 0) -> None:
        super().__init__()
        self.cell = STLSTM(in_channels, channels, kernel)
        self.constant = same_convolution(constant_channels, channels, kernel, gates=7) if constant_channels else None

    def forward(
        self,
        inputs_TBCHW: Tensor | None,
        state: tuple[Tensor, ...] | None = None,
        *,
        constant: Tensor | None = None,
        steps: int = 0,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Runs the layer over the input, or for `steps` steps without one (a state is then needed).

        Returns the hidden states (T, B, C, H, W) and the last state: hidden, cell state and memory, each (B, C, H, W). Without a
        state it starts from zeros. Raises ValueError without an input and a state.
        """
        driven: Tensor | None = None
        if inputs_TBCHW is not None:
            steps = len(inputs_TBCHW)
            driven = self.cell.input(inputs_TBCHW.flatten(0, 1))
            driven = driven.view(*inputs_TBCHW.shape[:2], *driven.shape[1:])
            if constant is not None and self.constant is not None:
                driven = driven + self.constant(constant)
            if state is None:
                gates = driven.shape[2]
                state = (driven.new_zeros(driven.shape[1], gates // 7, *driven.shape[3:]),) * 3
        if state is None or steps < 1:
            raise ValueError("a layer without an input needs a state and at least one step")
        hidden, cell, memory = state
        nothing = hidden.new_zeros(1, 7 * hidden.shape[1], 1, 1)
        outputs: list[Tensor] = []
        for step in range(steps):
            hidden, cell, memory, *_ = self.cell.advance(nothing if driven is None else driven[step], hidden, cell, memory)
            outputs.append(hidden)
        return torch.stack(outputs), (hidden, cell, memory)
