"""Predictions averaged over views: over a group of them they are equivariant."""

from __future__ import annotations

import pytest
import torch
from all_views import VIEWS, views_of
from torch import Tensor

from harness.errors import HarnessError, RequestError
from harness.evaluation.predict import predict


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Lopsided(torch.nn.Module):
    """A small network without any symmetry of its own, whose answer depends on the place."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = torch.nn.Conv2d(1, 1, 3, padding=1)
            self.place = torch.nn.Parameter(torch.randn(12, 12))
        self.calls = 0

    def forward(self, inputs: Tensor, horizon: int) -> Tensor:
        assert not torch.is_grad_enabled()
        self.calls += 1
        frames = [inputs[:, -1]]
        for _ in range(horizon):
            frames.append(self.conv(frames[-1]).tanh() * self.place[: inputs.shape[-2], : inputs.shape[-1]])
        return torch.stack(frames[1:], 1)


def inputs(height: int = 12, width: int = 12) -> Tensor:
    return torch.rand(2, 3, 1, height, width, generator=torch.Generator().manual_seed(1))


def test_one_identity_view_equals_no_augmentation_bit_for_bit() -> None:
    model = Lopsided()
    with torch.no_grad():
        expected = model(inputs(), 4)
    found = predict(model, inputs(), 4)
    assert torch.equal(found.view(torch.int32), expected.view(torch.int32))
    minus_zero = torch.full((2, 1, 1, 12, 12), -0.0)
    assert predict(lambda x, horizon: minus_zero, inputs(), 1).signbit().all()


def test_the_mean_over_views_is_the_mean_of_predictions_turned_back() -> None:
    model = Lopsided()
    found = predict(model, inputs(), 2, views_of("identity", "rot90", "transpose"))
    with torch.no_grad():
        plain = model(inputs(), 2)
        turned = model(inputs().rot90(1, (-2, -1)), 2).rot90(-1, (-2, -1))
        transposed = model(inputs().mT, 2).mT
    torch.testing.assert_close(found, (plain + turned + transposed) / 3)
    assert model.calls == 6


@pytest.mark.parametrize("view", ["hflip", "vflip", "rot180", "rot90"])
def test_one_view_is_the_model_seen_through_it(view: str) -> None:
    model = Lopsided()
    with torch.no_grad():
        expected = VIEWS[view].inverse(model(VIEWS[view].forward(inputs()), 2))
    assert torch.equal(predict(model, inputs(), 2, views_of(view)), expected)


@pytest.mark.parametrize(
    "group",
    [("identity", "hflip"), ("identity", "hflip", "vflip", "rot180"), ("identity", "rot90", "rot180", "rot270")],
)
def test_a_prediction_averaged_over_a_group_is_equivariant(group: tuple[str, ...]) -> None:
    model = Lopsided()
    averaged = predict(model, inputs(), 3, views_of(*group))
    for name in group[1:]:
        through = predict(model, VIEWS[name].forward(inputs()), 3, views_of(*group))
        torch.testing.assert_close(through, VIEWS[name].forward(averaged))
        plain = predict(model, VIEWS[name].forward(inputs()), 3)
        assert not torch.allclose(plain, VIEWS[name].forward(predict(model, inputs(), 3)), atol=1e-3)


@pytest.mark.parametrize("name", [name for name in VIEWS if VIEWS[name].swaps_axes])
def test_a_turn_of_a_frame_that_is_not_square_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=rf"'{name}'.*8x12.*\(2, 3, 1, 8, 12\)"):
        predict(Lopsided(), inputs(8, 12), 2, views_of("identity", name))


def test_flips_take_frames_that_are_not_square() -> None:
    assert predict(Lopsided(), inputs(8, 12), 2, views_of("identity", "hflip", "vflip", "rot180")).shape == (2, 2, 1, 8, 12)


def test_a_prediction_without_a_view_is_refused_before_the_model_runs() -> None:
    model = Lopsided()
    with pytest.raises(RequestError, match="at least one"):
        predict(model, inputs(), 2, ())
    assert model.calls == 0


def test_other_senseless_requests_are_refused() -> None:
    with pytest.raises(RequestError, match="horizon is 0"):
        predict(Lopsided(), inputs(), 0)
    with pytest.raises(RequestError, match="sequences, frames, channels"):
        predict(Lopsided(), inputs()[0], 1)
    with pytest.raises(HarnessError, match=r"predicted \(2, 1, 1, 12, 12\) for view 'identity'; expected \(2, 3"):
        predict(lambda x, horizon: x[:, -1:], inputs(), 3)


def test_an_answer_in_sixteen_bits_is_averaged_in_float32() -> None:
    def model(x: Tensor, horizon: int) -> Tensor:
        return x[:, -1:].bfloat16()

    found = predict(model, inputs(), 1, views_of("identity", "hflip", "vflip"))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, inputs()[:, -1:].bfloat16().float())


def test_a_model_that_reuses_its_answer_buffer_is_averaged_rightly() -> None:
    buffer = torch.empty(2, 1, 1, 12, 12)

    def replayed(x: Tensor, horizon: int) -> Tensor:
        return buffer.copy_(x[:, -1:] * torch.arange(12))

    def fresh(x: Tensor, horizon: int) -> Tensor:
        return x[:, -1:] * torch.arange(12)

    views = views_of("identity", "hflip", "rot90")
    assert torch.equal(predict(replayed, inputs(), 1, views), predict(fresh, inputs(), 1, views))
    kept = predict(replayed, inputs(), 1)
    buffer.zero_()
    assert kept.any()


def test_no_autograd_and_no_inference_tensors() -> None:
    found = predict(Lopsided(), inputs(), 2, views_of("identity", "hflip"))
    assert not found.requires_grad
    assert not found.is_inference()
    assert torch.is_grad_enabled()


def test_inputs_are_left_alone() -> None:
    given = inputs()
    predict(Lopsided(), given, 2, tuple(VIEWS.values()))
    assert torch.equal(given, inputs())
