"""Operations are those of the list of layers."""

from __future__ import annotations

import pytest
import torch
from networks import PAPER, TINY, experiment

from harness.evaluation.cost import flops_per_sequence, forward_cost, training_flops
from harness.model.build import build_model, use_reference
from harness.presets import preset


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def closed_form(widths: tuple[int, ...], kernels: tuple[int, ...], shown: int, horizon: int, side: int) -> int:
    """Operations of the base for one sequence, from its list of layers; two a multiply-add.

    A convolution costs 2 * positions * kernel^2 * in * out. Four gates make 4 C outputs. A state's convolution is left out
    at a step that has no state before it; the constant input's is computed once.
    """

    def conv(side: int, kernel: int, inputs: int, outputs: int) -> int:
        return 2 * side * side * kernel * kernel * inputs * outputs

    total, last = 0, len(widths) - 1
    for level, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
        here, before = side >> level, widths[level - 1] if level else 1
        if level:
            total += shown * conv(here, 3, before, before)  # down
        total += shown * conv(here, kernel, before, 4 * width) + (shown - 1) * conv(here, kernel, width, 4 * width)
    total += horizon * conv(side >> last, kernels[last], widths[last], 4 * widths[last])  # the deepest rolls on
    for level in range(last):
        here, above, width = side >> level, widths[level + 1], widths[level]
        total += horizon * conv(here // 2, 3, above, above)  # up: every input position meets the whole kernel
        total += horizon * (conv(here, 3, above, 4 * width) + conv(here, 3, width, 4 * width)) + conv(
            here, 3, width, 4 * width
        )
    return total + horizon * conv(side, 1, widths[0], 1)


def test_operations_of_the_base_are_those_of_its_list_of_layers() -> None:
    paper = preset("paper")
    expected = closed_form((64, 128, 256), (5, 3, 3), 10, 10, 64)
    assert forward_cost(paper, PAPER, 10) == (8_713_601, expected)
    assert expected / 1e9 == pytest.approx(159, abs=1)
    small = preset("tiny").replace({"architecture.patch": 1})
    model = build_model(small.architecture, TINY, seed=0)
    assert flops_per_sequence(model, small, TINY) == closed_form((4, 8), (3, 3), 3, 3, 16)


def test_operations_of_residual_and_attention_are_counted_on_top() -> None:
    base = forward_cost(preset("tiny"), TINY, 3)[1]
    # One projection, 8 -> 4 channels at 8x8 pixels, three predicted frames.
    assert forward_cost(experiment("residual"), TINY, 3)[1] - base == 3 * 2 * 64 * 9 * 8 * 4
    # Two blocks on 16 positions of 8 channels: four products of C x C, two of C x 4C, and both products of attention.
    block = 2 * 16 * (4 * 8 * 8 + 2 * 8 * 32) + 2 * 2 * 16 * 16 * 8
    assert forward_cost(experiment("attention"), TINY, 3)[1] - base == 3 * 2 * block


@pytest.mark.parametrize("variant", ["base", "attention", "residual+attention"])
def test_operations_do_not_depend_on_the_device_that_counts(variant: str) -> None:
    chosen = experiment(variant)
    model = build_model(chosen.architecture, TINY, seed=0)
    assert flops_per_sequence(model, chosen, TINY) == forward_cost(chosen, TINY, 3)[1]
    assert flops_per_sequence(use_reference(model), chosen, TINY) >= forward_cost(chosen, TINY, 3)[1]


def test_every_view_is_paid_for() -> None:
    base, tta = experiment("base"), experiment("tta")
    model = build_model(base.architecture, TINY, seed=0)
    views = len(tta.inference.views)
    assert flops_per_sequence(model, tta, TINY) == views * flops_per_sequence(model, base, TINY)


def test_a_curriculum_pays_for_the_horizons_that_it_trains() -> None:
    base = training_flops(experiment("base"), TINY)
    assert base == 3 * 4 * 6 * forward_cost(preset("tiny"), TINY, 3)[1]
    cost = {horizon: forward_cost(preset("tiny"), TINY, horizon)[1] for horizon in (2, 3)}
    assert training_flops(experiment("curriculum"), TINY) == 3 * 4 * (3 * cost[2] + 3 * cost[3])
