"""The pointwise part of a ConvLSTM step on the CPU, arranged by what its kernels are good at.

Two facts decide (an AMD EPYC core; `benchmarks/kernels.py` measures them): torch's tanh of a CPU takes nine times as long as its
sigmoid, and a 16-bit NHWC gate, whose channels lie 4C apart, ten times as long as a float32 one that lies together. So tanh(x) is
2 sigmoid(2x) - 1 here, in float32, and NHWC gates are gathered, computed in float32, and kept in the gates' memory gate by gate
until the backward pass puts their gradients back in NHWC order.

The functions do what those of the same name in `harness.model.pointwise` do, to within the types' rounding.

Shapes: B batch, C channels of the state, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.model.pointwise import Pointwise


def takes(gates: Tensor) -> bool:
    """Whether these functions can be used for gates like these, (B, 4C, H, W): float32, or 16 bits in NHWC."""
    if gates.device.type != "cpu":
        return False
    if gates.is_contiguous():
        return gates.dtype == torch.float32
    return gates.dtype in (torch.float32, torch.bfloat16, torch.float16) and _native(gates).is_contiguous()


def lstm_update(gates: Tensor, cell: Tensor | None, hidden: Tensor) -> Tensor:
    """As `harness.model.pointwise.lstm_update`; in NHWC, the gates' memory then holds the values of each gate together."""
    values = _sums(gates)
    values[3].mul_(2)
    values.sigmoid_()
    values[3].mul_(2).sub_(1)
    if not gates.is_contiguous():
        values = _apart(gates).copy_(values).float()  # as rounded as the backward pass will find them
    new = _cell(values, None if cell is None else _ordered(cell, gates))
    torch.mul(values[2], _tanh(new), out=_ordered(hidden, gates))
    return _given_back(new, gates)


def lstm_cell(gates: Tensor, cell: Tensor | None) -> Tensor:
    """As `harness.model.pointwise.lstm_cell`, of gates that `lstm_update` left."""
    return _given_back(_cell(_values(gates), None if cell is None else _ordered(cell, gates)), gates)


def lstm_update_backward(
    gates: Tensor, before: Tensor | None, cell: Tensor, hidden_grad: Tensor, cell_grad: Tensor
) -> Tensor:
    """As `harness.model.pointwise.lstm_update_backward`, of gates that `lstm_update` left."""
    values = _values(gates)
    in_gate, forget_gate, out_gate, candidate = values.unbind()
    squashed = _tanh(_ordered(cell, gates))
    from_hidden = _ordered(hidden_grad, gates).float()
    total = torch.ops.aten.tanh_backward(from_hidden * out_gate, squashed).add_(_ordered(cell_grad, gates))
    grads = torch.empty_like(values)
    torch.mul(total, candidate, out=grads[0])
    if before is None:
        grads[1].zero_()
    else:
        torch.mul(total, _ordered(before, gates), out=grads[1])
    torch.mul(from_hidden, squashed, out=grads[2])
    torch.mul(total, in_gate, out=grads[3])
    torch.ops.aten.sigmoid_backward.grad_input(grads[:3], values[:3], grad_input=grads[:3])
    torch.ops.aten.tanh_backward.grad_input(grads[3], candidate, grad_input=grads[3])
    before_grad = total * forget_gate
    _interleaved(gates).copy_(grads)
    return _given_back(before_grad, gates)


POINTWISE = Pointwise(lstm_update, lstm_cell, lstm_update_backward)


def _tanh(values: Tensor) -> Tensor:
    return torch.sigmoid(values * 2).mul_(2).sub_(1)


def _cell(values: Tensor, before: Tensor | None) -> Tensor:
    in_gate, forget_gate, _, candidate = values.unbind()
    return in_gate * candidate if before is None else (forget_gate * before).addcmul_(in_gate, candidate)


def _native(tensor_BCHW: Tensor) -> Tensor:
    """In NHWC order, a view."""
    return tensor_BCHW.permute(0, 2, 3, 1)


def _ordered(tensor_BCHW: Tensor, gates: Tensor) -> Tensor:
    """A view in the order in which the gates lie in memory: (B, C, H, W), or (B, H, W, C) for NHWC."""
    return tensor_BCHW if gates.is_contiguous() else _native(tensor_BCHW)


def _given_back(ordered: Tensor, gates: Tensor) -> Tensor:
    return ordered if gates.is_contiguous() else ordered.permute(0, 3, 1, 2)


def _interleaved(gates: Tensor) -> Tensor:
    """The gates' memory as the convolutions see it: (4, B, C, H, W), or (4, B, H, W, C) for NHWC; a view."""
    batch, channels, height, width = gates.shape
    if gates.is_contiguous():
        return gates.view(batch, 4, channels // 4, height, width).transpose(0, 1)
    return _native(gates).view(batch, height, width, 4, channels // 4).movedim(-2, 0)


def _apart(gates: Tensor) -> Tensor:
    """The same memory, of NHWC gates, with each gate's values together: (4, B, H, W, C), contiguous; a view."""
    memory = _native(gates)
    return memory.view(4, *memory.shape[:3], -1)


def _sums(gates: Tensor) -> Tensor:
    """float32; of NCHW a view of the gates."""
    return _interleaved(gates) if gates.is_contiguous() else _interleaved(gates).contiguous().float()


def _values(gates: Tensor) -> Tensor:
    """What `lstm_update` left, float32; of float32 a view of the gates."""
    return _interleaved(gates) if gates.is_contiguous() else _apart(gates).float()
