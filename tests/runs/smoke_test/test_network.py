"""A network that cannot be built, or predicts something else than frames, is named with its component."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from broken_components import Broken, Cells, Headless, NotFiniteInside, Paths, Wider
from refusals import assert_refused
from torch import Tensor, nn
from trainings import cell_of

from harness.component import Component
from harness.errors import RequestError
from harness.runs.smoke_test.checks import Setup
from harness.runs.smoke_test.network import build, owner, predict

ARCHITECTURE = "architecture=broken"
CASES: list[tuple[Component, str, str, str]] = [
    (Broken(kind="Short"), ARCHITECTURE, r"float32 tensor of shape \(1, 2, 1, 16, 16\)", r"wanted.*\(1, 3, 1, 16, 16\)"),
    (Broken(kind="Listing"), ARCHITECTURE, "a list", r"wanted.*\(1, 3, 1, 16, 16\)"),
    (Broken(kind="Half"), ARCHITECTURE, "a float16 tensor", "wanted: a float32 tensor"),
    (Broken(kind="NotFinite"), ARCHITECTURE, "is not finite", "wanted: finite"),
    (Broken(kind="PythonDice"), ARCHITECTURE, "drew from python's random", "wanted: draws from a generator"),
    (Broken(kind="NumpyDice"), ARCHITECTURE, "drew from numpy's global generator", "wanted: draws from a generator"),
    (Broken(kind="TorchDice"), ARCHITECTURE, "evaluation mode drew from torch's global generator", "wanted: draws"),
    (Broken(kind="Raising"), ARCHITECTURE, "IndexError: no such layer", ""),
    (Broken(kind="OnTheHost"), ARCHITECTURE, "build on the meta device failed with RuntimeError", ""),
    (Broken(kind="nothing"), ARCHITECTURE, "build gave a NoneType", "wanted: a torch.nn.Module"),
    (Broken(kind="dice"), ARCHITECTURE, "build.* drew from python's random", "wanted: draws from torch's generator"),
    (Wider(), "architecture.bottleneck=wider", r"gave \(1, 3, 8, 4, 8\)", r"wanted.*\(1, 3, 8, 4, 4\)"),
    (NotFiniteInside(), "architecture.bottleneck=logs", "is not finite", "wanted: finite"),
    (Paths(), "architecture.skip=paths", r"gave \(3, 5, 8, 8\)", r"wanted.*\(3, 4, 8, 8\)"),
    (Headless(), "architecture.head=headless", "gave a list", r"wanted.*\(3, 1, 4, 8, 8\)"),
    (Cells(), "architecture.cell=cells", "gave a Tensor", "wanted a tuple"),
]


@pytest.mark.parametrize(("component", "name", "came", "wanted"), CASES, ids=lambda one: getattr(one, "kind", None))
def test_a_broken_component_is_named_with_what_it_gave_and_what_is_wanted(
    component: Component, name: str, came: str, wanted: str, tmp_path: Path
) -> None:
    assert_refused(component, name, came, wanted, tmp_path)


def setup(changes: dict[str, object] | None = None, variant: str = "base") -> Setup:
    cell, source = cell_of(changes, variant)
    return Setup(cell.experiment, source)


def test_a_network_that_reads_no_prediction_of_its_own_is_not_fed() -> None:
    with pytest.raises(RequestError, match=r"feeding is scheduled-sampling, but .* encoder-forecaster reads no prediction"):
        build(setup({"training.feeding": "scheduled-sampling"}))


def test_weights_that_start_from_no_number_are_named() -> None:
    one = setup({"architecture.bottleneck": Unset()})
    with pytest.raises(
        RequestError, match=r"bottleneck=unset .*: bottleneck\.weight starts from values that are not finite"
    ):
        build(one)


def test_a_parameter_is_its_components() -> None:
    one = setup(variant="attention")
    model = build(one)
    assert owner(one, model, "bottleneck.blocks.0.gates").startswith("architecture.bottleneck=attention")
    assert owner(one, model, "head.weight").startswith("architecture=encoder-forecaster")


def test_a_network_that_is_whole_is_built_and_predicts() -> None:
    one = setup()
    model = build(one)
    predict(one, model)
    assert not model._forward_hooks, "it is left as it was"


class Unfilled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), torch.nan))

    def forward(self, features: Tensor) -> Tensor:
        return features


@dataclass(frozen=True, kw_only=True)
class Unset(Component):
    """A bottleneck whose weights nobody filled."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "unset"

    def build(self, channels: int) -> nn.Module:
        return Unfilled()
