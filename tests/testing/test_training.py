"""The suites of the training's slots find the mistake that they are for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from broken_components import Feeds, Horizons, Optimizer, Rates, Term
from contracts import assert_breaks
from torch import nn

from harness.component import Component, setting
from harness.testing.training import (
    AverageContract,
    CurriculumContract,
    FeedingContract,
    LossContract,
    OptimizerContract,
    ScheduleContract,
    StartContract,
)
from harness.training.terms import LossTerm


@dataclass(frozen=True, kw_only=True)
class Odd(LossTerm):
    """A number with a gradient, by which equal frames are the worst, or nothing is learnt."""

    name: ClassVar[str] = "odd"
    factor: float = setting(-1.0, "of the squared error")

    def compute(self, prediction_BTCHW: Any, target_BTCHW: Any) -> Any:
        return 1 + self.factor * (prediction_BTCHW - target_BTCHW).square().mean()


@pytest.mark.parametrize("kind", ["map", "number", "nan", "detached", "stateful"])
def test_a_term_of_the_loss_that_is_no_number_with_a_gradient_is_found(kind: str) -> None:
    assert_breaks(LossContract, "test_is_a_finite_number_with_a_gradient", Term(kind=kind))


@pytest.mark.parametrize("factor", [-1.0, 0.0], ids=["likes errors", "learns nothing"])
def test_a_term_that_likes_errors_or_learns_nothing_is_found(factor: float) -> None:
    assert_breaks(LossContract, "test_is_a_finite_number_with_a_gradient", Odd(factor=factor))


@dataclass(frozen=True, kw_only=True)
class Rule(Component):
    """An optimizer that forgets a parameter, climbs, or has no rate."""

    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "rule"
    kind: str = setting("forgets", "which")

    def build(self, named_parameters: Any) -> torch.optim.Optimizer:
        parameters = [parameter for _, parameter in named_parameters]
        if self.kind == "forgets":
            return torch.optim.SGD(parameters[1:], lr=0.1)
        return torch.optim.SGD(parameters, lr=0.1 if self.kind == "climbs" else 0.0, maximize=self.kind == "climbs")


@pytest.mark.parametrize("kind", ["forgets", "climbs"])
def test_an_optimizer_that_forgets_a_parameter_or_climbs_is_found(kind: str) -> None:
    assert_breaks(OptimizerContract, "test_takes_every_parameter_and_lowers_a_loss", Rule(kind=kind))


def test_an_optimizer_without_a_rate_is_found() -> None:
    assert_breaks(OptimizerContract, "test_every_group_has_its_peak_rate", Rule(kind="still"))
    OptimizerContract.test_every_group_has_its_peak_rate(_suite(OptimizerContract, Optimizer()))


def _suite(kind: type[Any], component: Component) -> Any:
    return type("Suite", (kind,), {"component": component, "__test__": False})()


@dataclass(frozen=True, kw_only=True)
class Jumps(Component):
    """A schedule above its peak."""

    slot: ClassVar[str] = "training.schedule"
    name: ClassVar[str] = "jumps"

    def values(self, step: float, total: float, lr: float) -> dict[str, float]:
        return {"lr": 1.5 * lr}


@pytest.mark.parametrize("component", [Rates(), Jumps()], ids=["a bare number", "above the peak"])
def test_a_schedule_out_of_its_range_is_found(component: Component) -> None:
    assert_breaks(ScheduleContract, "test_stays_between_zero_and_the_peak_and_scales_with_it", component)


class Leaves:
    """An average that leaves its weights in the model."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.weights = [parameter.detach().clone() for parameter in model.parameters()]

    def update(self) -> None:
        pass

    @contextmanager
    def applied(self) -> Iterator[None]:
        with torch.no_grad():
            for parameter, own in zip(self.model.parameters(), self.weights, strict=True):
                parameter.copy_(own)
        yield


@dataclass(frozen=True, kw_only=True)
class Leaving(Component):
    """Builds it."""

    slot: ClassVar[str] = "training.average"
    name: ClassVar[str] = "leaving"

    def build(self, model: nn.Module) -> Leaves:
        return Leaves(model)


def test_an_average_that_stays_in_the_model_is_found() -> None:
    assert_breaks(AverageContract, "test_starts_at_the_weights_and_stays_between_old_and_new", Leaving())


def test_a_curriculum_without_whole_horizons_is_found() -> None:
    with pytest.raises(AssertionError, match=r"a horizon is not in 1\.\.1"):
        _suite(CurriculumContract, Horizons()).test_grows_to_the_full_horizon()


@dataclass(frozen=True, kw_only=True)
class Stops(Component):
    """A curriculum that never comes to the full horizon."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "stops"

    def horizon(self, progress: float, full: int) -> int:
        return 1


def test_a_curriculum_that_stops_before_the_full_horizon_is_found_and_says_where() -> None:
    with pytest.raises(AssertionError, match="training ends at a horizon of 1, not 2"):
        _suite(CurriculumContract, Stops()).test_grows_to_the_full_horizon()


def test_a_feeding_that_draws_from_elsewhere_is_found() -> None:
    assert_breaks(FeedingContract, "test_draws_from_its_generator_and_shows_the_first_frame", Feeds())


@dataclass(frozen=True, kw_only=True)
class Idle(Component):
    """A start that changes nothing, or says nothing."""

    slot: ClassVar[str] = "training.start"
    name: ClassVar[str] = "idle"
    says: str = setting("done", "what it says")

    def load(self, model: nn.Module, architecture: Component) -> str:
        if not self.says:
            with torch.no_grad():
                next(model.parameters()).zero_()
        return self.says


@pytest.mark.parametrize("says", ["done", ""], ids=["no weight changed", "says nothing"])
def test_a_start_that_changes_or_says_nothing_is_found(says: str) -> None:
    assert_breaks(StartContract, "test_puts_weights_into_the_network_and_says_so", Idle(says=says))
