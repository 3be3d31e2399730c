"""A step of training, and the same step after a resume: who keeps state that a checkpoint does not have is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from broken_components import Average, Broken, Optimizer
from refusals import assert_refused
from trainings import cell_of

from harness.component import Component
from harness.runs.blame import preserved_randomness
from harness.runs.smoke_test.checks import Setup
from harness.runs.smoke_test.network import build
from harness.runs.smoke_test.training import train_and_resume

ARCHITECTURE = "architecture=broken"
CASES: list[tuple[Component, str, str, str]] = [
    (Broken(kind="NoGradient"), ARCHITECTURE, "the gradient of factor is not finite", "wanted: finite"),
    (Broken(kind="Counting"), ARCHITECTURE, "state that a checkpoint does not have", "wanted.*register_buffer"),
    (Broken(kind="Remembering"), ARCHITECTURE, "state that a checkpoint does not have", "wanted.*register_buffer"),
    (Optimizer(kind="hidden"), "training.optimizer=optimizer", "a step after resuming differs", "wanted: all of it there"),
    (Optimizer(kind="none"), "training.optimizer=optimizer", "build gave a NoneType", "wanted: a torch.optim.Optimizer"),
    (Average(), "training.average=average", "an update after resuming differs", "wanted: all state in state_dict"),
]


@pytest.mark.parametrize(("component", "name", "came", "wanted"), CASES, ids=lambda one: getattr(one, "kind", None))
def test_a_broken_component_is_named_with_what_it_gave_and_what_is_wanted(
    component: Component, name: str, came: str, wanted: str, tmp_path: Path
) -> None:
    assert_refused(component, name, came, wanted, tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"training.optimizer": "muon", "training.average": "ema"},
        {"training.freeze": "encoder.*"},
        {"architecture": "predrnn(layers=2,hidden=4,kernel=3,patch=2)", "training.feeding": "scheduled-sampling"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_what_keeps_all_its_state_passes_and_takes_a_step(settings: dict[str, object]) -> None:
    cell, source = cell_of(settings)
    one = Setup(cell.experiment, source)
    with preserved_randomness():
        model = build(one)
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        train_and_resume(one, model, source.train_batch(0, 0, 2, 3, "cpu"))
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert moved
    assert not moved & frozen
