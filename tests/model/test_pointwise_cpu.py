"""On the CPU the pointwise part of a step is that of the plain code, in the layouts in which convolutions leave the gates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.model import pointwise as plain
from harness.model import pointwise_cpu as cpu

TOLERANCE = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}
"""Absolute and relative: two to three units in the last place of a value near 1."""

NCHW, NHWC = torch.contiguous_format, torch.channels_last
CASES = pytest.mark.parametrize(
    ("kind", "layout"),
    [(torch.float32, NCHW), (torch.float32, NHWC), (torch.float16, NHWC), (torch.bfloat16, NHWC)],
    ids=["float32 NCHW", "float32 NHWC", "float16 NHWC", "bfloat16 NHWC"],
)


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def laid_out(values: Tensor, kind: torch.dtype, layout: torch.memory_format) -> Tensor:
    return values.to(kind, copy=True).contiguous(memory_format=layout)


@CASES
@pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])
def test_a_step_there_and_back_is_that_of_the_plain_code(
    first: bool, kind: torch.dtype, layout: torch.memory_format
) -> None:
    size = 2, 3, 4, 5
    sums = 3 * noise(2, 12, 4, 5, seed=0)
    sums[0, 0, 0, 0], sums[-1, -1, -1, -1], sums[0, -1, 0, 0] = 200, -200, 1e-4  # no overflow; a candidate near 0
    before = None if first else noise(*size, seed=1)
    hidden_grad, cell_grad = noise(*size, seed=2).to(kind), noise(*size, seed=3)
    found: list[list[Tensor]] = []
    for module in (cpu, plain):
        gates, hidden = laid_out(sums, kind, layout), laid_out(torch.zeros(size), kind, layout)
        cell = module.lstm_update(gates, before, hidden)
        again = module.lstm_cell(gates, before)
        found.append([hidden, cell, again, module.lstm_update_backward(gates, before, cell, hidden_grad, cell_grad), gates])
    assert cpu.takes(gates)
    torch.testing.assert_close(*found, rtol=TOLERANCE[kind], atol=TOLERANCE[kind])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_the_backward_pass_computes_the_cell_as_the_forward_pass_did(kind: torch.dtype) -> None:
    gates, before = laid_out(noise(2, 12, 4, 5, seed=0), kind, NHWC), noise(2, 3, 4, 5, seed=1)
    cell = cpu.lstm_update(gates, before, laid_out(torch.zeros(2, 3, 4, 5), kind, NHWC))
    assert torch.equal(cpu.lstm_cell(gates, before), cell)


def test_gates_in_another_order_are_left_to_the_plain_code() -> None:
    gates = torch.zeros(2, 12, 4, 5)
    assert cpu.takes(gates)
    assert not cpu.takes(gates.transpose(0, 1))
    assert not cpu.takes(gates.bfloat16())
    assert not cpu.takes(gates.double())
    assert not cpu.takes(gates.to("meta"))
