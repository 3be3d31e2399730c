"""Variants with one mistake each, to see that the contract finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.component import Component, setting
from harness.variant import Variant


class OneFrameTooMany(nn.Module):
    def forward(self, features_BTCHW: Tensor) -> Tensor:
        return torch.cat([features_BTCHW, features_BTCHW[:, -1:]], dim=1)


class Spare(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(channels, channels), nn.Linear(channels, channels)

    def forward(self, features_BTCHW: Tensor) -> Tensor:
        return self.used(features_BTCHW.movedim(2, -1)).movedim(-1, 2)


class Shifted(nn.Module):
    """Starts from how many were built before it."""

    built = 0

    def __init__(self, channels: int) -> None:
        super().__init__()
        type(self).built += 1
        self.shift = nn.Parameter(torch.full((channels, 1, 1), 0.01 * self.built))

    def forward(self, features_BTCHW: Tensor) -> Tensor:
        return features_BTCHW + self.shift


class Gossip(nn.Module):
    def forward(self, features_BTCHW: Tensor) -> Tensor:
        return features_BTCHW - features_BTCHW.mean(dim=0, keepdim=True)


class Dice(nn.Module):
    def forward(self, features_BTCHW: Tensor) -> Tensor:
        return features_BTCHW * torch.rand_like(features_BTCHW)


class SquareRoot(nn.Module):
    """Not finite as soon as a feature is negative."""

    def forward(self, features_BTCHW: Tensor) -> Tensor:
        return features_BTCHW.sqrt()


@dataclass(frozen=True, kw_only=True)
class Bottleneck(Component):
    """Puts a module in."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "module"
    kind: str = setting("Spare", "the module's name")

    def build(self, channels: int) -> nn.Module:
        kind = globals()[self.kind]
        return kind(channels) if kind in (Spare, Shifted) else kind()


@dataclass(frozen=True, kw_only=True)
class Undocumented(Component):
    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "undocumented"
    unexplained: int = 1

    def build(self, channels: int) -> nn.Module:
        return nn.Identity()


@dataclass(frozen=True, kw_only=True)
class Shrinking(Component):
    """A horizon that ends at one frame."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "shrinking"

    def horizon(self, progress: float, full: int) -> int:
        return max(1, round(full * (1 - progress)))


def _bottleneck(name: str, kind: str) -> Variant:
    return Variant(name=name, summary="wrong", source="made up", changes={"architecture.bottleneck": Bottleneck(kind=kind)})


WRONG_SHAPE = _bottleneck("wrong-shape", "OneFrameTooMany")
DEAD_PARAMETER = _bottleneck("dead-parameter", "Spare")
ORDER_DEPENDENT = _bottleneck("order-dependent", "Shifted")
MIXES_SEQUENCES = _bottleneck("mixes-sequences", "Gossip")
RANDOM = _bottleneck("random", "Dice")
NOT_FINITE = _bottleneck("not-finite", "SquareRoot")
UNDOCUMENTED = Variant(
    name="undocumented", summary="wrong", source="made up", changes={"architecture.bottleneck": Undocumented()}
)
SHRINKING = Variant(name="shrinking", summary="wrong", source="made up", changes={"training.curriculum": Shrinking()})
SPEECHLESS = Variant(name="speechless", summary="two\nlines", source="made up", changes={"loss.l1": 0.5})
SOURCELESS = Variant(name="sourceless", summary="wrong", source="", changes={"loss.l1": 0.25})
