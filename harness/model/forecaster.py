"""The article's encoder-forecaster, with the slots that variants fill.

Encoder, fine to coarse: ConvLSTM layers with stride-2 convolutions between them read the input frames. The deepest layer
then rolls on without an input, one step a frame to predict: its states are the deep features of the future. Forecaster,
coarse to fine: transposed convolutions and ConvLSTM layers, each started from the encoder's state of its scale and shown
that scale's last encoder output all along (the U-skip), turn deep features into frames. Nothing predicted is fed back, so
every layer runs over all its steps before the next one starts.

At preset `paper` the five layers are the article's Conv1..3 and Deconv1..2 (its section 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import RequestError
from harness.model.build import seeded
from harness.model.cell import State


class NoPath(nn.Module):
    """Stands where a skip slot is empty."""


class EncoderForecaster(nn.Module):
    """Predicts the frames that follow: (B, T, C, H, W) -> (B, horizon, C, H, W), linear, not clamped.

    The usual head is linear, because a sigmoid one falls into the blank-frame optimum of MSE + SSIM; predictions are clamped
    to [0, 1] for metrics and pictures only.

    Slots: `architecture.skip` builds a path around each layer that follows another (its output is added to the layer's
    output), `architecture.bottleneck` a module on the deep features (B, T, C, h, w) of the frames to predict,
    `architecture.head` one that makes frames of the finest features and the input frames (see `harness.model.heads`).

    Every part is built under a seed of its own, made of `seed` and its place: two variants of one seed start from the same
    weights wherever they share a part, and a component may initialise its module in whatever way it likes.

    Args:
        channels: of a frame. All others are settings of `harness.model.encoder_forecaster.EncoderForecasterConfig`.
    """

    nhwc_on_cpu = True

    def __init__(
        self,
        channels: int,
        *,
        widths: Sequence[int],
        kernels: Sequence[int],
        forecaster_kernel: int,
        patch: int,
        gain: float,
        cell: Any,
        skip: Any,
        bottleneck: Any,
        head: Any,
        seed: int,
    ) -> None:
        super().__init__()
        last = len(widths) - 1
        self.patch, self.channels, self.widths = patch, channels, tuple(widths)
        slots = {"cell": cell, "skip": skip, "bottleneck": bottleneck, "head": head}
        self.names = {slot: one.name for slot, one in slots.items() if one is not None}
        pixels = channels * patch**2

        def path(place: str, in_channels: int, out_channels: int, *, needed: bool = True) -> nn.Module:
            if skip is None or not needed:
                return NoPath()
            with seeded(seed, place):
                module: nn.Module = skip.build(in_channels, out_channels)
            return module

        self.encoder, self.down, self.encoder_skip = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
            before = widths[level - 1] if level else pixels
            with seeded(seed, f"encoder.{level}"):
                self.encoder.append(cell.build(before, width, kernel))
            if level:
                with seeded(seed, f"down.{level - 1}"):
                    self.down.append(nn.Conv2d(before, before, 3, stride=2, padding=1))
            # The first layer follows no other, and of the deepest only the state is read: a path there would be dead.
            self.encoder_skip.append(path(f"encoder_skip.{level}", before, width, needed=0 < level < last))
        self.bottleneck: nn.Module | None = None
        if bottleneck is not None:
            with seeded(seed, "bottleneck"):
                self.bottleneck = bottleneck.build(widths[last])
        self.forecaster, self.up, self.forecaster_skip = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in range(last):
            above, width = widths[level + 1], widths[level]
            with seeded(seed, f"up.{level}"):
                self.up.append(nn.ConvTranspose2d(above, above, 3, stride=2, padding=1, output_padding=1))
            with seeded(seed, f"forecaster.{level}"):
                self.forecaster.append(cell.build(above, width, forecaster_kernel, constant_channels=width))
            self.forecaster_skip.append(path(f"forecaster_skip.{level}", above, width))
        with seeded(seed, "head"):
            self.head: nn.Module = head.build(widths[0], pixels)
        if gain != 1:
            with torch.no_grad():
                for name, parameter in self.named_parameters():
                    if parameter.ndim == 4 and not name.startswith("head."):
                        parameter.mul_(gain)

    def forward(self, frames_BTCHW: Tensor, horizon: int) -> Tensor:
        """Predicts `horizon` >= 1 frames of any number >= 1. H and W must be multiples of the configuration's `stride`."""
        _check_frames(frames_BTCHW, horizon, self.patch * 2 ** len(self.down))
        features = inputs = F.pixel_unshuffle(frames_BTCHW.transpose(0, 1), self.patch)
        states = []
        for level, layer in enumerate(self.encoder):
            if level:
                features = _each_frame(self.down[level - 1], features)
            ran = self._ran(layer(features), features.shape, level)
            features, state = self._around(self.encoder_skip[level], features, ran)
            states.append(state)
        rolled = self.encoder[-1](None, states[-1], steps=horizon)
        features, _ = self._ran(rolled, (horizon, *features.shape[1:]), len(self.encoder) - 1)
        if self.bottleneck is not None:
            deep = features.transpose(0, 1)
            features = self._checked("bottleneck", self.bottleneck(deep), deep.shape).transpose(0, 1)
        for level in reversed(range(len(self.forecaster))):
            features = _each_frame(self.up[level], features)
            ran = self.forecaster[level](features, states[level], constant=states[level][0])
            features, _ = self._around(self.forecaster_skip[level], features, self._ran(ran, features.shape, level))
        folded = self._checked("head", self.head(features, inputs), (horizon, *inputs.shape[1:]))
        return F.pixel_shuffle(folded, self.patch).transpose(0, 1)

    def _checked(self, slot: str, found: object, wanted: Sequence[int]) -> Tensor:
        """What a slot's module gave. Raises RequestError unless it is a tensor of the shape that the slot is to give."""
        if isinstance(found, Tensor) and found.shape == torch.Size(wanted):
            return found
        gave = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        name = self.names[slot]
        raise RequestError(f"the module of architecture.{slot}={name} gave {gave}; wanted a tensor of shape {tuple(wanted)}")

    def _ran(self, found: Any, shape_TBCHW: Sequence[int], level: int) -> tuple[Tensor, State]:
        """What a layer gave for an input of that shape."""
        if not isinstance(found, tuple) or len(found) != 2:
            name = self.names["cell"]
            raise RequestError(
                f"the module of architecture.cell={name} gave a {type(found).__name__}; wanted a tuple (outputs, state)"
            )
        steps, batch, _, height, width = shape_TBCHW
        wanted = (steps, batch, self.widths[level], height, width)
        return self._checked("cell", found[0], wanted), found[1]

    def _around(self, path: nn.Module, inputs_TBCHW: Tensor, ran: tuple[Tensor, State]) -> tuple[Tensor, State]:
        outputs, state = ran
        if isinstance(path, NoPath):
            return ran
        frames = outputs.flatten(0, 1)
        return outputs + self._checked("skip", path(inputs_TBCHW.flatten(0, 1)), frames.shape).view_as(outputs), state


def _each_frame(module: Callable[[Tensor], Tensor], frames_TBCHW: Tensor) -> Tensor:
    each: Tensor = module(frames_TBCHW.flatten(0, 1))
    return each.view(*frames_TBCHW.shape[:2], *each.shape[1:])


def _check_frames(frames_BTCHW: Tensor, horizon: int, stride: int) -> None:
    if frames_BTCHW.ndim != 5 or min(frames_BTCHW.shape) < 1:
        raise RequestError(f"frames of shape {tuple(frames_BTCHW.shape)}; the network takes (B, T, C, H, W)")
    if horizon < 1:
        raise RequestError(f"horizon {horizon}; predict at least one frame")
    height, width = frames_BTCHW.shape[-2:]
    if height % stride or width % stride:
        raise RequestError(
            f"frames of {height}x{width} pixels; this architecture needs multiples of {stride}: "
            f"pad the frames (--set data.pad={stride}, of a file), or change architecture.widths or architecture.patch"
        )
