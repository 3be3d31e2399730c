"""Prediction, plain or averaged over views of the input (test-time augmentation).

Letters in names: B sequences, T frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from harness.errors import HarnessError, RequestError
from harness.system.devices import autocast
from harness.views import PLAIN, View

Predictor = Callable[[Tensor, int], Tensor]
"""(inputs (B, T, C, H, W), horizon) -> prediction (B, horizon, C, H, W)."""


def predict(
    model: Predictor,
    inputs_BTCHW: Tensor,
    horizon: int,
    views: Sequence[View] = PLAIN,
    precision: str = "float32",
) -> Tensor:
    """The mean over views of the model's predictions, each transformed back.

    The model is called once a view, without autograd; the caller puts it into evaluation mode.

    Args:
        model: (inputs, horizon) -> prediction (B, horizon, C, H, W).
        inputs_BTCHW: (B, T, C, H, W), intensities in [0, 1].
        horizon: frames to predict, at least 1.
        views: at least one. Only `Identity`: the model's own answer, bit for bit.
        precision: the 16-bit type that autocast uses; "float32" leaves autocast as the caller has it.

    Returns:
        float32 (B, horizon, C, H, W), not clamped, in new memory.

    Raises:
        RequestError: no view, a view that swaps height and width on frames that are not square, or a horizon below 1.
        HarnessError: the model answers with another shape.
    """
    _check(inputs_BTCHW, horizon, views)
    total: Tensor | None = None
    # Not inference_mode: there autocast casts the weights again at every use, and FLOP counters see nothing.
    with torch.no_grad(), autocast(precision, inputs_BTCHW.device):
        for view in views:
            shown = view.forward(inputs_BTCHW)
            if shown is not inputs_BTCHW:
                shown = shown.contiguous()
            answer, expected = model(shown, horizon), (len(shown), horizon, *shown.shape[2:])
            if answer.shape != expected:
                raise HarnessError(f"the model predicted {tuple(answer.shape)} for view {view.name!r}; expected {expected}")
            prediction = view.inverse(answer)
            # The first is copied: a model replayed from a CUDA graph overwrites its answer at the next call.
            total = prediction.to(torch.float32, copy=True) if total is None else total.add_(prediction.float())
        assert total is not None
        return total if len(views) == 1 else total.div_(len(views))


def _check(inputs: Tensor, horizon: int, views: Sequence[View]) -> None:
    if inputs.ndim != 5:
        raise RequestError(f"inputs have shape {tuple(inputs.shape)}; expected (sequences, frames, channels, height, width)")
    if horizon < 1:
        raise RequestError(f"the horizon is {horizon}; predict at least 1 frame")
    if not views:
        raise RequestError("there is no view to predict from; name at least one, such as identity")
    height, width = inputs.shape[-2:]
    for view in views:
        if view.swaps_axes and height != width:
            raise RequestError(
                f"view {view.name!r} swaps height and width, so it needs square frames; these are {height}x{width} "
                f"in {tuple(inputs.shape)}. Use identity, hflip, vflip or rot180"
            )
