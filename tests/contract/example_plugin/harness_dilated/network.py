"""A network of one's own in the fewest lines: it predicts how the last frame changes, from the last two frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.component import Component, Shape, setting

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Motion(Component):
    """Two convolutions on the last two frames give the next frame's difference; predictions are fed back."""

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "motion"
    width: int = setting(16, "channels between the two convolutions", at_least=1)

    def build(self, shape: Shape, seed: int) -> nn.Module:
        """(frames (B, T, C, H, W), horizon) -> (B, horizon, C, H, W)."""
        import torch
        from torch import nn

        class Network(nn.Sequential):
            def forward(self, frames, horizon):  # type: ignore[no-untyped-def, override]
                before, last, predicted = frames[:, -2 % frames.shape[1]], frames[:, -1], []
                for _ in range(horizon):
                    before, last = last, last + super().forward(torch.cat([before, last], dim=1))
                    predicted.append(last)
                return torch.stack(predicted, dim=1)

        first, second = (
            nn.Conv2d(2 * shape.channels, self.width, 3, padding=1),
            nn.Conv2d(self.width, shape.channels, 3, padding=1),
        )
        return Network(first, nn.ReLU(), second)
