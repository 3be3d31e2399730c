"""TAU is OpenSTL's, with its loss term, and keeps a network's contract."""

from __future__ import annotations

import pytest
import torch
from golden_weights import load_golden, relative_difference, set_formula_weights
from torch import Tensor
from torch.nn import functional as F

from harness.errors import RequestError
from harness.model.simvp import SimVP
from harness.training.terms import TemporalDifference
from variants.tau.module import build_tau, translate

differential_divergence = TemporalDifference().compute


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def frames(batch: int = 2, count: int = 3, size: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(batch, count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def tiny() -> SimVP:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build_tau(1, 16, 16, 3, hidden=4, translator_width=16, blocks=2, expansion=2)


def test_has_the_parameters_of_openstl() -> None:
    with torch.device("meta"):
        model = build_tau(1, 64, 64, 10)
        predicted = model(torch.empty(1, 10, 1, 64, 64), 10)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == 44_656_001
    assert count / 1e6 == pytest.approx(44.7, abs=0.05)
    assert predicted.shape == (1, 10, 1, 64, 64)


def test_predicts_what_openstl_predicts_and_has_its_loss_term() -> None:
    golden = load_golden("tau")
    given, target, expected = golden["frames"][:, :3], golden["frames"][:, 3:], golden["predictions"]
    model = build_tau(2, 16, 12, 3, hidden=8, translator_width=16, stages=4, blocks=3).eval()
    set_formula_weights(model, golden["names"], translate)
    predicted = model(given, expected.shape[1])
    assert relative_difference(predicted, expected) < 1e-5
    divergence = TemporalDifference(weight=0.1).weight_at(1.0) * differential_divergence(predicted, target)
    assert relative_difference(divergence, golden["divergence"]) < 1e-4


@pytest.mark.parametrize("horizon", [1, 3, 7])
def test_predicts_any_horizon(horizon: int) -> None:
    assert tiny()(frames(), horizon).shape == (2, horizon, 1, 16, 16)


def test_every_parameter_gets_a_gradient() -> None:
    model = tiny()
    model(frames(), 3).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_sequences_of_a_batch_do_not_mix_in_evaluation_mode() -> None:
    model, given = tiny().eval(), frames(3)
    with torch.no_grad():
        torch.testing.assert_close(model(given, 4)[1:2], model(given[1:2], 4))


def test_the_divergence_is_that_of_the_shares_of_change() -> None:
    predicted, target = frames(count=4, seed=1), frames(count=4, seed=2)
    p, q = ((x[:, 1:] - x[:, :-1]).flatten(2).div(0.1).softmax(-1) for x in (predicted, target))
    torch.testing.assert_close(differential_divergence(predicted, target), F.kl_div(q.log(), p, reduction="none").mean())


def test_the_divergence_is_zero_for_equal_changes_and_positive_for_others() -> None:
    target = frames(count=4)
    assert differential_divergence(target + 0.25, target).item() == pytest.approx(0, abs=1e-7)
    assert differential_divergence(frames(count=4, seed=1), target) > 0


def test_the_divergence_of_two_frames_is_zero_as_in_openstl() -> None:
    assert differential_divergence(frames(count=2, seed=1), frames(count=2)) == 0


def test_the_divergence_stays_finite_far_from_the_target() -> None:
    predicted = (1000 * frames(count=4, seed=1)).requires_grad_()
    divergence = differential_divergence(predicted, frames(count=4))
    divergence.backward()  # type: ignore[no-untyped-call]
    assert divergence.isfinite()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(18, 16), (2, 16), (16, 6)])
def test_says_which_frames_do_not_fit(height: int, width: int) -> None:
    with pytest.raises(RequestError, match=f"{height}x{width} pixels; this network needs multiples of 4"):
        build_tau(1, height, width, 3)
