"""Terms of the loss against formulas written for them alone, in loops of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.training.terms import (
    BinaryCrossEntropy,
    GradientDifference,
    LossTerm,
    MeanSquaredError,
    TemporalDifference,
    composite_loss,
)


def frames(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape or (2, 4, 3, 6, 5), generator=torch.Generator().manual_seed(seed))


def as_numpy(*tensors: Tensor) -> list[NDArray[np.float64]]:
    return [tensor.double().numpy() for tensor in tensors]


def cross_entropy(prediction: Tensor, target: Tensor, eps: float) -> float:
    p, t = as_numpy(prediction, target)
    p = np.clip(p, eps, 1 - eps)
    return float(np.mean([-(y * np.log(x) + (1 - y) * np.log(1 - x)) for x, y in zip(p.flat, t.flat, strict=True)]))


def gradient_difference(prediction: Tensor, target: Tensor) -> float:
    """Mathieu et al. 2016, equation 6 with alpha 1, each direction's mean."""
    p, t = as_numpy(prediction, target)
    height, width = p.shape[-2:]
    down, across = [], []
    for i in range(height):
        for j in range(width):
            if i:
                down.append(abs(abs(t[..., i, j] - t[..., i - 1, j]) - abs(p[..., i, j] - p[..., i - 1, j])))
            if j:
                across.append(abs(abs(t[..., i, j - 1] - t[..., i, j]) - abs(p[..., i, j - 1] - p[..., i, j])))
    return float(np.mean(down) + np.mean(across))


def temporal_difference(prediction: Tensor, target: Tensor, temperature: float) -> float:
    """Tan et al. 2023 (TAU), section 3.3: KL(softmax of our changes, softmax of theirs), the mean over pixels."""
    p, t = as_numpy(prediction, target)
    found = []
    for b in range(len(p)):
        for step in range(1, p.shape[1]):
            ours, theirs = (np.exp((x[b, step] - x[b, step - 1]).ravel() / temperature) for x in (p, t))
            ours, theirs = ours / ours.sum(), theirs / theirs.sum()
            found.append(ours * np.log(ours / theirs))
    return float(np.mean(found))


def test_cross_entropy_is_the_formula() -> None:
    prediction, target = 1.4 * frames(0) - 0.2, frames(1)
    for eps in (1e-4, 0.05):
        found = BinaryCrossEntropy(eps=eps).compute(prediction, target)
        assert found.item() == pytest.approx(cross_entropy(prediction, target, eps), rel=1e-5)


def test_a_clamped_prediction_has_no_gradient_but_a_finite_loss() -> None:
    prediction = torch.tensor([-3.0, 0.25, 4.0]).view(1, 1, 1, 1, 3).requires_grad_()
    loss = BinaryCrossEntropy().compute(prediction, torch.tensor([1.0, 1.0, 0.0]).view(1, 1, 1, 1, 3))
    loss.backward()
    assert loss.isfinite()
    assert prediction.grad is not None
    assert prediction.grad.flatten().tolist() == pytest.approx([0.0, -1 / 0.25 / 3, 0.0])


def test_gradient_difference_is_the_formula() -> None:
    prediction, target = frames(0), frames(1)
    found = GradientDifference().compute(prediction, target)
    assert found.item() == pytest.approx(gradient_difference(prediction, target), rel=1e-5)
    assert GradientDifference().compute(target + 0.5, target).item() == pytest.approx(
        0, abs=1e-6
    )  # a brighter frame is as sharp


def test_temporal_difference_is_the_formula() -> None:
    prediction, target = frames(0), frames(1)
    for temperature in (0.1, 1.0):
        found = TemporalDifference(temperature=temperature).compute(prediction, target)
        assert found.item() == pytest.approx(temporal_difference(prediction, target, temperature), rel=1e-4)
    assert TemporalDifference().compute(target, target).item() == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("count", [1, 2])
def test_temporal_difference_of_two_frames_or_fewer_is_nothing(count: int) -> None:
    prediction = frames(0, 2, count, 1, 4, 4).requires_grad_()
    loss = TemporalDifference().compute(prediction, frames(1, 2, count, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert prediction.grad is not None
    assert not prediction.grad.any()


@pytest.mark.parametrize(
    "term", [BinaryCrossEntropy(), GradientDifference(), TemporalDifference()], ids=lambda term: term.name
)
def test_gradients_are_derivatives_and_better_predictions_cost_less(term: LossTerm) -> None:
    target, start = frames(1).double(), frames(0).double()
    prediction = (0.1 + 0.8 * start).requires_grad_()
    loss = term.compute(prediction, target)
    loss.backward()
    assert prediction.grad is not None
    direction = frames(2).double() - 0.5
    step = 1e-7
    with torch.no_grad():
        ahead, behind = (term.compute(prediction + sign * step * direction, target) for sign in (1, -1))
        nearer = term.compute(prediction + 0.5 * (target - prediction), target)
    assert (prediction.grad * direction).sum().item() == pytest.approx(((ahead - behind) / (2 * step)).item(), rel=1e-4)
    assert nearer < loss


def test_terms_add_up_with_their_weights_as_training_goes() -> None:
    prediction, target = frames(0), frames(1)
    terms = (MeanSquaredError(weight=0.5), BinaryCrossEntropy(weight=2.0, start=0.25, ramp=0.5))
    entropy = cross_entropy(prediction, target, 1e-4)
    for progress, weight in ((0.0, 0.0), (0.25, 0.0), (0.5, 1.0), (0.75, 2.0), (1.0, 2.0)):
        expected = 0.5 * (prediction - target).square().mean().item() + weight * entropy
        assert composite_loss(prediction, target, terms, progress).item() == pytest.approx(expected, rel=1e-5)
