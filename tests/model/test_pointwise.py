"""The pointwise part of a step is its equations, there and back."""

from __future__ import annotations

import pytest
import torch
from networks import noise
from torch import Tensor

from harness.model.pointwise import PLAIN, lstm_cell, lstm_update, lstm_update_backward

SIZE = 2, 3, 4, 5
FIRST = pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])


def equations(sums: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
    """Hidden and cell state after the step, of the sums in the order input, forget, output, candidate."""
    i, f, o, g = sums.chunk(4, dim=1)
    cell = i.sigmoid() * g.tanh() + (0 if before is None else f.sigmoid() * before)
    return o.sigmoid() * cell.tanh(), cell


@FIRST
def test_a_step_is_its_equations_and_leaves_the_gates_in_place_of_their_sums(first: bool) -> None:
    sums, before = noise(2, 12, 4, 5), None if first else noise(*SIZE, seed=1)
    gates, hidden = sums.clone(), torch.empty(SIZE)
    cell = lstm_update(gates, before, hidden)
    torch.testing.assert_close((hidden, cell), equations(sums, before))
    torch.testing.assert_close(gates, torch.cat([sums[:, :9].sigmoid(), sums[:, 9:].tanh()], dim=1))
    torch.testing.assert_close(lstm_cell(gates, before), cell)


@FIRST
def test_the_way_back_is_autograds(first: bool) -> None:
    sums = noise(2, 12, 4, 5).requires_grad_()
    before = None if first else noise(*SIZE, seed=1).requires_grad_()
    hidden_grad, cell_grad = noise(*SIZE, seed=2), noise(*SIZE, seed=3)
    expected = torch.autograd.grad(
        equations(sums, before), [one for one in (sums, before) if one is not None], (hidden_grad, cell_grad)
    )
    gates, state = sums.detach().clone(), None if before is None else before.detach()
    cell = lstm_update(gates, state, torch.empty(SIZE))
    before_grad = lstm_update_backward(gates, state, cell, hidden_grad, cell_grad)
    torch.testing.assert_close(gates, expected[0])
    if not first:
        torch.testing.assert_close(before_grad, expected[1])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16], ids=str)
def test_the_cell_state_stays_in_float32(kind: torch.dtype) -> None:
    gates, hidden = noise(2, 12, 4, 5).to(kind), torch.empty(SIZE, dtype=kind)
    first = lstm_update(gates, None, hidden)
    second = lstm_update(noise(2, 12, 4, 5, seed=1).to(kind), first, hidden)
    assert (first.dtype, second.dtype, hidden.dtype) == (torch.float32, torch.float32, kind)
    torch.testing.assert_close(second, equations(noise(2, 12, 4, 5, seed=1), first)[1], rtol=2e-2, atol=2e-2)


def test_the_plain_functions_are_the_ones_that_others_must_equal() -> None:
    assert (lstm_update, lstm_cell, lstm_update_backward) == PLAIN
