"""The encoder-forecaster and its cell as components; the torch modules are in `harness.model.forecaster` and `.cell`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.component import Component, Shape, setting, slot_field
from harness.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

MOST_LAYERS = 16
"""Each layer halves the frame: no frame is large enough for more."""


@dataclass(frozen=True, kw_only=True)
class ConvLSTMCell(Component):
    """A ConvLSTM layer (Shi et al. 2015, arXiv:1506.04214, without peepholes)."""

    slot: ClassVar[str] = "architecture.cell"
    name: ClassVar[str] = "convlstm"
    forget_bias: float = setting(0.0, "added to the forget gate's bias at initialisation", neutral=0.0)

    def build(self, in_channels: int, out_channels: int, kernel: int, constant_channels: int = 0) -> nn.Module:
        """A layer with the call of `harness.model.cell.ConvLSTM`: (T, B, C, H, W) or None, state -> outputs, state."""
        from harness.model.cell import ConvLSTM

        return ConvLSTM(in_channels, out_channels, kernel, constant_channels=constant_channels, forget_bias=self.forget_bias)


@dataclass(frozen=True, kw_only=True)
class STLSTMCell(Component):
    """An ST-LSTM layer (Wang et al. 2017, PredRNN): a ConvLSTM's cell state and a second memory, both within the layer.

    In PredRNN the memory wanders through the layers, which there have one resolution: `architecture=predrnn` is that network.
    """

    slot: ClassVar[str] = "architecture.cell"
    name: ClassVar[str] = "st-lstm"

    def build(self, in_channels: int, out_channels: int, kernel: int, constant_channels: int = 0) -> nn.Module:
        """A layer with the call of `harness.model.cell.ConvLSTM`: (T, B, C, H, W) or None, state -> outputs, state."""
        from harness.model.st_layer import STLSTMLayer

        return STLSTMLayer(in_channels, out_channels, kernel, constant_channels=constant_channels)


@dataclass(frozen=True, kw_only=True)
class DirectHead(Component):
    """A 1x1 convolution from the finest features to the frame, linear."""

    slot: ClassVar[str] = "architecture.head"
    name: ClassVar[str] = "direct"

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        """A module (features, inputs) -> frames, time-major: (T, B, in, h, w), (S, B, out, h, w) -> (T, B, out, h, w).

        Frames are folded: `architecture.patch` ** 2 pixels of each channel are channels. The inputs are the S frames shown.
        """
        from harness.model.heads import Direct

        return Direct(in_channels, out_channels)


@dataclass(frozen=True, kw_only=True)
class LastFrameResidual(Component):
    """The last input frame plus a correction, a 1x1 convolution of the finest features that starts at zero."""

    slot: ClassVar[str] = "architecture.head"
    name: ClassVar[str] = "last-frame-residual"

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        """As `DirectHead.build`."""
        from harness.model.heads import LastFramePlus

        return LastFramePlus(in_channels, out_channels)


@dataclass(frozen=True, kw_only=True)
class EncoderForecasterConfig(Component):
    """The article's encoder-forecaster. `widths` lists the encoder from fine to coarse; the forecaster mirrors all but the last."""

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "encoder-forecaster"
    widths: tuple[int, ...] = setting(
        (64, 128, 256), "channels of the encoder's layers, fine to coarse", at_least=1, at_most=65536
    )
    kernels: tuple[int, ...] = setting((5, 3, 3), "kernel sizes of the encoder's layers, odd", at_least=1, at_most=31)
    forecaster_kernel: int = setting(3, "kernel size of the forecaster's layers, odd", at_least=1, at_most=31)
    patch: int = setting(1, "side of the pixel blocks folded into channels (space-to-depth)", at_least=1, at_most=64)
    gain: float = setting(
        1.0, "factor on the initial weights of all convolutions before the head", above=0, at_most=100, neutral=1.0
    )
    cell: Any = slot_field(ConvLSTMCell(), "slot: the recurrent layers", neutral="convlstm")
    skip: Any = slot_field(None, "slot: a path around every recurrent layer that has a layer before it", neutral=None)
    bottleneck: Any = slot_field(None, "slot: a module on the deep features that the forecaster reads", neutral=None)
    head: Any = slot_field(DirectHead(), "slot: from the finest features, and the input frames, to frames", neutral="direct")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.widths or len(self.widths) != len(self.kernels):
            raise RequestError(
                f"architecture.kernels has {len(self.kernels)} entries for {len(self.widths)} widths; give one kernel a width"
            )
        if len(self.widths) > MOST_LAYERS:
            raise RequestError(f"architecture.widths names {len(self.widths)} layers; at most {MOST_LAYERS} are accepted")
        for kernel in (*self.kernels, self.forecaster_kernel):
            if kernel % 2 == 0:
                raise RequestError(f"architecture kernel {kernel} is even; 'same' padding needs odd kernels")
        for slot, example in (("cell", "convlstm"), ("head", "direct")):
            if getattr(self, slot) is None:
                raise RequestError(f"architecture.{slot} is empty; choose one, such as {example}")

    @property
    def stride(self) -> int:
        """A frame's height and width must be multiples of this."""
        return self.patch << (len(self.widths) - 1)

    def build(self, shape: Shape, seed: int = 0) -> nn.Module:
        """The network with its initial weights. Each part has its own seed, so variants that share a part start equal there."""
        from harness.model.forecaster import EncoderForecaster

        return EncoderForecaster(shape.channels, seed=seed, **self.settings)
