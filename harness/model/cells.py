"""What the recurrent networks of the field share: patches for pixels, the loop that feeds predictions back, the ST-LSTM cell.

These networks read one frame a step and predict the next; after the last frame shown they read what they predicted. Frames are
folded into patches first: a frame (C, H, W) becomes (patch * patch * C, H / patch, W / patch), as OpenSTL folds them.

Shapes: B batch, T time, C channels, H height, W width; P channels of a folded frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from harness.errors import RequestError
from harness.model.build import mark_gates


class Feed(Protocol):
    """What a training shows a recurrent network in place of its own predictions."""

    @property
    def frames(self) -> Tensor:
        """The whole true sequence (B, T, C, H, W): frames shown and frames to predict."""
        ...

    @property
    def use_truth(self) -> Tensor:
        """(B, T - 1) bool: whether the input at a step is the true frame. Step 0 reads the truth whatever it says."""
        ...


def fold(frames_NCHW: Tensor, patch: int) -> Tensor:
    """Folds blocks of patch x patch pixels into channels: (N, C, H, W) -> (N, patch * patch * C, H / patch, W / patch).

    Channel (y * patch + x) * C + c holds channel c of pixel (y, x) of a block: OpenSTL's order. `torch.pixel_unshuffle` has c
    first; the two agree where C is 1.
    """
    count, channels, height, width = frames_NCHW.shape
    blocks = frames_NCHW.reshape(count, channels, height // patch, patch, width // patch, patch)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(count, -1, height // patch, width // patch)


def unfold(patches_NPHW: Tensor, patch: int) -> Tensor:
    """The inverse of `fold`."""
    count, folded, height, width = patches_NPHW.shape
    blocks = patches_NPHW.reshape(count, patch, patch, folded // patch**2, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(count, -1, height * patch, width * patch)


class FedBack(nn.Module, ABC):
    """A network that predicts the next frame at every step: (B, T, C, H, W) -> (B, horizon, C, H, W), linear, not clamped.

    A stack of recurrent layers on patches. A subclass says what a layer is (`layer`) and what a step does (`start`, `step`); the
    loop, patches and the loss of the frames shown are here.

    In training mode every forward pass sets `auxiliary_loss`, which is to be added to a loss that is a mean over the horizon. It
    sums, over the steps, `warm_up_weight` times the mean squared error of a prediction of a frame that was shown (frames 2 to T:
    OpenSTL trains these steps too) and what `step` returns as its own term, divided by the horizon. Beside a plain mean squared
    error the total is then OpenSTL's loss times (T + horizon - 1) / horizon.

    Args:
        channels: channels of a frame.
        layers: number of layers.
        hidden: channels of every layer.
        kernel: odd kernel size of the layers' convolutions.
        patch: side of the pixel blocks folded into channels.
        warm_up_weight: weight of the predictions of frames that were shown, >= 0.
    """

    nhwc_on_cpu = True

    layer: ClassVar[type[nn.Module]]
    """Called with the channels of its input, `hidden` and `kernel`."""

    def __init__(self, channels: int, *, layers: int, hidden: int, kernel: int, patch: int, warm_up_weight: float) -> None:
        super().__init__()
        self.patch, self.hidden, self.warm_up_weight = patch, hidden, warm_up_weight
        self.folded = channels * patch**2
        self.head = nn.Conv2d(hidden, self.folded, 1, bias=False)
        self.cells = nn.ModuleList(self.layer(hidden if level else self.folded, hidden, kernel) for level in range(layers))
        self.auxiliary_loss: Tensor | None = None

    @abstractmethod
    def start(self, zeros_BCHW: Tensor) -> Any:
        """The state before the first step; `zeros_BCHW` has `hidden` channels."""

    @abstractmethod
    def step(self, patches_BPHW: Tensor, state: Any) -> tuple[Tensor, Any, Tensor | None]:
        """One step: the frame -> the last layer's output (B, hidden, H, W), the next state, a term of the loss or None."""

    def forward(self, frames_BTCHW: Tensor, horizon: int, feed: Feed | None = None) -> Tensor:
        """Predicts `horizon` >= 1 frames of any number >= 1. H and W must be multiples of `patch`.

        Args:
            feed: what the input of each step is; None: the frames shown, then the network's own predictions.
        """
        _check_frames(frames_BTCHW, horizon, self.folded // self.patch**2, self.patch)
        batch, shown = frames_BTCHW.shape[:2]
        steps = shown + horizon - 1
        truth = frames_BTCHW
        if feed is not None:
            _check_feed(feed, batch, steps)
            truth = feed.frames
        patches = fold(truth.flatten(0, 1), self.patch)
        patches = patches.view(batch, -1, *patches.shape[1:])
        state = self.start(patches.new_zeros(batch, self.hidden, *patches.shape[-2:]))
        predictions: list[Tensor] = []
        terms: list[Tensor] = []
        for step in range(steps):
            if step == 0:
                read = patches[:, 0]
            elif feed is not None:
                read = torch.where(feed.use_truth[:, step].view(-1, 1, 1, 1), patches[:, step], predictions[-1])
            else:
                read = patches[:, step] if step < shown else predictions[-1]
            top, state, term = self.step(read, state)
            predictions.append(self.head(top))
            if term is not None:
                terms.append(term)
        self.auxiliary_loss = None
        if self.training:
            if self.warm_up_weight and shown > 1:
                errors = torch.stack(predictions[: shown - 1], dim=1) - patches[:, 1:shown]
                terms.append(errors.square().mean() * (self.warm_up_weight * (shown - 1)))
            total = torch.stack(terms).sum() if terms else patches.new_zeros(())
            self.auxiliary_loss = total / horizon
        predicted = torch.stack(predictions[shown - 1 :], dim=1)
        return unfold(predicted.flatten(0, 1), self.patch).view(batch, horizon, *frames_BTCHW.shape[2:])


class STState(NamedTuple):
    """What an ST-LSTM layer leaves behind, each (B, C, H, W)."""

    hidden: Tensor
    cell: Tensor
    memory: Tensor
    """The spatiotemporal memory, which the next layer reads, and the first layer at the next step."""
    cell_change: Tensor
    """What the step wrote to `cell`."""
    memory_change: Tensor
    """What the step wrote to `memory`."""


class STLSTM(nn.Module):
    """One step of an ST-LSTM layer: a ConvLSTM's cell state in time, and a second memory that wanders through the layers.

        i, f, g = sigmoid, sigmoid, tanh of (Wx * x + Wh * h)        c' = f c + i g
        i, f, g = sigmoid, sigmoid, tanh of (W'x * x + Wm * m)       m' = f m + i g
        o = sigmoid(Wx * x + Wh * h + Wo * [c', m'])                 h' = o tanh(W1x1 * [c', m'])

    with * a convolution with 'same' padding and without a bias; both forget gates have a fixed bias of 1.
    Source: Wang et al. 2017 (PredRNN), the ST-LSTM's equations; without their biases, as OpenSTL has it.

    Args:
        in_channels: channels of the input.
        hidden: channels of the state and of the memory.
        kernel: odd kernel size.
    """

    FORGET_BIAS = 1.0

    def __init__(self, in_channels: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.input = same_convolution(in_channels, hidden, kernel, gates=7)
        self.state = same_convolution(hidden, hidden, kernel, gates=4)
        self.memory = same_convolution(hidden, hidden, kernel, gates=3)
        self.output = same_convolution(2 * hidden, hidden, kernel)
        self.merge = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor, memory: Tensor) -> STState:
        """(B, in_channels, H, W) and the state, each (B, hidden, H, W) -> the state after the step."""
        return self.advance(self.input(inputs), hidden, cell, memory)

    def advance(self, driven: Tensor, hidden: Tensor, cell: Tensor, memory: Tensor) -> STState:
        """As `forward`, of what the input adds to the seven gates, (B, 7 hidden, H, W)."""
        in_x, forget_x, new_x, in_xm, forget_xm, new_xm, out_x = driven.chunk(7, dim=1)
        in_h, forget_h, new_h, out_h = self.state(hidden).chunk(4, dim=1)
        in_m, forget_m, new_m = self.memory(memory).chunk(3, dim=1)
        cell_change = torch.sigmoid(in_x + in_h) * torch.tanh(new_x + new_h)
        cell = torch.sigmoid(forget_x + forget_h + self.FORGET_BIAS) * cell + cell_change
        memory_change = torch.sigmoid(in_xm + in_m) * torch.tanh(new_xm + new_m)
        memory = torch.sigmoid(forget_xm + forget_m + self.FORGET_BIAS) * memory + memory_change
        both = torch.cat([cell, memory], dim=1)
        hidden = torch.sigmoid(out_x + out_h + self.output(both)) * torch.tanh(self.merge(both))
        return STState(hidden, cell, memory, cell_change, memory_change)


ST_NAMES = {"conv_x.0": "input", "conv_h.0": "state", "conv_m.0": "memory", "conv_o.0": "output", "conv_last": "merge"}
"""OpenSTL's names of an ST-LSTM cell's convolutions, and ours."""


def translate_names(name: str, parts: dict[str, str]) -> str | None:
    """OpenSTL's name of a weight in a network of this kind -> ours; None for a part that `parts` does not have.

    >>> translate_names("cell_list.2.conv_x.0.weight", ST_NAMES)
    'cells.2.input.weight'
    """
    module, _, leaf = name.rpartition(".")
    if module == "conv_last":
        return f"head.{leaf}"
    if not module.startswith("cell_list."):
        return None
    _, layer, part = module.split(".", 2)
    return f"cells.{layer}.{parts[part]}.{leaf}" if part in parts else None


def same_convolution(in_channels: int, out_channels: int, kernel: int, gates: int = 1) -> nn.Conv2d:
    """A convolution that keeps height and width, without a bias; of `gates` times `out_channels`, as several gates in one."""
    convolution = nn.Conv2d(in_channels, gates * out_channels, kernel, padding=kernel // 2, bias=False)
    mark_gates([convolution.weight], gates)
    return convolution


def check_build(name: str, *, kernel: int, patch: int, height: int, width: int) -> None:
    """Raises RequestError for an even kernel, or frames that do not divide into patches."""
    if kernel % 2 == 0:
        raise RequestError(f"kernel {kernel} of {name} is even; 'same' padding needs an odd one: choose {kernel + 1}")
    if height % patch or width % patch:
        raise RequestError(
            f"frames of {height}x{width} pixels; {name} with patch {patch} needs multiples of {patch}: "
            f"pad the frames (--set data.pad={patch}, of a file), or change patch"
        )


def _check_frames(frames_BTCHW: Tensor, horizon: int, channels: int, patch: int) -> None:
    if frames_BTCHW.ndim != 5 or min(frames_BTCHW.shape) < 1:
        raise RequestError(f"frames of shape {tuple(frames_BTCHW.shape)}; the network takes (B, T, C, H, W)")
    if frames_BTCHW.shape[2] != channels:
        raise RequestError(f"frames with {frames_BTCHW.shape[2]} channels; this network was built for {channels}")
    if horizon < 1:
        raise RequestError(f"horizon {horizon}; predict at least one frame")
    height, width = frames_BTCHW.shape[-2:]
    if height % patch or width % patch:
        raise RequestError(
            f"frames of {height}x{width} pixels; this network needs multiples of {patch}: "
            f"pad the frames (--set data.pad={patch}, of a file), or change its patch"
        )


def _check_feed(feed: Feed, batch: int, steps: int) -> None:
    if feed.frames.shape[:2] != (batch, steps + 1) or feed.use_truth.shape != (batch, steps):
        raise RequestError(
            f"feed.frames of shape {tuple(feed.frames.shape)} and feed.use_truth of shape {tuple(feed.use_truth.shape)}; "
            f"{batch} sequences and {steps} steps take ({batch}, {steps + 1}, C, H, W) and ({batch}, {steps})"
        )
