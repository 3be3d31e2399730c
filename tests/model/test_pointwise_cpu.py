"""On the CPU the pointwise part of a step is that of the plain code, in the layouts in which convolutions leave the gates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.model import pointwise as plain
from harness.model import pointwise_cpu as cpu

TOLERANCE = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Absolute and relative: two to three units in the last place of a value near 1."""

KINDS = pytest.mark.parametrize("kind", list(TOLERANCE), ids=str)


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def as_convolutions_leave(values: Tensor, kind: torch.dtype) -> Tensor:
    layout = torch.contiguous_format if kind == torch.float32 else torch.channels_last
    return values.to(kind, copy=True).contiguous(memory_format=layout)


@KINDS
@pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])
def test_a_step_there_and_back_is_that_of_the_plain_code(first: bool, kind: torch.dtype) -> None:
    size = 2, 3, 4, 5
    sums = 3 * noise(2, 12, 4, 5, seed=0)
    sums[0, 0, 0, 0], sums[-1, -1, -1, -1], sums[0, -1, 0, 0] = 200, -200, 1e-4  # no overflow; a candidate near 0
    before = None if first else noise(*size, seed=1)
    hidden_grad, cell_grad = noise(*size, seed=2).to(kind), noise(*size, seed=3)
    found: list[list[Tensor]] = []
    for module in (cpu, plain):
        gates, hidden = as_convolutions_leave(sums, kind), as_convolutions_leave(torch.zeros(size), kind)
        cell = module.lstm_update(gates, before, hidden)
        again = module.lstm_cell(gates, before)
        found.append([hidden, cell, again, module.lstm_update_backward(gates, before, cell, hidden_grad, cell_grad), gates])
    assert cpu.takes(gates)
    torch.testing.assert_close(*found, rtol=TOLERANCE[kind], atol=TOLERANCE[kind])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_the_backward_pass_computes_the_cell_as_the_forward_pass_did(kind: torch.dtype) -> None:
    gates = as_convolutions_leave(noise(2, 12, 4, 5, seed=0), kind)
    before = noise(2, 3, 4, 5, seed=1)
    cell = cpu.lstm_update(gates, before, as_convolutions_leave(torch.zeros(2, 3, 4, 5), kind))
    assert torch.equal(cpu.lstm_cell(gates, before), cell)


def test_gates_in_another_order_are_left_to_the_plain_code() -> None:
    gates = torch.zeros(2, 12, 4, 5)
    assert cpu.takes(gates)
    assert not cpu.takes(gates.to(memory_format=torch.channels_last))
    assert not cpu.takes(gates.bfloat16())
    assert not cpu.takes(gates.double())
    assert not cpu.takes(gates.to("meta"))
