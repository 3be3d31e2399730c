"""Heads of the encoder-forecaster: what they see, and what an untrained network predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.component import Component, Shape
from harness.model.build import build_model
from harness.presets import preset

SHAPE = Shape(1, 16, 16, 3, 2)
SEEN: list[tuple[int, ...]] = []


class Looks(nn.Conv2d):
    def forward(self, features: Tensor, inputs: Tensor) -> Tensor:  # type: ignore[override]
        SEEN.extend((tuple(features.shape), tuple(inputs.shape)))
        return super().forward(features.flatten(0, 1)).unflatten(0, features.shape[:2])


@dataclass(frozen=True, kw_only=True)
class Looking(Component):
    """A head that tells what it is given."""

    slot: ClassVar[str] = "architecture.head"
    name: ClassVar[str] = "looking"

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        return Looks(in_channels, out_channels, 1)


def test_a_head_sees_features_and_folded_input_frames() -> None:
    architecture = preset("tiny").replace({"architecture.head": Looking()}).architecture
    SEEN.clear()
    build_model(architecture, SHAPE, 0)(torch.rand(5, 3, 1, 16, 16), 2)
    assert SEEN == [(2, 5, 4, 8, 8), (3, 5, 4, 8, 8)]


def test_an_untrained_residual_repeats_the_last_frame() -> None:
    architecture = preset("tiny").replace({"architecture.head": "last-frame-residual"}).architecture
    frames = torch.rand(2, 3, 1, 16, 16)
    with torch.no_grad():
        predicted = build_model(architecture, SHAPE, 0)(frames, 2)
    assert torch.equal(predicted, frames[:, -1:].expand(-1, 2, -1, -1, -1))


def test_the_direct_head_keeps_its_parameters_names_and_is_not_in_keys() -> None:
    plain = preset("tiny")
    names = [name for name, _ in build_model(plain.architecture, SHAPE, 0).named_parameters() if name.startswith("head")]
    assert names == ["head.weight", "head.bias"]
    assert "head" not in plain.identity["architecture"]
    assert plain.replace({"architecture.head": "direct"}) == plain
    assert "head" in plain.replace({"architecture.head": "last-frame-residual"}).identity["architecture"]
