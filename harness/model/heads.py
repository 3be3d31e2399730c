"""Heads of the encoder-forecaster: from its finest features, and the frames shown, to the frames to predict.

Frames are folded (`patch` ** 2 pixels of each channel are channels) and time-major: T frames to predict, S frames shown, B batch,
C channels, h, w the folded frame's pixels.
"""

from __future__ import annotations

from torch import Tensor, nn


class Direct(nn.Conv2d):
    """A 1x1 convolution of the features; does not look at the frames shown."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, features_TBCHW: Tensor, inputs_SBCHW: Tensor) -> Tensor:  # type: ignore[override]
        """(T, B, in, h, w), (S, B, out, h, w) -> (T, B, out, h, w)."""
        frames = super().forward(features_TBCHW.flatten(0, 1))
        return frames.view(*features_TBCHW.shape[:2], *frames.shape[1:])


class LastFramePlus(Direct):
    """The last frame shown plus `Direct`, which starts at zero: an untrained network repeats the last frame."""

    def reset_parameters(self) -> None:
        """All zero."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, features_TBCHW: Tensor, inputs_SBCHW: Tensor) -> Tensor:  # type: ignore[override]
        """As `Direct`."""
        return inputs_SBCHW[-1] + super().forward(features_TBCHW, inputs_SBCHW)
