"""Building: weights follow from the seed alone, gates are marked, what is frozen is not counted."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from networks import SMALL, TINY, disturbed, experiment, frames

from harness.model.build import build_model, count_parameters, seeded, use_reference


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
def test_gates_that_share_a_weight_are_matrices_of_their_own(variant: str, counts: dict[str, int]) -> None:
    model = build_model(experiment(variant).architecture, TINY, 0)
    assert {name: getattr(model.get_parameter(name), "matrices", 1) for name in counts} == counts
    for name, parameter in model.named_parameters():
        assert parameter.shape[0] % getattr(parameter, "matrices", 1) == 0, name


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_shared_parts_start_equal_and_seeds_differ() -> None:
    base = build_model(SMALL, TINY, seed=0)
    deeper = build_model(dataclasses.replace(SMALL, widths=(4, 8, 8, 8), kernels=(5, 3, 3, 3)), TINY, seed=0)
    same = [name for name, p in base.named_parameters() if p.shape == deeper.get_parameter(name).shape]
    assert len(same) > 15
    assert all(torch.equal(base.get_parameter(name), deeper.get_parameter(name)) for name in same)
    other = build_model(SMALL, TINY, seed=1)
    assert not any(torch.equal(p, other.get_parameter(name)) for name, p in base.named_parameters())
    assert not torch.equal(base.get_parameter("up.0.weight")[:4], base.get_parameter("up.1.weight")[:4])


def test_building_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    build_model(SMALL, TINY, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_and_a_place_decide_what_is_drawn() -> None:
    def drawn(seed: int, place: str) -> float:
        with seeded(seed, place):
            return float(torch.rand(1))

    assert drawn(0, "head") == drawn(0, "head")
    assert len({drawn(0, "head"), drawn(1, "head"), drawn(0, "cell")}) == 3


def test_the_reference_is_one_function_with_the_fast_path_and_can_be_left_again() -> None:
    model = disturbed(build_model(SMALL, TINY, seed=0))
    layers = [module for module in model.modules() if hasattr(module, "plain")]
    assert len(layers) == 5
    with torch.no_grad():
        fast = model(frames(), 2)
        assert use_reference(model) is model
        assert all(layer.plain for layer in layers)
        torch.testing.assert_close(model(frames(), 2), fast)
        use_reference(model, False)
    assert not any(layer.plain for layer in layers)


def test_what_is_frozen_is_not_counted() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    assert count_parameters(model) == (3 * 4 + 4) + (4 * 2 + 2)
    model[0].requires_grad_(False)
    assert count_parameters(model) == 4 * 2 + 2
