"""What recurrent networks share: patches for pixels, names of another program, and what they cannot be built for."""

from __future__ import annotations

import pytest
import torch
from networks import noise
from torch.nn import functional as F

from harness.errors import RequestError
from harness.model.cells import ST_NAMES, STLSTM, check_build, fold, same_convolution, translate_names, unfold


@pytest.mark.parametrize(("channels", "patch"), [(1, 4), (3, 2), (2, 1)])
def test_folding_puts_each_pixel_of_a_block_into_its_channel_and_back(channels: int, patch: int) -> None:
    frames = noise(2, channels, 8, 12)
    folded = fold(frames, patch)
    assert tuple(folded.shape) == (2, channels * patch**2, 8 // patch, 12 // patch)
    for y in range(patch):
        for x in range(patch):
            for channel in range(channels):
                at = (y * patch + x) * channels + channel
                assert torch.equal(folded[:, at], frames[:, channel, y::patch, x::patch])
    assert torch.equal(unfold(folded, patch), frames)
    if channels == 1:
        assert torch.equal(folded, F.pixel_unshuffle(frames, patch))


def test_a_step_of_an_st_lstm_is_its_equations() -> None:
    cell = STLSTM(2, 3, 3)
    inputs, hidden, before, memory = noise(2, 2, 5, 6), *(noise(2, 3, 5, 6, seed=seed) for seed in (1, 2, 3))
    with torch.no_grad():
        x, h, m = cell.input(inputs).chunk(7, 1), cell.state(hidden).chunk(4, 1), cell.memory(memory).chunk(3, 1)
        change = (x[0] + h[0]).sigmoid() * (x[2] + h[2]).tanh()
        after = (x[1] + h[1] + 1).sigmoid() * before + change
        memory_change = (x[3] + m[0]).sigmoid() * (x[5] + m[2]).tanh()
        memory_after = (x[4] + m[1] + 1).sigmoid() * memory + memory_change
        both = torch.cat([after, memory_after], 1)
        out = (x[6] + h[3] + cell.output(both)).sigmoid() * cell.merge(both).tanh()
        found = cell(inputs, hidden, before, memory)
    torch.testing.assert_close(tuple(found), (out, after, memory_after, change, memory_change))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("cell_list.0.conv_x.0.weight", "cells.0.input.weight"),
        ("cell_list.11.conv_last.weight", "cells.11.merge.weight"),
        ("conv_last.weight", "head.weight"),
        ("cell_list.0.conv_unknown.0.weight", None),
        ("adapter.weight", None),
    ],
)
def test_names_of_openstl_become_ours(theirs: str, ours: str | None) -> None:
    assert translate_names(theirs, ST_NAMES) == ours


def test_a_convolution_of_several_gates_keeps_height_and_width_and_says_how_many_they_are() -> None:
    convolution = same_convolution(2, 3, 5, gates=4)
    assert convolution.bias is None
    assert convolution(noise(1, 2, 7, 9)).shape == (1, 12, 7, 9)
    assert convolution.weight.matrices == 4


def test_what_does_not_divide_or_is_even_is_refused() -> None:
    check_build("mine", kernel=3, patch=4, height=8, width=12)
    with pytest.raises(RequestError, match=r"kernel 4 of mine is even; .*choose 5"):
        check_build("mine", kernel=4, patch=4, height=8, width=12)
    with pytest.raises(RequestError, match=r"8x10 pixels; mine with patch 4 needs multiples of 4: pad the frames"):
        check_build("mine", kernel=3, patch=4, height=8, width=10)
