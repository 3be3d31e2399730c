"""What the SimVP family shares: sizes, frames beyond the horizon, and blocks that start as next to nothing."""

from __future__ import annotations

import pytest
import torch
from networks import frames, noise
from torch import nn

from harness.errors import RequestError
from harness.model.simvp import (
    Encoder,
    FeedForward,
    LargeKernel,
    ResidualTranslator,
    SimVP,
    check_coder,
    check_size,
    initialise_by_fan_out,
)


def made(stages: int = 4) -> SimVP:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return SimVP(nn.Conv2d(3 * 4, 3 * 4, 1), 1, 3, 4, stages, 3).eval()


def test_beyond_its_horizon_predicted_frames_go_in_again() -> None:
    model, shown = made(), frames()
    with torch.no_grad():
        first = model(shown, 3)
        second = model(first, 3)
        torch.testing.assert_close(model(shown, 5), torch.cat([first, second[:, :2]], dim=1))
        assert torch.equal(model(shown, 1), first[:, :1])


@pytest.mark.parametrize(("stages", "side"), [(2, 8), (4, 4), (6, 2)])
def test_every_second_stage_halves_the_maps(stages: int, side: int) -> None:
    maps, fine = Encoder(1, 4, stages, 3)(torch.zeros(5, 1, 16, 16))
    assert tuple(maps.shape) == (5, 4, side, side)
    assert tuple(fine.shape) == (5, 4, 16, 16)


def test_the_large_kernel_reads_eleven_positions_each_way_of_its_own_channel() -> None:
    kernel = LargeKernel(2)
    with torch.no_grad():
        for parameter in kernel.parameters():
            parameter.copy_(torch.ones_like(parameter) if parameter.ndim > 1 else torch.zeros_like(parameter))
    given = torch.zeros(1, 2, 31, 31, requires_grad=True)
    kernel(given)[0, 0, 15, 15].backward()
    assert given.grad is not None
    read = given.grad[0].nonzero()
    assert read.min(0).values.tolist() == [0, 4, 4]
    assert read.max(0).values.tolist() == [0, 26, 26]
    assert len(read) == 23 * 23


def test_residual_blocks_add_next_to_nothing_at_first_and_change_the_width_at_the_ends() -> None:
    translator = ResidualTranslator(6, 6, 2, 2, LargeKernel).eval()
    given = noise(2, 6, 4, 4)
    with torch.no_grad():
        assert (translator(given) - given).norm() < 0.1 * given.norm()
        for name, parameter in translator.named_parameters():
            if name.endswith("_scale"):
                parameter.zero_()
        assert torch.equal(translator(given), given)
    wider = ResidualTranslator(6, 10, 3, 2, LargeKernel)
    assert [type(block.project) for block in wider.blocks] == [nn.Conv2d, nn.Identity, nn.Conv2d]


def test_initial_weights_have_the_variance_of_their_fan_out() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        part = FeedForward(64, 4)
        grouped = nn.Conv2d(64, 128, 3, groups=2)
        initialise_by_fan_out(grouped)
    assert float(part.expand.weight.detach().std()) == pytest.approx((2 / 256) ** 0.5, rel=0.05)
    assert float(grouped.weight.detach().std()) == pytest.approx((2 * 2 / (9 * 128)) ** 0.5, rel=0.05)
    assert part.expand.bias is not None
    assert not part.expand.bias.any()


def test_sizes_of_which_no_network_can_be_made_are_refused() -> None:
    check_size(8, 16, 4)
    check_coder(4, 2, 3)
    for height, width in ((6, 8), (8, 6), (0, 4), (2, 4)):
        with pytest.raises(RequestError, match=rf"{height}x{width} pixels; this network needs multiples of 4: pad"):
            check_size(height, width, 4)
    for sizes, words in (((5, 2, 3), "hidden is 5"), ((4, 3, 3), "stages is 3"), ((4, 2, 4), "kernel is 4; it must be odd")):
        with pytest.raises(RequestError, match=words):
            check_coder(*sizes)
