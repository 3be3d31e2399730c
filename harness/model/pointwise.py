"""The pointwise part of a ConvLSTM step in plain torch: what the fused kernels must equal, and what runs where they cannot.

Shapes: B batch, C channels of the state, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


def lstm_update(gates: Tensor, cell: Tensor | None, hidden: Tensor) -> Tensor:
    """The pointwise part of a step.

    Args:
        gates: the sums before the nonlinearities (B, 4C, H, W); the gates' values are written in their place.
        cell: the cell state (B, C, H, W) in float32; None for zeros.
        hidden: where the new hidden state (B, C, H, W) is written.

    Returns:
        The new cell state, float32.
    """
    in_gate, forget_gate, out_gate, candidate = gates.chunk(4, dim=1)
    for gate in (in_gate, forget_gate, out_gate):
        gate.sigmoid_()
    candidate.tanh_()
    cell = lstm_cell(gates, cell)
    torch.mul(out_gate, torch.tanh(cell), out=hidden)
    return cell


def lstm_cell(gates: Tensor, cell: Tensor | None) -> Tensor:
    """The new cell state, float32, from the gates' values (B, 4C, H, W) and the state before (None: zeros)."""
    in_gate, forget_gate, _, candidate = gates.chunk(4, dim=1)
    if cell is None:
        return in_gate.float() * candidate
    return (forget_gate * cell).addcmul_(in_gate, candidate)


def lstm_update_backward(
    gates: Tensor, before: Tensor | None, cell: Tensor, hidden_grad: Tensor, cell_grad: Tensor
) -> Tensor:
    """The gradient of `lstm_update`: overwrites the gates' values with that of their sums, returns that of the cell before."""
    in_gate, forget_gate, out_gate, candidate = gates.chunk(4, dim=1)
    squashed = torch.tanh(cell)
    cell_grad = cell_grad + torch.ops.aten.tanh_backward(hidden_grad * out_gate, squashed)
    before_grad = cell_grad * forget_gate
    for_in, for_candidate = cell_grad * candidate, cell_grad * in_gate
    sigmoid_grad, tanh_grad = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input
    sigmoid_grad(for_in, in_gate, grad_input=in_gate)
    if before is None:
        forget_gate.zero_()
    else:
        sigmoid_grad(cell_grad * before, forget_gate, grad_input=forget_gate)
    sigmoid_grad(hidden_grad * squashed, out_gate, grad_input=out_gate)
    tanh_grad(for_candidate, candidate, grad_input=candidate)
    return before_grad


class Pointwise(NamedTuple):
    """The three functions above, or three that do the same."""

    update: Callable[[Tensor, Tensor | None, Tensor], Tensor]
    cell: Callable[[Tensor, Tensor | None], Tensor]
    backward: Callable[[Tensor, Tensor | None, Tensor, Tensor, Tensor], Tensor]


PLAIN = Pointwise(lstm_update, lstm_cell, lstm_update_backward)
