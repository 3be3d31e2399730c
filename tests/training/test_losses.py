"""The training losses: value and gradient against pytorch-msssim and plain formulas."""

from __future__ import annotations

import pytest
import pytorch_msssim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.errors import RequestError
from harness.training.losses import ssim_loss
from harness.training.terms import (
    LossTerm,
    MeanAbsoluteError,
    MeanSquaredError,
    StructuralDissimilarity,
    composite_loss,
)

Terms = tuple[LossTerm, ...]


def terms(mse: float = 0.7, ssim: float = 0.3, mae: float = 0.0) -> Terms:
    return MeanSquaredError(weight=mse), StructuralDissimilarity(weight=ssim), MeanAbsoluteError(weight=mae)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def frames(*shape: int, seed: int = 0) -> Tensor:
    """Soft blobs on black, in [0, 1]."""
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.avg_pool2d(noise.flatten(0, -3), 5, 1, 2).reshape(shape)
    return ((smooth - 0.5) * 6).clamp(0, 1)


def value_and_gradient(loss, prediction: Tensor) -> tuple[Tensor, Tensor]:
    x = prediction.clone().requires_grad_()
    value = loss(x)
    value.backward()
    assert x.grad is not None
    return value.detach(), x.grad


def reference(prediction: Tensor, target: Tensor) -> Tensor:
    return 1 - pytorch_msssim.ssim(prediction.flatten(0, 1), target.flatten(0, 1), data_range=1.0)


@pytest.mark.parametrize("shape", [(2, 3, 1, 64, 64), (2, 2, 3, 32, 32), (1, 1, 1, 11, 11), (1, 2, 2, 13, 29)])
@pytest.mark.parametrize("kind", ["near", "far", "outside", "blank"])
def test_ssim_loss_has_the_value_and_gradient_of_pytorch_msssim(shape: tuple[int, ...], kind: str) -> None:
    target = frames(*shape)
    prediction = {
        "near": target + 0.05 * torch.randn(shape, generator=torch.Generator().manual_seed(3)),
        "far": frames(*shape, seed=1),
        "outside": 3 * frames(*shape, seed=2) - 1,
        "blank": torch.zeros(shape),
    }[kind]
    value, gradient = value_and_gradient(lambda x: ssim_loss(x, target), prediction)
    # In float64, so that only our own rounding is measured.
    expected, expected_gradient = value_and_gradient(lambda x: reference(x, target.double()), prediction.double())
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected.item(), abs=2e-6)
    largest = expected_gradient.abs().max().item()
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=0, atol=2e-4 * largest)


def test_the_gradient_is_the_derivative_of_the_value() -> None:
    shape = (1, 1, 1, 16, 18)
    target = frames(*shape).double()
    prediction = frames(*shape, seed=1)
    _, gradient = value_and_gradient(lambda x: ssim_loss(x, target), prediction)
    direction = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = 1e-5
    ahead, behind = (reference(prediction.double() + sign * step * direction, target) for sign in (1, -1))
    assert (gradient * direction).sum().item() == pytest.approx(((ahead - behind) / (2 * step)).item(), rel=1e-4)


def test_equal_frames_lose_nothing_and_pull_nowhere() -> None:
    target = frames(2, 2, 1, 32, 32)
    value, gradient = value_and_gradient(lambda x: ssim_loss(x, target), target)
    assert abs(value.item()) < 1e-6
    assert gradient.abs().max() < 1e-6


def test_a_pixel_above_one_keeps_its_gradient() -> None:
    target = frames(1, 1, 1, 16, 16)
    _, gradient = value_and_gradient(lambda x: ssim_loss(x, target), target + 1.5)
    assert gradient.any()


def test_leading_dimensions_and_layout_do_not_matter() -> None:
    x, y = frames(2, 3, 2, 16, 20), frames(2, 3, 2, 16, 20, seed=1)
    expected = ssim_loss(x, y)
    strided = x.permute(1, 0, 3, 4, 2).contiguous().permute(1, 0, 4, 2, 3)
    assert not strided.is_contiguous()
    torch.testing.assert_close(ssim_loss(strided, y), expected)
    torch.testing.assert_close(ssim_loss(x.reshape(12, 16, 20), y.reshape(12, 16, 20)), expected)
    assert ssim_loss(x[0, 0, 0], y[0, 0, 0]).ndim == 0


@pytest.mark.parametrize("weights", [terms(), terms(mse=0, ssim=1), terms(mse=0, ssim=0, mae=1), terms(mse=1, ssim=0)])
def test_autocast_changes_neither_value_nor_gradient(weights: Terms) -> None:
    target = frames(1, 2, 1, 32, 32)
    prediction = frames(1, 2, 1, 32, 32, seed=1).bfloat16()
    value, gradient = value_and_gradient(lambda x: composite_loss(x, target, weights), prediction)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast_value, cast_gradient = value_and_gradient(lambda x: composite_loss(x, target, weights), prediction)
    assert cast_value.dtype == torch.float32
    assert cast_gradient.dtype == torch.bfloat16
    assert torch.equal(value, cast_value)
    assert torch.equal(gradient, cast_gradient)


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0.01, 2))
@settings(max_examples=20, deadline=None)
def test_composite_is_the_weighted_sum(mse: float, ssim: float, l1: float) -> None:
    x, y = frames(1, 2, 1, 16, 16), frames(1, 2, 1, 16, 16, seed=1)
    expected = mse * (x - y).square().mean() + ssim * reference(x, y) + l1 * (x - y).abs().mean()
    found = composite_loss(x, y, terms(mse=mse, ssim=ssim, mae=l1))
    assert found.shape == ()
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_term_of_weight_zero_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Tensor:
        raise AssertionError("computed")

    x, y = frames(1, 1, 1, 16, 16), frames(1, 1, 1, 16, 16, seed=1)
    for name, weights in (
        ("harness.training.losses.ssim_loss", terms(mse=1, ssim=0, mae=1)),
        ("torch.nn.functional.mse_loss", terms(mse=0, ssim=1, mae=1)),
        ("torch.nn.functional.l1_loss", terms(mse=1, ssim=1)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, fail)
            assert composite_loss(x, y, weights).isfinite()
    # Frames that are too small for SSIM can be trained on without it.
    assert composite_loss(x[..., :8, :8], y[..., :8, :8], terms(mse=1, ssim=0)).isfinite()


def test_a_nan_prediction_gives_nan() -> None:
    x, y = frames(1, 1, 1, 16, 16), frames(1, 1, 1, 16, 16, seed=1)
    x[..., 3, 3] = float("nan")
    assert composite_loss(x, y, terms()).isnan()
    assert ssim_loss(x, y).isnan()


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(RequestError, match=r"at least 11x11.*\(1, 1, 1, 8, 8\).*loss.ssim=0"):
        composite_loss(torch.zeros(1, 1, 1, 8, 8), torch.zeros(1, 1, 1, 8, 8), terms())
    for loss in (ssim_loss, lambda x, y: composite_loss(x, y, terms(ssim=0))):
        with pytest.raises(RequestError, match="equal shapes"):
            loss(torch.zeros(1, 2, 1, 16, 16), torch.zeros(1, 1, 1, 16, 16))
