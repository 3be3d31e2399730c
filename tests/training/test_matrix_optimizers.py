"""Muon, Lion and several optimizers as one, against their formulas."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from harness.model.build import mark_gates
from harness.training.matrix_optimizers import COEFFICIENTS, LionOptimizer, MuonOptimizer, Together, orthogonalized
from harness.training.optimizers import SGD, AdamW, Lion, Muon


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (6, 6), (3, 4, 9)])
def test_newton_schulz_comes_near_the_singular_vectors_product(shape: tuple[int, ...]) -> None:
    left, _, right = torch.linalg.svd(noise(*shape), full_matrices=False)
    turned = left.mT @ orthogonalized(noise(*shape)) @ right.mT  # diagonal in the bases of the singular vectors
    values = turned.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(turned, torch.diag_embed(values))
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_newton_schulz_in_float32_keeps_directions_far_below_the_largest() -> None:
    left, _, right = torch.linalg.svd(noise(4, 16, 40), full_matrices=False)
    matrices = left * torch.logspace(0, -5, 16, dtype=torch.float64) @ right  # singular values over five decades
    for one, found in zip(matrices, orthogonalized(matrices.float()), strict=True):
        expected = through_singular_values(one, 5)
        assert (found - expected).norm() < 1e-3 * expected.norm()


def through_singular_values(matrix: Tensor, steps: int) -> Tensor:
    """The same by the singular value decomposition: each iteration is a polynomial of the singular values."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    values = values / values.square().sum().sqrt()
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return left @ values.diag() @ right


@pytest.mark.parametrize(
    ("shape", "gates"), [((8, 5), 1), ((5, 8), 1), ((12, 2, 3, 3), 1), ((12, 2, 3, 3), 4), ((12, 1, 1, 2), 3)]
)
def test_muon_steps_along_the_orthogonal_part_of_its_momentum(shape: tuple[int, ...], gates: int) -> None:
    lr, momentum, decay = 0.02, 0.9, 0.1
    weight = nn.Parameter(noise(*shape))
    if gates > 1:
        mark_gates([weight], gates)
    optimizer = MuonOptimizer([weight], lr=lr, momentum=momentum, steps=5, weight_decay=decay)
    expected, buffer = weight.detach().clone(), torch.zeros(shape, dtype=torch.float64)
    for step in range(3):
        weight.grad = gradient = noise(*shape, seed=10 + step)
        optimizer.step()
        buffer = momentum * buffer + (1 - momentum) * gradient
        update = momentum * buffer + (1 - momentum) * gradient
        parts = [part.flatten(1) for part in update.chunk(gates)]
        rows, columns = parts[0].shape
        moved = torch.cat([through_singular_values(part, 5) for part in parts]).view(shape)
        expected = expected * (1 - lr * decay) - lr * max(1.0, rows / columns) ** 0.5 * moved
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-8)


def test_lion_steps_by_the_sign_of_an_interpolated_momentum() -> None:
    lr, beta1, beta2, decay = 0.01, 0.9, 0.99, 0.1
    weight = nn.Parameter(noise(3, 4))
    optimizer = Lion(lr=lr, beta1=beta1, beta2=beta2, weight_decay=decay).build([("weight", weight)])
    assert isinstance(optimizer, LionOptimizer)
    expected, momentum = weight.detach().clone(), torch.zeros(3, 4, dtype=torch.float64)
    for step in range(4):
        weight.grad = gradient = noise(3, 4, seed=10 + step)
        optimizer.step()
        sign = (beta1 * momentum + (1 - beta1) * gradient).sign()
        expected = expected - lr * (sign + decay * expected)
        momentum = beta2 * momentum + (1 - beta2) * gradient
        torch.testing.assert_close(weight.detach(), expected)


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    for component in (Lion(), Muon(), SGD()):
        weights = [nn.Parameter(torch.ones(3, 3)) for _ in range(2)]
        optimizer = component.build([("first", weights[0]), ("second", weights[1])])
        weights[0].grad = torch.eye(3)
        optimizer.step()
        assert not torch.equal(weights[0], torch.ones(3, 3))
        assert torch.equal(weights[1], torch.ones(3, 3))


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        for index, parameter in enumerate(model.parameters()):
            parameter.grad = noise(*parameter.shape, seed=100 * step + index).float()
        optimizer.step()


def test_togethers_state_goes_out_and_in_again() -> None:
    component = Muon(others=AdamW(lr=0.1))
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = component.build(model.named_parameters())
    assert isinstance(optimizer, Together)
    steps(model, optimizer, 0, 3)
    saved = copy.deepcopy(optimizer.state_dict())
    assert [len(group["params"]) for group in saved["param_groups"]] == [2, 2]
    assert sorted(saved["state"]) == [0, 1, 2, 3]
    assert [sorted(saved["state"][at]) for at in (0, 2)] == [["momentum_buffer"], ["exp_avg", "exp_avg_sq", "step"]]

    other = copy.deepcopy(model)
    restored = component.build(other.named_parameters())
    for group in restored.param_groups:
        group["lr"] = 123.0
    restored.load_state_dict(saved)
    assert [group["lr"] for group in restored.param_groups] == [0.02, 0.1]
    again = restored.state_dict()
    assert again["param_groups"] == saved["param_groups"]
    for at, kept in saved["state"].items():
        assert all(torch.equal(again["state"][at][key], value) for key, value in kept.items())
    steps(model, optimizer, 3, 5)
    steps(other, restored, 3, 5)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), other.parameters(), strict=True))
