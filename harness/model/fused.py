"""The pointwise part of a ConvLSTM step as two Triton kernels: on CUDA, where Triton is installed and a trial agrees.

The functions here do what those of the same name in `harness.model.pointwise` do, in one launch each, and take the same arguments.
They neither wait for the device nor let data decide what is allocated, so that a CUDA graph can capture them.
"""

from __future__ import annotations

import warnings
from itertools import product

import torch
from torch import Tensor

from harness.model import pointwise as plain

TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""By how much the kernels may differ from the plain code, absolute and relative: the types' rounding, a few times."""

OPTIONS = {"enable_fp_fusion": False}
"""Of every launch. Multiply-adds are not contracted, as in the plain code; Triton's own default depends on its version."""

_sound: dict[tuple[torch.device, torch.dtype], bool] = {}


def takes(gates: Tensor) -> bool:
    """Whether the kernels can be used for gates like these, (B, 4C, H, W)."""
    return gates.is_cuda and gates.numel() < 2**31 and _layout(gates) is not None and ready(gates.device, gates.dtype)


def ready(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernels work here. The first call in a process for a device and a type tries them; call it before a capture.

    A trial compares them with the plain code on small random cases. If that fails in any way, a warning says so and the
    plain code is used from then on. Within a capture nothing can be tried, and the answer for what was not is no. (A
    kernel is compiled when it is first launched for a type, so a step that is to be captured should have run once before.)
    """
    if dtype not in TOLERANCE:
        return False
    if device == torch.device("cuda"):  # the one without an index
        device = torch.device("cuda", torch.cuda.current_device())
    if (device, dtype) not in _sound:
        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return False
        try:
            _try(device, dtype)
            _sound[device, dtype] = True
        except Exception as error:  # whatever a compiler, a driver or a missing package may raise
            _sound[device, dtype] = False
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            name = str(dtype).removeprefix("torch.")
            warnings.warn(
                f"fused ConvLSTM kernels are off for {name} on {device}, results are right but slower ({reason[:300]})",
                RuntimeWarning,
                stacklevel=2,
            )
    return _sound[device, dtype]


def lstm_update(gates: Tensor, cell: Tensor | None, hidden: Tensor) -> Tensor:
    """As `harness.model.pointwise.lstm_update`; `hidden` has the layout of the gates."""
    return _update(gates, cell, hidden)


def lstm_cell(gates: Tensor, cell: Tensor | None) -> Tensor:
    """As `harness.model.pointwise.lstm_cell`."""
    return _update(gates, cell, None)


def _update(gates: Tensor, before: Tensor | None, hidden: Tensor | None) -> Tensor:
    from harness.model import kernels

    layout, inner, count = _shape(gates)
    assert hidden is None or hidden.is_contiguous(memory_format=layout)
    cell = _empty_cell(gates, layout)
    before = None if before is None else _laid_out(before.float(), cell)
    with torch.cuda.device(gates.get_device()):
        kernels.update[(-(-count // kernels.BLOCK),)](
            gates, before, cell, hidden, count, inner, squash=hidden is not None, block=kernels.BLOCK, **OPTIONS
        )
    if hidden is not None:
        torch.autograd.graph.increment_version([gates, hidden])
    return cell


def lstm_update_backward(
    gates: Tensor, before: Tensor | None, cell: Tensor, hidden_grad: Tensor, cell_grad: Tensor
) -> Tensor:
    """As `harness.model.pointwise.lstm_update_backward`."""
    from harness.model import kernels

    layout, inner, count = _shape(gates)
    before_grad = _empty_cell(gates, layout)
    before = None if before is None else _laid_out(before.float(), before_grad)
    cell, cell_grad = (_laid_out(one.float(), before_grad) for one in (cell, cell_grad))
    hidden_grad = _laid_out(hidden_grad, before_grad)
    with torch.cuda.device(gates.get_device()):
        kernels.update_backward[(-(-count // kernels.BLOCK),)](
            gates, before, cell, hidden_grad, cell_grad, before_grad, count, inner, block=kernels.BLOCK, **OPTIONS
        )
    torch.autograd.graph.increment_version(gates)  # so that a second pass through the graph is refused, as by plain code
    return before_grad


POINTWISE = plain.Pointwise(lstm_update, lstm_cell, lstm_update_backward)


def _layout(gates: Tensor) -> torch.memory_format | None:
    layouts = (torch.contiguous_format, torch.channels_last)
    return next((layout for layout in layouts if gates.is_contiguous(memory_format=layout)), None)


def _shape(gates: Tensor) -> tuple[torch.memory_format, int, int]:
    """Layout; how many values of one gate lie together; how many values a gate has."""
    layout, (batch, channels, height, width) = _layout(gates), gates.shape
    assert layout is not None
    inner = channels // 4 * (height * width if layout == torch.contiguous_format else 1)
    return layout, inner, batch * channels // 4 * height * width


def _empty_cell(gates: Tensor, layout: torch.memory_format) -> Tensor:
    batch, channels, height, width = gates.shape
    shape = (batch, channels // 4, height, width)
    return torch.empty(shape, dtype=torch.float32, device=gates.device, memory_format=layout)


def _laid_out(values: Tensor, like: Tensor) -> Tensor:
    """A copy only if the layout differs."""
    layout = _layout(like)
    assert layout is not None
    return values.expand(like.shape).contiguous(memory_format=layout)


@torch.no_grad()
def _try(device: torch.device, dtype: torch.dtype) -> None:
    """Raises when the kernels do not do what the plain code does; does not touch the global random state."""
    generator = torch.Generator().manual_seed(0)

    def noise(layout: torch.memory_format, kind: torch.dtype, *shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, kind).contiguous(memory_format=layout)

    # Sizes that fill vectors and ones that do not are different kernels to the compiler; so is a first step.
    cases = (((2, 16, 8, 16), False), ((3, 5, 7, 11), False), ((2, 16, 8, 16), True))
    for layout, ((batch, channels, *size), first) in product((torch.contiguous_format, torch.channels_last), cases):
        sums = 3 * noise(layout, dtype, batch, 4 * channels, *size)
        hidden_grad = noise(layout, dtype, batch, channels, *size)
        state, cell_grad = (noise(layout, torch.float32, batch, channels, *size) for _ in range(2))
        before = None if first else state
        made, expected = sums.clone(), sums.clone()
        hidden, expected_hidden = torch.empty_like(hidden_grad), torch.empty_like(hidden_grad)
        cell, expected_cell = lstm_update(made, before, hidden), plain.lstm_update(expected, before, expected_hidden)
        compare([made, hidden, cell], [expected, expected_hidden, expected_cell], dtype)
        compare([lstm_cell(expected, before)], [expected_cell], dtype)
        made.copy_(expected)  # a gate that was rounded the other way is tested above; its derivative would differ by more
        given = before, expected_cell, hidden_grad, cell_grad
        grad, expected_grad = lstm_update_backward(made, *given), plain.lstm_update_backward(expected, *given)
        compare([made, grad], [expected, expected_grad], dtype)


def compare(found: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    """Raises when they differ by more than `TOLERANCE`."""
    torch.testing.assert_close(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
