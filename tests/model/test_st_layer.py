"""An ST-LSTM layer over a sequence is its cell, a step at a time."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from harness.model.st_layer import STLSTMLayer


def test_a_layer_is_its_cell_stepped_by_hand() -> None:
    torch.manual_seed(0)
    layer, frames = STLSTMLayer(2, 3, 3, constant_channels=1), torch.randn(4, 2, 2, 5, 6)
    same = torch.randn(2, 1, 5, 6)
    assert layer.constant is not None
    # The same cell over input and constant together: their convolutions add up.
    weight = torch.cat([layer.cell.input.weight, layer.constant.weight], 1)
    hidden = cell = memory = torch.zeros(2, 3, 5, 6)
    expected = []
    with torch.no_grad():
        for frame in frames:
            driven = F.conv2d(torch.cat([frame, same], 1), weight, padding=1)
            hidden, cell, memory, *_ = layer.cell.advance(driven, hidden, cell, memory)
            expected.append(hidden)
        found, state = layer(frames, constant=same)
        after, _ = layer(None, state, steps=1)
        rolled = layer.cell.advance(torch.zeros(2, 21, 5, 6), hidden, cell, memory)[0]
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(after[0], rolled)
    assert len(state) == 3
