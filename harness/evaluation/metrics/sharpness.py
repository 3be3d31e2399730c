"""How sharp predictions are, beside the truth: blur raises SSIM and lowers squared errors, and this shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.evaluation.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Sharpness(Metric):
    """Gradient energy of the predictions against the truth's: 1 is as sharp as the truth, less is blurred or too sharp, 0 flat.

    The energy of a frame is the sum of squared differences between neighbouring pixels, across and down (Brenner's gradient
    with a step of one pixel). It sees neither position nor shape: read it beside an error.
    """

    name: ClassVar[str] = "sharpness"
    title: ClassVar[str] = "sharpness"
    higher_is_better: ClassVar[bool] = True
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = 1.0

    convention = (
        "squared differences of neighbouring pixels, summed over predictions and truth; the smaller sum over the larger"
    )

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        """The energy of each predicted and of each true frame, (B, T, 2)."""
        import torch

        def energy(frames: Tensor) -> Tensor:
            frames = frames.double()
            across, down = frames.diff(dim=-1).square(), frames.diff(dim=-2).square()
            return across.flatten(2).sum(-1) + down.flatten(2).sum(-1)

        return torch.stack((energy(prediction_BTCHW), energy(target_BTCHW)), dim=-1)

    def finish(self, sums: Sequence[float]) -> float:
        """The ratio; NaN where the truth is flat, or a frame was not finite."""
        predicted, true = sums
        return min(predicted, true) / max(predicted, true) if true else float("nan")
