"""One ConvLSTM layer: a fast implementation, and the plain reference that every faster path is tested against.

    i, f, o = sigmoid(Wx * x + Wh * h + b)      g = tanh(Wx * x + Wh * h + b)
    c' = f c + i g                              h' = o tanh(c')

with * a convolution with 'same' padding and no peepholes (Shi et al. 2015, arXiv:1506.04214, as the article reads it).

Shapes: T time, B batch, C channels, H height, W width. A layer works time-major, so that one step is contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import fused, pointwise, pointwise_cpu
from harness.model.build import mark_gates

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (B, C, H, W)."""

CHUNK_BYTES = 2**24
"""On the CPU a convolution of many frames runs in parts that each write at most this much."""


class ConvLSTM(nn.Module):
    """A ConvLSTM layer over a whole sequence.

    The four gates (input, forget, output, candidate) are one convolution. What does not depend on the state is
    computed for all steps at once: the input's convolution over T * B frames, that of a constant input once.

    Args:
        in_channels: channels of the input sequence.
        channels: channels of the state, and of the output.
        kernel: odd kernel size of both convolutions.
        constant_channels: channels of an input that stays the same over all steps; 0 for none.
        forget_bias: added to the forget gate's bias at initialisation.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel: int, *, constant_channels: int = 0, forget_bias: float = 0.0
    ) -> None:
        super().__init__()
        self.channels, self.kernel, self.forget_bias = channels, kernel, forget_bias
        gates = 4 * channels
        self.input_weight = nn.Parameter(torch.empty(gates, in_channels, kernel, kernel))
        self.state_weight = nn.Parameter(torch.empty(gates, channels, kernel, kernel))
        self.constant_weight = (
            nn.Parameter(torch.empty(gates, constant_channels, kernel, kernel)) if constant_channels else None
        )
        self.bias = nn.Parameter(torch.empty(gates))
        mark_gates([self.input_weight, self.state_weight, self.constant_weight], 4)
        self.plain = False
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan in), as torch's own convolutions; the forget gate's bias is raised by `forget_bias`."""
        weights = [w for w in (self.input_weight, self.constant_weight, self.state_weight) if w is not None]
        for weight in weights:
            nn.init.uniform_(weight, -(weight[0].numel() ** -0.5), weight[0].numel() ** -0.5)
        nn.init.uniform_(self.bias, -(self.input_weight[0].numel() ** -0.5), self.input_weight[0].numel() ** -0.5)
        with torch.no_grad():
            self.bias[self.channels : 2 * self.channels] += self.forget_bias

    def forward(
        self, inputs_TBCHW: Tensor | None, state: State | None = None, *, constant: Tensor | None = None, steps: int = 0
    ) -> tuple[Tensor, State]:
        """Runs the layer over the input, or for `steps` steps without one (a state is then needed).

        Returns the hidden states (T, B, C, H, W) and the last state. Without a state it starts from zeros.
        """
        if self.plain:
            return plain_convlstm(self, inputs_TBCHW, state, constant=constant, steps=steps)
        weights: list[Tensor | None] = [self.input_weight, self.constant_weight, self.state_weight, self.bias]
        device = self.bias.device.type
        # Autocast would cast the weights again at every use in here. It does not know the meta device.
        if not self.bias.is_meta and torch.is_autocast_enabled(device):
            kind = torch.get_autocast_dtype(device)
            weights = [None if one is None else one.to(kind) for one in weights]
        input_weight, constant_weight, weight, bias = weights
        assert bias is not None
        driven = steady = None
        if inputs_TBCHW is not None:
            steps = inputs_TBCHW.shape[0]
            convolve: Callable[..., Tensor] = Convolution.apply
            driven = _each_step(convolve(inputs_TBCHW.flatten(0, 1), input_weight, bias), steps)
            if constant is not None and constant_weight is not None:
                steady = convolve(constant, constant_weight, None)
        elif state is None or steps < 1:
            raise ValueError("a layer without an input needs a state and at least one step")
        hidden, cell = (None, None) if state is None else state
        recur: Callable[..., tuple[Tensor, Tensor]] = Recurrence.apply
        outputs, cell = recur(driven, steady, weight, None if driven is not None else bias, hidden, cell, steps)
        return outputs, (outputs[-1], cell)


class Convolution(torch.autograd.Function):
    """A 'same' convolution of many frames (N, C, H, W) -> (N, G, H, W), in chunks on the CPU.

    On the CPU a convolution of all frames is no faster than one of a few, and its library holds a second copy of what it
    reads and writes: at preset `paper` that was a fifth of a step's memory, and clearing it a tenth of its time.
    """

    @staticmethod
    def forward(ctx: Any, frames_NCHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The weight and the bias say in which type to compute."""
        frames_NCHW = frames_NCHW.to(weight.dtype)
        ctx.save_for_backward(frames_NCHW, weight)
        ctx.has_bias = bias is not None
        with _as_given(weight):
            parts = _chunks(frames_NCHW, weight)
            if len(parts) == 1:
                return F.conv2d(frames_NCHW, weight, bias, padding=weight.shape[-1] // 2)
            whole = _empty_like(frames_NCHW, len(frames_NCHW), weight.shape[0])
            for part in parts:
                whole[part] = F.conv2d(frames_NCHW[part], weight, bias, padding=weight.shape[-1] // 2)
            return whole

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the frames, the weight and the bias."""
        frames, weight = ctx.saved_tensors
        frames_grad: Tensor | None = None
        if ctx.needs_input_grad[0]:
            frames_grad = torch.empty_like(frames)
            for part in _chunks(frames, weight):
                frames_grad[part] = _convolution_backward(grad[part], frames[part], weight, (True, False))[0]
        bias_grad = grad.sum(dim=(0, 2, 3)) if ctx.has_bias else None
        return frames_grad, _weight_grad([(grad, frames)], weight), bias_grad


class Recurrence(torch.autograd.Function):
    """The recurrent part of a layer, with its own backward pass.

    Autograd would compute the weights' gradient step by step (here it is one convolution over all steps), and fill the
    input's gradient likewise. It would also keep seven values of every cell; this keeps five, the four gates and the hidden
    state, in memory that exists anyway: the gates replace the sums that the caller hands over, and their gradients replace
    the gates. Cell states, float32 whatever the type of the gates, are computed again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        driven_TBGHW: Tensor | None,
        steady_BGHW: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        hidden: Tensor | None,
        cell: Tensor | None,
        steps: int,
    ) -> tuple[Tensor, Tensor]:
        """What the input adds to the gates and the state -> hidden states (T, B, C, H, W), last cell state.

        Args:
            driven_TBGHW: what the input adds at every step; overwritten. None: nothing but `bias`.
            steady_BGHW: what a constant input adds at all of them; None: nothing.
        """
        with _as_given(weight):
            hidden = None if hidden is None else hidden.to(weight.dtype)
            first, before, padding = hidden, cell, weight.shape[-1] // 2
            gates = driven_TBGHW
            if gates is None:
                assert hidden is not None
                gates = _each_step(_empty_like(hidden, steps * len(hidden), weight.shape[0]), steps)
            outputs = _each_step(_empty_like(gates[0], steps * gates.shape[1], weight.shape[1]), steps)
            ctx.pointwise = pointwise = _pointwise(gates[0])
            for step in range(steps):
                if steady_BGHW is not None:
                    gates[step].add_(steady_BGHW)
                if hidden is not None:
                    total = F.conv2d(hidden, weight, bias, padding=padding)
                    gates[step].copy_(total) if driven_TBGHW is None else gates[step].add_(total)
                hidden = outputs[step]
                cell = pointwise.update(gates[step], cell, hidden)
        # Changed inputs that are saved are looked at by autograd: a second pass through the same graph raises.
        ctx.save_for_backward(weight, first, before, gates, outputs)
        ctx.has_driven, ctx.has_steady, ctx.has_bias = driven_TBGHW is not None, steady_BGHW is not None, bias is not None
        assert cell is not None
        return outputs, cell

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outputs_grad: Tensor, cell_grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the gates step by step, backwards in time; of the weights, for all steps at once."""
        weight, first, before, gates, outputs = ctx.saved_tensors
        cells = [before]
        for step in range(len(gates)):
            cells.append(ctx.pointwise.cell(gates[step], cells[-1]))
        from_next: Tensor | None = None
        for step in reversed(range(len(gates))):
            hidden_grad = outputs_grad[step] if from_next is None else outputs_grad[step] + from_next
            cell_grad = ctx.pointwise.backward(gates[step], cells[step], cells.pop(), hidden_grad, cell_grad)
            if step or first is not None:
                from_next = _convolution_backward(gates[step], outputs[step], weight, (True, False))[0]
        # Step t's convolution read the hidden state of step t - 1.
        pairs = [(gates[1:].flatten(0, 1), outputs[:-1].flatten(0, 1)), *([] if first is None else [(gates[0], first)])]
        has_state = first is not None
        return (
            gates if ctx.has_driven else None,
            _sum_of_steps(gates) if ctx.has_steady else None,
            _weight_grad(pairs, weight),
            gates.flatten(0, 1).sum(dim=(0, 2, 3)) if ctx.has_bias else None,
            from_next if has_state else None,
            cell_grad if has_state else None,
            None,
        )


def _empty_like(frames_NCHW: Tensor, count: int, channels: int) -> Tensor:
    """(count, channels, H, W), uninitialised, in the type and memory format of the frames."""
    nhwc = frames_NCHW.is_contiguous(memory_format=torch.channels_last) and not frames_NCHW.is_contiguous()
    return torch.empty(
        (count, channels, *frames_NCHW.shape[2:]),
        dtype=frames_NCHW.dtype,
        device=frames_NCHW.device,
        memory_format=torch.channels_last if nhwc else torch.contiguous_format,
    )


def _each_step(frames_NCHW: Tensor, steps: int) -> Tensor:
    return frames_NCHW.view(steps, -1, *frames_NCHW.shape[1:])


def _sum_of_steps(steps_TBGHW: Tensor) -> Tensor:
    """Over T. Shown NHWC in the order in which it lies, torch sums ten times as fast."""
    if steps_TBGHW.is_contiguous():
        return steps_TBGHW.sum(0)
    return steps_TBGHW.permute(0, 1, 3, 4, 2).sum(0).permute(0, 3, 1, 2)


def _as_given(weight: Tensor) -> AbstractContextManager[object]:
    return nullcontext() if weight.is_meta else torch.autocast(weight.device.type, enabled=False)


def _chunks(frames_NCHW: Tensor, weight: Tensor) -> list[slice]:
    """How to divide the frames: on the CPU so that what a convolution writes for a part stays below `CHUNK_BYTES`."""
    frames, _, height, width = frames_NCHW.shape
    size = frames
    if frames_NCHW.device.type == "cpu":
        size = max(1, CHUNK_BYTES // (weight.shape[0] * height * width * weight.element_size()))
    return [slice(start, start + size) for start in range(0, frames, size)]


def _weight_grad(pairs: Iterable[tuple[Tensor, Tensor]], weight: Tensor) -> Tensor | None:
    """The weight's gradient, summed over pairs of (gradients of what a convolution wrote, frames that it read)."""
    total: Tensor | None = None
    for grad, frames in pairs:
        for part in _chunks(frames, weight):
            found = _convolution_backward(grad[part], frames[part], weight, (False, True))[1]
            total = found.float() if total is None else total.add_(found)
    return None if total is None else total.to(weight.dtype)


def _convolution_backward(grad: Tensor, inputs: Tensor, weight: Tensor, wanted: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    """Gradients of a 'same' convolution with respect to (inputs, weight), as far as wanted."""
    padding = weight.shape[-1] // 2
    inputs_grad, weight_grad, _ = torch.ops.aten.convolution_backward(
        grad, inputs, weight, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], 1, [*wanted, False]
    )
    return inputs_grad, weight_grad


def _pointwise(gates: Tensor) -> pointwise.Pointwise:
    """What is fastest for gates like these (B, 4C, H, W)."""
    if fused.takes(gates):
        return fused.POINTWISE
    return pointwise_cpu.POINTWISE if pointwise_cpu.takes(gates) else pointwise.PLAIN


def plain_convlstm(
    layer: ConvLSTM,
    inputs_TBCHW: Tensor | None,
    state: State | None = None,
    *,
    constant: Tensor | None = None,
    steps: int = 0,
) -> tuple[Tensor, State]:
    """The reference: the same layer read like its equations, one step and one gate after the other, zero initial state.

    Slow on purpose; use it in float32 to check a faster path. Arguments and result as `ConvLSTM.forward`.
    """
    convolve = partial(F.conv2d, padding=layer.kernel // 2)
    if inputs_TBCHW is not None:
        steps = inputs_TBCHW.shape[0]
    if state is None:
        assert inputs_TBCHW is not None
        _, batch, _, height, width = inputs_TBCHW.shape
        zeros = inputs_TBCHW.new_zeros(batch, layer.channels, height, width)
        state = (zeros, zeros)
    hidden, cell = state
    outputs = []
    for step in range(steps):

        def gate(index: int, nonlinearity: Callable[[Tensor], Tensor], step: int = step, hidden: Tensor = hidden) -> Tensor:
            part = slice(index * layer.channels, (index + 1) * layer.channels)
            total = convolve(hidden, layer.state_weight[part]) + layer.bias[part].view(1, -1, 1, 1)
            if inputs_TBCHW is not None:
                total = total + convolve(inputs_TBCHW[step], layer.input_weight[part])
            if inputs_TBCHW is not None and constant is not None and layer.constant_weight is not None:
                total = total + convolve(constant, layer.constant_weight[part])
            return nonlinearity(total)

        in_gate, forget_gate, out_gate = (gate(index, torch.sigmoid) for index in range(3))
        candidate = gate(3, torch.tanh)
        cell = forget_gate * cell + in_gate * candidate
        hidden = out_gate * torch.tanh(cell)
        outputs.append(hidden)
    return torch.stack(outputs), (hidden, cell)
