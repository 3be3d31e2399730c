"""Prediction, plain or averaged over views of the input (test-time augmentation).

Letters in names: B sequences, T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import HarnessError, RequestError, unknown
from harness.system.devices import autocast

Predictor = Callable[[Tensor, int], Tensor]
"""(inputs (B, T, C, H, W), horizon) -> prediction (B, horizon, C, H, W)."""


@dataclass(frozen=True)
class View:
    """A symmetry of the frame: both functions take and return (..., H, W), and `inverse` undoes `forward` exactly."""

    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    swaps_axes: bool = False
    """Height becomes width: for square frames only."""


def _turn(quarters: int) -> Callable[[Tensor], Tensor]:
    return lambda frames: torch.rot90(frames, quarters, (-2, -1))


def _mirror(axis: int) -> Callable[[Tensor], Tensor]:
    return lambda frames: frames.flip(axis)


def _same(frames: Tensor) -> Tensor:
    return frames


def _transpose(frames: Tensor) -> Tensor:
    return frames.mT


VIEWS: dict[str, View] = {
    "identity": View(_same, _same),
    "hflip": View(_mirror(-1), _mirror(-1)),
    "vflip": View(_mirror(-2), _mirror(-2)),
    "rot90": View(_turn(1), _turn(-1), swaps_axes=True),
    "rot180": View(_turn(2), _turn(2)),
    "rot270": View(_turn(3), _turn(-3), swaps_axes=True),
    "transpose": View(_transpose, _transpose, swaps_axes=True),
}
"""The views by name: hflip mirrors left and right, vflip up and down, rotN turns N degrees counter-clockwise, transpose
mirrors at the main diagonal. {identity, hflip}, {identity, hflip, vflip, rot180} and {identity, rot90, rot180, rot270} are
groups: a prediction averaged over one of them commutes with its members. All seven are not a group (the mirror at the other
diagonal is missing)."""


def predict(
    model: Predictor,
    inputs_BTCHW: Tensor,
    horizon: int,
    views: Sequence[str] = ("identity",),
    precision: str = "float32",
) -> Tensor:
    """The mean over views of the model's predictions, each transformed back.

    The model is called once a view, without autograd; the caller puts it into evaluation mode.

    Args:
        model: (inputs, horizon) -> prediction (B, horizon, C, H, W).
        inputs_BTCHW: (B, T, C, H, W), intensities in [0, 1].
        horizon: frames to predict, at least 1.
        views: names from `VIEWS`, each at most once, at least one. Only "identity": the model's own answer, bit for bit.
        precision: the 16-bit type that autocast uses; "float32" leaves autocast as the caller has it.

    Returns:
        float32 (B, horizon, C, H, W), not clamped, in new memory.

    Raises:
        RequestError: an unknown, repeated or missing view, a view that swaps height and width on frames that are not
            square, or a horizon below 1.
        HarnessError: the model answers with another shape.
    """
    _check(inputs_BTCHW, horizon, views)
    expected = (inputs_BTCHW.shape[0], horizon, *inputs_BTCHW.shape[2:])
    total: Tensor | None = None
    # Not inference_mode: there autocast casts the weights again at every use, and FLOP counters see nothing.
    with torch.no_grad(), autocast(precision, inputs_BTCHW.device):
        for name in views:
            view = VIEWS[name]
            answer = model(inputs_BTCHW if name == "identity" else view.forward(inputs_BTCHW).contiguous(), horizon)
            if answer.shape != expected:
                raise HarnessError(f"the model predicted {tuple(answer.shape)} for view {name!r}; expected {expected}")
            prediction = view.inverse(answer)
            # The first is copied: a model replayed from a CUDA graph overwrites its answer at the next call.
            total = prediction.to(torch.float32, copy=True) if total is None else total.add_(prediction.float())
        assert total is not None
        return total if len(views) == 1 else total.div_(len(views))


def _check(inputs: Tensor, horizon: int, views: Sequence[str]) -> None:
    if inputs.ndim != 5:
        raise RequestError(f"inputs have shape {tuple(inputs.shape)}; expected (sequences, frames, channels, height, width)")
    if horizon < 1:
        raise RequestError(f"the horizon is {horizon}; predict at least 1 frame")
    if not views or len(set(views)) != len(views):
        raise RequestError(f"views are {', '.join(views) or 'empty'}; name each view once, at least one")
    height, width = inputs.shape[-2:]
    for name in views:
        if name not in VIEWS:
            raise unknown("view", name, VIEWS)
        if VIEWS[name].swaps_axes and height != width:
            raise RequestError(
                f"view {name!r} swaps height and width, so it needs square frames; these are {height}x{width} "
                f"in {tuple(inputs.shape)}. Use identity, hflip, vflip or rot180"
            )
