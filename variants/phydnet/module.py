"""PhyDNet; apart from the configuration, so that listing variants does not import torch.

Two recurrent branches read the same features of a frame: PhyCell follows a partial differential equation whose terms are
small filters, a ConvLSTM keeps the rest. The sum of what the two make is decoded to the next frame.

Source: Le Guen and Thome 2020, arXiv:2003.01460; sizes, order and the loss as in OpenSTL's code (Tan et al. 2023,
arXiv:2306.11249), which made the published figures.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.errors import RequestError
from harness.model.build import mark_gates

State = tuple[Tensor, list[tuple[Tensor, Tensor]]]
"""PhyCell's hidden state, and hidden and cell state of every ConvLSTM layer, each (B, C, h, w)."""


class Feed(Protocol):
    """What a recurrent network is fed in training."""

    frames: Tensor
    use_truth: Tensor


def build_phydnet(
    channels: int,
    height: int,
    width: int,
    *,
    features: int = 64,
    lstm_widths: tuple[int, ...] = (128, 128),
    kernel: int = 3,
    physical_kernel: int = 7,
    patch: int = 4,
    groups: int = 16,
    moment_weight: float = 1.0,
    warm_up_weight: float = 1.0,
) -> PhyDNet:
    """The network for frames of that size; the settings are those of `variants.phydnet.PhyDNet`.

    Raises RequestError for frames or settings that do not fit.
    """
    if patch not in (2, 4):
        raise RequestError(f"architecture.patch is {patch}; it must be 2 or 4")
    if features % (2 * groups):
        raise RequestError(
            f"architecture.features is {features}; it must be a multiple of {2 * groups}, twice architecture.groups"
        )
    for name, value in (("kernel", kernel), ("physical_kernel", physical_kernel)):
        if value % 2 == 0:
            raise RequestError(f"architecture.{name} is {value}; it must be odd")
    _check_size(height, width, patch)
    return PhyDNet(
        channels, features, (*lstm_widths, features), kernel, physical_kernel, patch, groups, moment_weight, warm_up_weight
    )


def _check_size(height: int, width: int, patch: int) -> None:
    if height < patch or width < patch or height % patch or width % patch:
        raise RequestError(
            f"frames of {height}x{width} pixels; this network needs multiples of {patch}: "
            "resize or pad the frames, or set architecture.patch to 2"
        )


class PhyDNet(nn.Module):
    """Predicts the frames that follow: (B, T, C, H, W) -> (B, horizon, C, H, W), in (0, 1) by a sigmoid.

    A step reads one frame and predicts the next. After the input frames it reads its own predictions, or what `feed` says.

    In training mode every forward pass sets `auxiliary_loss`, what the published objective has besides the squared error of
    the predicted frames: that of the frames predicted while the input frames are read, and the moment constraint.

    Args:
        channels: channels of a frame.
        features: channels of the features that both branches read and make; a multiple of twice the groups.
        lstm_widths: channels of the ConvLSTM layers, the last being `features`.
        kernel: kernel size of the ConvLSTM layers, odd.
        physical_kernel: side k of PhyCell's k * k filters, odd; each is to be another partial derivative.
        patch: 2 or 4; the features are so many times smaller than the frame.
        groups: groups of the normalisation in the encoders and decoders.
        moment_weight: weight of the moment constraint.
        warm_up_weight: weight of the squared error of the frames predicted while reading.
    """

    def __init__(
        self,
        channels: int,
        features: int,
        lstm_widths: tuple[int, ...],
        kernel: int,
        physical_kernel: int,
        patch: int,
        groups: int,
        moment_weight: float,
        warm_up_weight: float,
    ) -> None:
        super().__init__()
        self.patch, self.channels = patch, channels
        self.moment_weight, self.warm_up_weight = moment_weight, warm_up_weight
        half, last = features // 2, patch // 2
        self.encoder = nn.Sequential(
            ConvBlock(channels, half, 2, groups), ConvBlock(half, half, 1, groups), ConvBlock(half, features, last, groups)
        )
        self.physical_encoder, self.residual_encoder = (
            nn.Sequential(*(ConvBlock(features, features, 1, groups) for _ in range(2))) for _ in range(2)
        )
        self.physical = PhyCell(features, physical_kernel)
        self.residual = nn.ModuleList(
            ConvLSTMCell(before, width, kernel) for before, width in pairwise((features, *lstm_widths))
        )
        self.physical_decoder, self.residual_decoder = (
            nn.Sequential(*(UpBlock(features, features, 1, groups) for _ in range(2))) for _ in range(2)
        )
        self.decoder = nn.Sequential(
            UpBlock(features, half, 2, groups),
            UpBlock(half, half, 1, groups),
            nn.ConvTranspose2d(half, channels, 3, stride=last, padding=1, output_padding=last - 1),
        )
        self.auxiliary_loss: Tensor | None = None

    def forward(self, frames_BTCHW: Tensor, horizon: int, feed: Feed | None = None) -> Tensor:
        """Predicts `horizon` >= 1 frames of any number >= 1. H and W must be multiples of `patch`.

        Args:
            feed: `frames` (B, T + horizon, C, H, W), the true sequence, and `use_truth` (B, T + horizon - 1), whether a
                step reads the true frame or the network's own; the first step reads the true one always.
        """
        self._check(frames_BTCHW, horizon)
        shown = frames_BTCHW.shape[1]
        # What is read for certain is encoded at once, and what is made of it is decoded at once, if any loss asks for it.
        known = self._encode(frames_BTCHW.transpose(0, 1).flatten(0, 1)) if feed is None else None
        ahead = None if known is None else list(zip(*(part.chunk(shown) for part in known), strict=True))
        state: State | None = None
        made: list[tuple[Tensor, Tensor]] = []
        predicted: list[Tensor] = []
        for step in range(shown + horizon - 1):
            if ahead is not None and step < shown:
                drive, rest = ahead[step]
            else:
                drive, rest = self._encode(self._input(frames_BTCHW, predicted, step, feed))
            state = self._step(drive, rest, state)
            last = (state[0], state[1][-1][0])
            if ahead is not None and step < shown - 1:
                made.append(last)
            else:
                predicted.append(self._decode(*last))
        self.auxiliary_loss = None
        if self.training:
            self.auxiliary_loss = self._auxiliary(made, predicted[:-horizon], frames_BTCHW) / horizon
        return torch.stack(predicted[-horizon:], dim=1)

    def _input(self, frames_BTCHW: Tensor, predicted: list[Tensor], step: int, feed: Feed | None) -> Tensor:
        if step == 0:
            return frames_BTCHW[:, 0]
        if feed is None:
            return predicted[-1]
        return torch.where(feed.use_truth[:, step, None, None, None], feed.frames[:, step], predicted[-1])

    def _encode(self, frames_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Frames -> what PhyCell reads of them, and what the ConvLSTM does."""
        features = self.encoder(frames_NCHW)
        return self.physical_encoder(features), self.residual_encoder(features)

    def _step(self, drive: Tensor, rest: Tensor, state: State | None) -> State:
        """One step of both branches."""
        hidden = self.physical(drive, torch.zeros_like(drive) if state is None else state[0])
        layers: list[tuple[Tensor, Tensor]] = []
        for index, layer in enumerate(self.residual):
            rest, cell = layer(rest, None if state is None else state[1][index])
            layers.append((rest, cell))
        return hidden, layers

    def _decode(self, physical: Tensor, residual: Tensor) -> Tensor:
        """Hidden states of both branches -> frames in (0, 1)."""
        return torch.sigmoid(self.decoder(self.physical_decoder(physical) + self.residual_decoder(residual)))

    def _auxiliary(self, made: list[tuple[Tensor, Tensor]], predicted: list[Tensor], frames_BTCHW: Tensor) -> Tensor:
        """Summed over the steps and over PhyCell's channels, as the published objective is.

        The frames predicted while reading are given, or the hidden states that they are to be decoded from.
        """
        total = self.moment_weight * self.physical.moment_loss()
        if not self.warm_up_weight or not (made or predicted):
            return total
        if made:
            predicted = [self._decode(*(torch.cat(part) for part in zip(*made, strict=True)))]
        steps = frames_BTCHW.shape[1] - 1
        following = frames_BTCHW[:, 1:].transpose(0, 1).flatten(0, 1)
        return total + self.warm_up_weight * steps * F.mse_loss(torch.cat(predicted), following)

    def _check(self, frames_BTCHW: Tensor, horizon: int) -> None:
        if frames_BTCHW.ndim != 5 or min(frames_BTCHW.shape) < 1 or frames_BTCHW.shape[2] != self.channels:
            raise RequestError(
                f"frames of shape {tuple(frames_BTCHW.shape)}; the network takes (B, T, {self.channels}, H, W), none of them 0"
            )
        if horizon < 1:
            raise RequestError(f"horizon {horizon}; predict at least one frame")
        _check_size(frames_BTCHW.shape[3], frames_BTCHW.shape[4], self.patch)


class PhyCell(nn.Module):
    """One step of a partial differential equation, then a correction towards what was seen; states (B, C, h, w).

    The step adds a learned mixture of k * k filters of the state, which the moment constraint holds to the partial
    derivatives of orders 0 .. k - 1 in y and x. The gain of the correction is a gate, as in a Kalman filter.

    Source: Le Guen and Thome 2020, arXiv:2003.01460, section 3.1.
    """

    targets: Tensor
    powers: Tensor

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        terms = kernel * kernel
        self.derivatives = nn.Conv2d(channels, terms, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(kernel, terms)
        self.mixture = nn.Conv2d(terms, channels, 1)
        self.gain = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.register_buffer("targets", torch.eye(terms).view(terms, kernel, kernel), persistent=False)
        self.register_buffer("powers", moment_powers(kernel), persistent=False)

    def forward(self, drive_BCHW: Tensor, hidden_BCHW: Tensor) -> Tensor:
        """The next hidden state."""
        gain = torch.sigmoid(self.gain(torch.cat([drive_BCHW, hidden_BCHW], dim=1)))
        moved = hidden_BCHW + self.mixture(self.norm(self.derivatives(hidden_BCHW)))
        result: Tensor = moved + gain * (drive_BCHW - moved)
        return result

    def moment_loss(self) -> Tensor:
        """Mean squared distance of every filter's moments from those of its derivative, summed over the channels it reads.

        Filter number i is to be the derivative of order i // k in y and i % k in x: its moment of these orders is to be 1, all
        others 0 (Long et al. 2018, arXiv:1710.09668).
        """
        moments = self.powers @ self.derivatives.weight @ self.powers.T
        return (moments - self.targets[:, None]).square().mean(dim=(0, 2, 3)).sum()


def moment_powers(kernel: int) -> Tensor:
    """(k, k): row i is the positions of a filter's cells, seen from its middle, to the power i, over i!."""
    positions = torch.arange(kernel, dtype=torch.float64) - (kernel - 1) // 2
    return torch.stack([positions**order / math.factorial(order) for order in range(kernel)]).float()


class ConvLSTMCell(nn.Module):
    """One step of a ConvLSTM layer; gates in the order input, forget, output, candidate."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.channels = channels
        self.gates = nn.Conv2d(in_channels + channels, 4 * channels, kernel, padding=kernel // 2)
        mark_gates([self.gates.weight], 4)

    def forward(self, x_BCHW: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The hidden and the cell state that follow; without a state it starts from zeros."""
        if state is None:
            zeros = x_BCHW.new_zeros(x_BCHW.shape[0], self.channels, *x_BCHW.shape[2:])
            state = (zeros, zeros)
        hidden, cell = state
        in_gate, forget, out, candidate = self.gates(torch.cat([x_BCHW, hidden], dim=1)).chunk(4, dim=1)
        cell = forget.sigmoid() * cell + in_gate.sigmoid() * candidate.tanh()
        return out.sigmoid() * cell.tanh(), cell


class ConvBlock(nn.Sequential):
    """3x3 convolution, group normalisation, LeakyReLU of slope 0.2."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1),
            nn.GroupNorm(groups, out_channels),
            nn.LeakyReLU(0.2),
        )


class UpBlock(nn.Sequential):
    """As `ConvBlock`, with a transposed convolution, which makes the map `stride` times as large."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(in_channels, out_channels, 3, stride=stride, padding=1, output_padding=stride - 1),
            nn.GroupNorm(groups, out_channels),
            nn.LeakyReLU(0.2),
        )


_CODERS = {
    "encoder_E": "encoder",
    "encoder_Ep": "physical_encoder",
    "encoder_Er": "residual_encoder",
    "decoder_Dp": "physical_decoder",
    "decoder_Dr": "residual_decoder",
    "decoder_D": "decoder",
}
_PHYSICAL = {"F.conv1": "derivatives", "F.bn1": "norm", "F.conv2": "mixture", "convgate": "gain"}


def translate(name: str) -> str | None:
    """Our name of the weight that OpenSTL's PhyDNet calls `name`; None for one that we do not have.

    It has both branches twice in its state dict; the second time, as parts of the `encoder`, count. The moments' matrices are
    no weights.
    """
    if found := re.fullmatch(
        r"encoder\.(encoder_E[pr]?|decoder_D[pr]?)\.(?:c|upc)(\d)\.(?:main\.(\d)\.)?(weight|bias)", name
    ):
        coder, block, layer, kind = found.groups()
        return ".".join(part for part in (_CODERS[coder], str(int(block) - 1), layer, kind) if part is not None)
    if found := re.fullmatch(r"encoder\.phycell\.cell_list\.0\.(F\.conv1|F\.bn1|F\.conv2|convgate)\.(weight|bias)", name):
        return f"physical.{_PHYSICAL[found[1]]}.{found[2]}"
    if found := re.fullmatch(r"encoder\.convcell\.cell_list\.(\d)\.conv\.(weight|bias)", name):
        return f"residual.{found[1]}.gates.{found[2]}"
    return None
