"""What the SimVP family shares: the frame encoder and decoder, the residual translator, and the way from frames to frames.

A frame by itself becomes a small map; a translator reads the maps of all input frames at once, stacked along the channels,
and writes those of as many frames to come; each becomes a frame, helped by the first, full-size features of the input frame
of its place. There is no recurrence: one pass gives as many frames as went in.

Source: Gao et al. 2022, arXiv:2206.05099, and Tan et al. 2022, arXiv:2211.12509; sizes, order and initialisation as in
OpenSTL's code (Tan et al. 2023, arXiv:2306.11249), which made the published figures.

Shapes: B batch, T input frames, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from harness.errors import RequestError

NORM_GROUPS = 2
"""Groups of the normalisation in the encoder and the decoder."""


class SimVP(nn.Module):
    """Predicts the frames that follow: (B, T, C, H, W) -> (B, horizon, C, H, W), linear, not clamped.

    For a horizon below T the first frames are taken; for a longer one the predicted frames go in again, T at a time.

    Args:
        translator: (B, T * hidden, h, w) -> the same shape, with h and w the frame's size over 2**(stages / 2).
        channels: channels of a frame.
        input_frames: T.
        hidden: channels of the encoder and the decoder; even.
        stages: convolutions of the encoder, and of the decoder; every second one halves or doubles the size. Even.
        kernel: their size; odd.
    """

    def __init__(
        self, translator: nn.Module, channels: int, input_frames: int, hidden: int, stages: int, kernel: int
    ) -> None:
        super().__init__()
        self.channels, self.input_frames, self.stride = channels, input_frames, 2 ** (stages // 2)
        self.encoder = Encoder(channels, hidden, stages, kernel)
        self.translator = translator
        self.nhwc_on_cpu = getattr(translator, "nhwc_on_cpu", False)
        self.decoder = Decoder(hidden, channels, stages, kernel)

    def forward(self, frames_BTCHW: Tensor, horizon: int) -> Tensor:
        """Predicts `horizon` >= 1 frames of T ones. H and W must be multiples of `stride`."""
        self._check(frames_BTCHW, horizon)
        parts: list[Tensor] = []
        while self.input_frames * len(parts) < horizon:
            parts.append(self._following(parts[-1] if parts else frames_BTCHW))
        return torch.cat(parts, dim=1)[:, :horizon]

    def _following(self, frames_BTCHW: Tensor) -> Tensor:
        """As many frames as went in."""
        batch, steps = frames_BTCHW.shape[:2]
        maps, fine = self.encoder(frames_BTCHW.flatten(0, 1))
        stacked = maps.reshape(batch, -1, *maps.shape[2:])
        decoded: Tensor = self.decoder(self.translator(stacked).reshape(maps.shape), fine)
        return decoded.reshape(batch, steps, *decoded.shape[1:])

    def _check(self, frames_BTCHW: Tensor, horizon: int) -> None:
        if frames_BTCHW.ndim != 5 or frames_BTCHW.shape[1:3] != (self.input_frames, self.channels):
            raise RequestError(
                f"frames of shape {tuple(frames_BTCHW.shape)}; this network was built for (B, {self.input_frames}, "
                f"{self.channels}, H, W): give it so many frames, or build it for another data.input_frames"
            )
        if horizon < 1:
            raise RequestError(f"horizon {horizon}; predict at least one frame")
        check_size(frames_BTCHW.shape[3], frames_BTCHW.shape[4], self.stride)


def check_size(height: int, width: int, stride: int) -> None:
    """Raises RequestError unless both are positive multiples of the stride."""
    if height < stride or width < stride or height % stride or width % stride:
        raise RequestError(
            f"frames of {height}x{width} pixels; this network needs multiples of {stride}: "
            f"pad the frames (--set data.pad={stride}, of a file), or lower architecture.stages"
        )


def check_coder(hidden: int, stages: int, kernel: int) -> None:
    """Raises RequestError for sizes of which no encoder can be made."""
    for name, value, good in (
        ("hidden", hidden, hidden % NORM_GROUPS == 0),
        ("stages", stages, stages % 2 == 0),
        ("kernel", kernel, kernel % 2 == 1),
    ):
        if not good:
            raise RequestError(f"architecture.{name} is {value}; it must be {'odd' if name == 'kernel' else 'even'}")


class ConvBlock(nn.Module):
    """Convolution, group normalisation, SiLU: (N, in, H, W) -> (N, out, H, W), or half or twice that height and width."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, down: bool = False, up: bool = False) -> None:
        super().__init__()
        # An upsampling one makes the four pixels of each place as channels.
        written, stride = out_channels * 4 if up else out_channels, 2 if down else 1
        self.convolution = nn.Conv2d(in_channels, written, kernel, stride=stride, padding=kernel // 2)
        self.unfold = nn.PixelShuffle(2) if up else nn.Identity()
        self.norm = nn.GroupNorm(NORM_GROUPS, out_channels)
        self.activation = nn.SiLU()
        nn.init.trunc_normal_(self.convolution.weight, std=0.02)
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """One layer."""
        result: Tensor = self.activation(self.norm(self.unfold(self.convolution(x_NCHW))))
        return result


class Encoder(nn.Module):
    """Frames (N, channels, H, W) -> their maps (N, hidden, h, w), and the features of full size (N, hidden, H, W)."""

    def __init__(self, channels: int, hidden: int, stages: int, kernel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvBlock(hidden if stage else channels, hidden, kernel, down=stage % 2 == 1) for stage in range(stages)
        )

    def forward(self, frames_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Every frame by itself."""
        fine = maps = self.layers[0](frames_NCHW)
        for layer in list(self.layers)[1:]:
            maps = layer(maps)
        return maps, fine


class Decoder(nn.Module):
    """Maps (N, hidden, h, w), with features of full size (N, hidden, H, W) -> frames (N, channels, H, W)."""

    def __init__(self, hidden: int, channels: int, stages: int, kernel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvBlock(hidden, hidden, kernel, up=stage % 2 == 0) for stage in range(stages))
        self.readout = nn.Conv2d(hidden, channels, 1)

    def forward(self, maps_NCHW: Tensor, fine_NCHW: Tensor) -> Tensor:
        """The features join before the last layer, which works at full size."""
        *rising, last = self.layers
        for layer in rising:
            maps_NCHW = layer(maps_NCHW)
        frames: Tensor = self.readout(last(maps_NCHW + fine_NCHW))
        return frames


class ResidualTranslator(nn.Module):
    """Residual blocks over the stacked maps: (B, T * hidden, h, w) -> the same shape.

    The first block works at the stacked width and hands on `width` channels; the last goes back to the stacked width.

    Args:
        stacked: T * hidden.
        width: channels between the blocks.
        blocks: at least 2.
        expansion: width of each feed-forward part as a multiple of its block's.
        attention: makes a block's first part, a module (B, C, h, w) -> the same shape, for a number of channels C.
    """

    def __init__(self, stacked: int, width: int, blocks: int, expansion: int, attention: Callable[[int], nn.Module]) -> None:
        super().__init__()
        widths = [stacked, *[width] * (blocks - 1), stacked]
        self.blocks = nn.Sequential(
            *(ResidualBlock(before, after, expansion, attention) for before, after in pairwise(widths))
        )

    def forward(self, stacked_BCHW: Tensor) -> Tensor:
        """All blocks, one after the other."""
        result: Tensor = self.blocks(stacked_BCHW)
        return result


class ResidualBlock(nn.Module):
    """Attention, then feed-forward, each normalised before and scaled per channel after; 1x1 where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, expansion: int, attention: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.BatchNorm2d(in_channels), nn.BatchNorm2d(in_channels)
        self.attention = attention(in_channels)
        self.feed_forward = FeedForward(in_channels, expansion)
        self.attention_scale = nn.Parameter(torch.full((in_channels,), 0.01))
        self.feed_forward_scale = nn.Parameter(torch.full((in_channels,), 0.01))
        changes = in_channels != out_channels
        self.project: nn.Module = nn.Conv2d(in_channels, out_channels, 1) if changes else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h, w)."""
        x_BCHW = x_BCHW + self.attention_scale.view(-1, 1, 1) * self.attention(self.attention_norm(x_BCHW))
        x_BCHW = x_BCHW + self.feed_forward_scale.view(-1, 1, 1) * self.feed_forward(self.feed_forward_norm(x_BCHW))
        result: Tensor = self.project(x_BCHW)
        return result


class FeedForward(nn.Module):
    """1x1 up, 3x3 by channel, GELU, 1x1 down: (B, C, h, w) -> the same shape."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = nn.Conv2d(channels, inner, 1)
        self.local = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.activation = nn.GELU()
        self.contract = nn.Conv2d(inner, channels, 1)
        self.apply(initialise_by_fan_out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Mixes the channels of each place, and its neighbours a little."""
        result: Tensor = self.contract(self.activation(self.local(self.expand(x_BCHW))))
        return result


class LargeKernel(nn.Module):
    """A large kernel by channel in two cheap ones: (B, C, h, w) -> the same shape.

    5x5, then 7x7 of every third position: together 23x23, for the 21x21 that the papers speak of (Guo et al. 2022,
    arXiv:2202.09741).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.far = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Each channel by itself."""
        result: Tensor = self.far(self.near(x_BCHW))
        return result


def initialise_by_fan_out(module: nn.Module) -> None:
    """Convolutions: normal weights of variance 2 / fan out, zero biases; anything else stays as it is."""
    if isinstance(module, nn.Conv2d):
        area = module.kernel_size[0] * module.kernel_size[1]
        nn.init.normal_(module.weight, std=(2 * module.groups / (area * module.out_channels)) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


OPENSTL_PARTS = (
    (r"(enc|dec)\.\1\.(\d+)\.conv\.conv(?:\.0)?\.(weight|bias)", r"\1oder.layers.\2.convolution.\3"),
    (r"(enc|dec)\.\1\.(\d+)\.conv\.norm\.(weight|bias)", r"\1oder.layers.\2.norm.\3"),
    (r"dec\.readout\.(weight|bias)", r"decoder.readout.\1"),
    (r"hid\.enc\.(\d+)\.reduction\.(weight|bias)", r"translator.blocks.\1.project.\2"),
    (r"hid\.enc\.(\d+)\.block\.norm1\.(\w+)", r"translator.blocks.\1.attention_norm.\2"),
    (r"hid\.enc\.(\d+)\.block\.norm2\.(\w+)", r"translator.blocks.\1.feed_forward_norm.\2"),
    (r"hid\.enc\.(\d+)\.block\.layer_scale_1", r"translator.blocks.\1.attention_scale"),
    (r"hid\.enc\.(\d+)\.block\.layer_scale_2", r"translator.blocks.\1.feed_forward_scale"),
    (r"hid\.enc\.(\d+)\.block\.mlp\.fc1\.(\w+)", r"translator.blocks.\1.feed_forward.expand.\2"),
    (r"hid\.enc\.(\d+)\.block\.mlp\.dwconv\.dwconv\.(\w+)", r"translator.blocks.\1.feed_forward.local.\2"),
    (r"hid\.enc\.(\d+)\.block\.mlp\.fc2\.(\w+)", r"translator.blocks.\1.feed_forward.contract.\2"),
    (r"hid\.enc\.(\d+)\.block\.attn\.proj_1\.(\w+)", r"translator.blocks.\1.attention.project_in.\2"),
    (r"hid\.enc\.(\d+)\.block\.attn\.proj_2\.(\w+)", r"translator.blocks.\1.attention.project_out.\2"),
    (r"hid\.enc\.(\d+)\.block\.attn\.spatial_gating_unit\.conv0\.(\w+)", r"translator.blocks.\1.attention.large.near.\2"),
    (
        r"hid\.enc\.(\d+)\.block\.attn\.spatial_gating_unit\.conv_spatial\.(\w+)",
        r"translator.blocks.\1.attention.large.far.\2",
    ),
)
"""OpenSTL's names of weights (a pattern) and ours (what to put there), for what the family shares."""
