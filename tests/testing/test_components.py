"""What holds for every component: the suite finds one that does not explain itself, changes, or keeps state for itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from broken_components import Average, Optimizer
from contracts import assert_breaks
from torch import nn

from harness.component import Component, setting
from harness.testing.components import assert_all_learn, assert_equal_tensors, disturbed, noise
from harness.testing.training import AverageContract, LossContract, OptimizerContract
from harness.training.terms import LossTerm, MeanSquaredError


@dataclass(frozen=True, kw_only=True)
class Silent(LossTerm):
    """Explains itself, but not its field."""

    name: ClassVar[str] = "silent"
    power: float = field(default=2.0, metadata={})

    def compute(self, prediction_BTCHW: Any, target_BTCHW: Any) -> Any:
        return (prediction_BTCHW - target_BTCHW).abs().pow(self.power).mean()


@dataclass(frozen=True, kw_only=True)
class Undocumented(LossTerm):
    name: ClassVar[str] = "undocumented"


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Component):
    """Made for another slot."""

    slot: ClassVar[str] = "architecture.skip"
    name: ClassVar[str] = "elsewhere"


@dataclass(frozen=True, kw_only=True)
class Needs(LossTerm):
    """Cannot be made without a value."""

    name: ClassVar[str] = "needs"
    power: float = setting(2.0, "of the error")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power == 2.0:
            raise TypeError("give a power")


@pytest.mark.parametrize("component", [Undocumented(), Elsewhere(), Needs(power=1.0)], ids=lambda one: one.name)
def test_a_component_that_does_not_explain_itself_is_found(component: Component) -> None:
    assert_breaks(LossContract, "test_is_made_for_its_slot_and_explains_itself", component)


def test_a_field_without_a_word_is_named() -> None:
    suite: Any = type("Suite", (LossContract,), {"component": Silent(), "__test__": False})()
    with pytest.raises(AssertionError, match=r"Silent\.power is not explained; use setting"):
        suite.test_is_made_for_its_slot_and_explains_itself()


def test_a_component_without_a_mistake_passes(tmp_path: Path) -> None:
    suite: Any = type("Suite", (LossContract,), {"component": MeanSquaredError(), "__test__": False})()
    suite.test_is_made_for_its_slot_and_explains_itself()
    suite.test_is_frozen_and_comparable()
    suite.test_survives_json_with_the_same_identity()
    suite.test_passes_the_smoke_test()
    suite.test_a_training_that_was_killed_resumes_bit_identically(tmp_path)


@pytest.mark.parametrize(
    ("suite", "component"),
    [(OptimizerContract, Optimizer()), (AverageContract, Average())],
    ids=["optimizer", "average"],
)
def test_state_that_a_checkpoint_does_not_have_is_found(suite: Any, component: Component) -> None:
    with pytest.raises(Exception, match="resuming differs"):
        type("Suite", (suite,), {"component": component, "__test__": False})().test_passes_the_smoke_test()


def test_a_parameter_that_takes_no_part_or_gets_no_gradient_is_named() -> None:
    model = nn.ModuleDict({"used": nn.Linear(2, 2), "spare": nn.Linear(2, 2)})
    with pytest.raises(AssertionError, match=r"spare\.weight is dead: it takes no part"):
        assert_all_learn(model, model["used"](torch.ones(1, 2)).sum())
    model.zero_grad()
    both = model["used"](torch.ones(1, 2)).sum() + 0 * model["spare"](torch.ones(1, 2)).sum()
    with pytest.raises(AssertionError, match=r"spare\.weight is dead: its gradient is zero"):
        assert_all_learn(model, both)
    model["spare"].requires_grad_(False)
    model.zero_grad()
    assert_all_learn(model, model["used"](torch.ones(1, 2)).sum())


def test_tensors_that_differ_are_named() -> None:
    assert_equal_tensors({"a": torch.ones(2)}, {"a": torch.ones(2)})
    with pytest.raises(AssertionError, match=r"b differ after a resumed training"):
        assert_equal_tensors({"a": torch.ones(1), "b": torch.ones(1)}, {"a": torch.ones(1), "b": torch.zeros(1)})


def test_noise_follows_from_its_arguments_and_moves_every_weight() -> None:
    assert torch.equal(noise(2, 3), noise(2, 3))
    assert not torch.equal(noise(2, 3), noise(2, 3, seed=1))
    model = disturbed(nn.Linear(3, 2))
    torch.testing.assert_close(
        disturbed(nn.utils.skip_init(nn.Linear, 3, 2).requires_grad_(False).apply(_zero)).weight, 0.1 * noise(2, 3)
    )
    assert model.bias.all()


def _zero(module: Any) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
