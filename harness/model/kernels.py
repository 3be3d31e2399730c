"""Triton kernels of the pointwise part of a ConvLSTM step. Importing this needs Triton; `harness.model.fused` launches them.

In memory the gates are (rows, 4, inner) and everything else is (rows, inner), whatever the layout: NCHW has a row for each
sequence and C * H * W values in it, NHWC a row for each pixel and C values in it. All arithmetic is in float32.

Triton looks up what an annotation names when it compiles, and knows its own names alone: hence arguments without one.
"""

from __future__ import annotations

import triton
import triton.language as tl

BLOCK = 1024
"""Values that one program works on."""


@triton.jit
def sigmoid(x):
    """Without a large exponential, which would overflow."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, small) / (1.0 + small)


@triton.jit
def tanh(x):
    """Good to 1e-7 in absolute terms."""
    small = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - small) / (1.0 + small)
    return tl.where(x >= 0, size, -size)


@triton.jit
def update(gates, before, cell, hidden, count, inner, squash: tl.constexpr, block: tl.constexpr):
    """Gates and the cell state before (None: zeros) -> `cell`; of `count` values.

    With `squash` the gates are sums: their values are written in their place, and `hidden` is written.
    """
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < count
    place = gates + (at // inner * 4 * inner + at % inner)
    in_gate = tl.load(place, mask=inside, other=0.0)
    forget_gate = tl.load(place + inner, mask=inside, other=0.0)
    out_gate = tl.load(place + 2 * inner, mask=inside, other=0.0)
    candidate = tl.load(place + 3 * inner, mask=inside, other=0.0)
    if squash:  # rounded before they are used: backward sees what is kept
        kind = gates.dtype.element_ty
        in_gate = sigmoid(in_gate.to(tl.float32)).to(kind)
        forget_gate = sigmoid(forget_gate.to(tl.float32)).to(kind)
        out_gate = sigmoid(out_gate.to(tl.float32)).to(kind)
        candidate = tanh(candidate.to(tl.float32)).to(kind)
        tl.store(place, in_gate, mask=inside)
        tl.store(place + inner, forget_gate, mask=inside)
        tl.store(place + 2 * inner, out_gate, mask=inside)
        tl.store(place + 3 * inner, candidate, mask=inside)
    total = in_gate.to(tl.float32) * candidate.to(tl.float32)
    if before is not None:
        total += forget_gate.to(tl.float32) * tl.load(before + at, mask=inside, other=0.0)
    tl.store(cell + at, total, mask=inside)
    if squash:
        tl.store(hidden + at, (out_gate.to(tl.float32) * tanh(total)).to(hidden.dtype.element_ty), mask=inside)


@triton.jit
def update_backward(
    gates,
    before,
    cell,
    hidden_grad,
    cell_grad,
    before_grad,
    count,
    inner,
    block: tl.constexpr,
):
    """Overwrites the gates' values with the gradients of their sums, and writes `before_grad`."""
    at = tl.program_id(0) * block + tl.arange(0, block)
    inside = at < count
    kind = gates.dtype.element_ty
    place = gates + (at // inner * 4 * inner + at % inner)
    in_gate = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    forget_gate = tl.load(place + inner, mask=inside, other=0.0).to(tl.float32)
    out_gate = tl.load(place + 2 * inner, mask=inside, other=0.0).to(tl.float32)
    candidate = tl.load(place + 3 * inner, mask=inside, other=0.0).to(tl.float32)
    squashed = tanh(tl.load(cell + at, mask=inside, other=0.0))
    for_hidden = tl.load(hidden_grad + at, mask=inside, other=0.0).to(tl.float32)
    for_cell = tl.load(cell_grad + at, mask=inside, other=0.0) + for_hidden * out_gate * (1.0 - squashed * squashed)
    for_forget = for_cell * 0.0
    if before is not None:
        for_forget = for_cell * tl.load(before + at, mask=inside, other=0.0) * (1.0 - forget_gate) * forget_gate
    tl.store(before_grad + at, for_cell * forget_gate, mask=inside)
    tl.store(place, (for_cell * candidate * (1.0 - in_gate) * in_gate).to(kind), mask=inside)
    tl.store(place + inner, for_forget.to(kind), mask=inside)
    tl.store(place + 2 * inner, (for_hidden * squashed * (1.0 - out_gate) * out_gate).to(kind), mask=inside)
    tl.store(place + 3 * inner, (for_cell * in_gate * (1.0 - candidate * candidate)).to(kind), mask=inside)
