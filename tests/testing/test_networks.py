"""The suites of networks and of the slots inside them find the mistake that they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from broken_components import Broken, Cells, Headless, Paths, Wider
from contracts import assert_breaks
from torch import Tensor, nn

from harness.component import Component, Shape, setting
from harness.testing.networks import (
    ArchitectureContract,
    BottleneckContract,
    CellContract,
    HeadContract,
    SkipContract,
)


class Network(nn.Module):
    """Repeats the last frame times a weight; `kind` says what is wrong."""

    built: ClassVar[int] = 0

    def __init__(self, kind: str) -> None:
        super().__init__()
        Network.built += 1
        self.kind = kind
        self.weight = nn.Parameter(torch.rand(1) + (Network.built if kind == "counts" else 0))
        self.spare = nn.Parameter(torch.rand(1)) if kind == "dead" else None

    def forward(self, frames: Tensor, horizon: int) -> Tensor:
        found = self.weight * frames[:, -1:].repeat(1, horizon, 1, 1, 1)
        if self.kind == "mixes":
            return found - found.mean(0, keepdim=True)
        return found[:, :2] if self.kind == "short" else found


@dataclass(frozen=True, kw_only=True)
class Mistaken(Component):
    """A network with one mistake."""

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "mistaken"
    kind: str = setting("none", "which")

    def build(self, shape: Shape, seed: int) -> nn.Module:
        return Network(self.kind)


MISTAKES = {
    "short": "test_maps_frames_to_every_horizon",
    "counts": "test_initial_weights_follow_from_the_seed",
    "mixes": "test_is_a_function_of_its_input_and_sequences_do_not_mix",
    "dead": "test_every_parameter_learns",
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_networks_mistake_is_found_by_its_test_and_by_no_other(kind: str) -> None:
    assert_breaks(ArchitectureContract, MISTAKES[kind], Mistaken(kind=kind))
    suite = type("Suite", (ArchitectureContract,), {"component": Mistaken(kind=kind), "__test__": False})()
    others = {*MISTAKES.values()} - {MISTAKES[kind]} - ({MISTAKES["dead"]} if kind == "short" else set())
    for name in sorted(others):
        getattr(suite, name)()


@pytest.mark.parametrize("kind", ["TorchDice", "Half", "NotFinite"])
def test_a_network_that_draws_or_gives_other_values_is_found(kind: str) -> None:
    test = "is_a_function_of_its_input_and_sequences_do_not_mix" if kind == "TorchDice" else "maps_frames_to_every_horizon"
    assert_breaks(ArchitectureContract, f"test_{test}", Broken(kind=kind))


@pytest.mark.parametrize(
    ("suite", "test", "component"),
    [
        (BottleneckContract, "test_keeps_the_shape_and_learns", Wider()),
        (SkipContract, "test_maps_each_frame_and_learns", Paths()),
        (HeadContract, "test_makes_frames_of_features_and_inputs_and_learns", Headless()),
        (CellContract, "test_gives_an_output_a_step_and_a_state", Cells()),
    ],
    ids=["bottleneck", "skip", "head", "cell"],
)
def test_a_part_of_another_shape_is_found(suite: Any, test: str, component: Component) -> None:
    with pytest.raises((AssertionError, AttributeError, ValueError)):
        getattr(type("Suite", (suite,), {"component": component, "__test__": False})(), test)()


class Counting(nn.Module):
    """A layer that remembers how often it was called."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.mix, self.calls = nn.Conv2d(in_channels, out_channels, 1), 0

    def forward(self, inputs: Any, state: Any = None, *, constant: Any = None, steps: int = 0) -> Any:
        self.calls += 1
        outputs = torch.stack([self.mix(one) * self.calls for one in inputs])
        return outputs, (outputs[-1],)


@dataclass(frozen=True, kw_only=True)
class Remembers(Component):
    """Builds it."""

    slot: ClassVar[str] = "architecture.cell"
    name: ClassVar[str] = "remembers"

    def build(self, in_channels: int, out_channels: int, kernel: int, constant_channels: int = 0) -> nn.Module:
        return Counting(in_channels, out_channels)


def test_a_layer_that_remembers_outside_its_state_is_found() -> None:
    assert_breaks(CellContract, "test_all_that_it_remembers_is_in_its_state", Remembers())
