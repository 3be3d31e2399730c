"""Optimizers against their formulas, and trainings that are resumed with each."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trainings import PowerCut, assert_same_training, cell_of, cut_at, train

from harness.data.source import Source
from harness.errors import RequestError
from harness.model.build import build_model, mark_gates
from harness.training.build import build_optimizer
from harness.training.matrix_optimizers import COEFFICIENTS, LionOptimizer, MuonOptimizer, Together, orthogonalized
from harness.training.optimizers import SGD, AdamW, Lion, Muon


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- Muon


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (6, 6), (3, 4, 9)])
def test_newton_schulz_comes_near_the_singular_vectors_product(shape: tuple[int, ...]) -> None:
    left, _, right = torch.linalg.svd(noise(*shape), full_matrices=False)
    turned = left.mT @ orthogonalized(noise(*shape)) @ right.mT  # diagonal in the bases of the singular vectors
    values = turned.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(turned, torch.diag_embed(values))
    assert values.min() > 0.6
    assert values.max() < 1.25


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


@pytest.mark.parametrize(
    ("variant", "counts"),
    [
        (
            "base",
            {"encoder.0.input_weight": 4, "encoder.1.state_weight": 4, "forecaster.0.constant_weight": 4, "up.0.weight": 1},
        ),
        ("convgru", {"encoder.0.input_weight": 3, "encoder.1.state_weight": 3, "forecaster.0.constant_weight": 3}),
        ("convlstm-stack", {"cells.0.input.weight": 4, "cells.1.state.weight": 4}),
        (
            "predrnn",
            {"cells.0.input.weight": 7, "cells.0.state.weight": 4, "cells.1.memory.weight": 3, "cells.0.output.weight": 1},
        ),
        (
            "predrnn-pp",
            {"cells.0.input.weight": 7, "cells.0.cell.weight": 3, "cells.1.new_cell.weight": 4, "highway.input.weight": 2},
        ),
        ("phydnet", {"residual.0.gates.weight": 4, "physical.gain.weight": 1}),
    ],
)
def test_gates_that_share_a_weight_are_matrices_of_their_own(variant: str, counts: dict[str, int], source: Source) -> None:
    cell, _ = cell_of(variant=variant, source=source)
    model = build_model(cell.experiment.architecture, source.shape, 0)
    assert {name: getattr(model.get_parameter(name), "matrices", 1) for name in counts} == counts
    for name, parameter in model.named_parameters():
        assert parameter.shape[0] % getattr(parameter, "matrices", 1) == 0, name


def test_muon_leaves_biases_gains_and_the_head_to_others() -> None:
    shapes = {
        "body.weight": (6, 4),
        "body.bias": (6,),
        "gain": (6, 1, 1),
        "scalar": (),
        "head.weight": (2, 6),
        "mix": (1, 6, 3, 3),
    }
    named = {name: nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
    optimizer = Muon(lr=0.03, others=AdamW(lr=1e-3)).build(named.items())
    assert isinstance(optimizer, Together)
    ours, others = ([id(one) for one in group["params"]] for group in optimizer.param_groups)
    assert ours == [id(named[name]) for name in ("body.weight", "mix")]
    assert others == [id(named[name]) for name in ("body.bias", "gain", "scalar", "head.weight")]
    assert [group["lr"] for group in optimizer.param_groups] == [0.03, 1e-3]
    only = {"bias": named["body.bias"]}
    assert isinstance(Muon().build(only.items()), torch.optim.AdamW)
    assert isinstance(Muon().build({"w": named["mix"]}.items()), MuonOptimizer)


@pytest.mark.parametrize("others", [None, Muon()])
def test_muon_needs_another_optimizer_beside_it(others: Any) -> None:
    with pytest.raises(RequestError, match=r"training\.optimizer\.others needs"):
        Muon(others=others)


# --- Lion


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


def test_sgd_is_that_of_torch() -> None:
    built = SGD(lr=0.2, momentum=0.8, nesterov=True, weight_decay=0.1).build([("weight", nn.Parameter(torch.zeros(2)))])
    (group,) = built.param_groups
    assert {key: group[key] for key in ("lr", "momentum", "nesterov", "weight_decay")} == {
        "lr": 0.2,
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 0.1,
    }
    assert not SGD(momentum=0.0).build([("weight", nn.Parameter(torch.zeros(2)))]).param_groups[0]["nesterov"]


# --- several as one, and their states


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


def test_every_part_of_together_has_its_own_peak(source: Source) -> None:
    cell, _ = cell_of({"training.optimizer": "muon(lr=0.5, others=lion(lr=0.25))"}, source=source)
    optimizer = build_optimizer(cell.experiment, build_model(cell.experiment.architecture, source.shape, 0))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert isinstance(optimizer, Together)
    assert [type(part) for part in optimizer.parts] == [MuonOptimizer, LionOptimizer]


@pytest.mark.parametrize("optimizer", ["sgd", "sgd(momentum=0)", "lion", "muon", "muon(others=sgd)"])
@pytest.mark.parametrize("save_every", [60, 0], ids=["at-validations", "every-step"])
def test_a_training_that_is_cut_off_resumes_bit_for_bit(
    optimizer: str, save_every: float, source: Source, tmp_path: Path
) -> None:
    cell, _ = cell_of({"training.optimizer": optimizer, "training.steps": 9}, source=source)
    expected, undisturbed = train(cell, source, tmp_path / "undisturbed")
    with pytest.raises(PowerCut):
        train(cell, cut_at(5, source), tmp_path / "cut", save_every=save_every)
    found, resumed = train(cell, source, tmp_path / "cut")
    assert_same_training(resumed, undisturbed)
    assert found["checkpoint_sha256"] == expected["checkpoint_sha256"]
