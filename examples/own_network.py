"""Your own network, here a plain 3D convolution: anything that maps (B, T, C, H, W) to (B, horizon, C, H, W)."""

from dataclasses import dataclass
from typing import ClassVar

import harness


@dataclass(frozen=True, kw_only=True)
class PlainConvolution(harness.Component):
    """Two convolutions in space; time is folded into channels."""

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "plain"
    revision: ClassVar[int] = 1
    hidden: int = harness.setting(16, "channels of the hidden layer", at_least=1)

    def build(self, shape: harness.Shape, seed: int = 0):
        """The network for frames of this shape."""
        from torch import nn

        class Network(nn.Sequential):
            def forward(self, frames_BTCHW, horizon):
                predicted_BKHW = super().forward(frames_BTCHW.flatten(1, 2))
                return predicted_BKHW.unflatten(1, (shape.horizon, shape.channels))[:, :horizon]

        into, out = shape.input_frames * shape.channels, shape.horizon * shape.channels
        return Network(nn.Conv2d(into, self.hidden, 5, padding=2), nn.ReLU(), nn.Conv2d(self.hidden, out, 5, padding=2))


if __name__ == "__main__":
    result = harness.run(preset="tiny", settings={"architecture": PlainConvolution(hidden=8)})
    print(result, f"{result.parameters:,} parameters")
    again = harness.open_store(components=[PlainConvolution])[result.run_id]
    print(again.experiment.architecture, again.model())
