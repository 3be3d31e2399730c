"""The suites of views and predictors find the mistake that they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from broken_components import Glance, Oracle
from contracts import assert_breaks
from torch import Tensor

from harness.component import Shape, setting
from harness.evaluation.predictors import RepeatLast, Untrained
from harness.testing.inference import PredictorContract, ViewContract
from harness.views import HorizontalFlip, Transpose, View


@dataclass(frozen=True, kw_only=True)
class Look(View):
    """A view with one mistake."""

    name: ClassVar[str] = "look"
    kind: str = setting("frames", "which")

    def forward(self, frames: Tensor) -> Tensor:
        return {
            "frames": lambda: frames.flip(1),
            "sequences": lambda: frames.flip(0),
            "axes": lambda: frames.mT,
            "darker": lambda: frames / 2,
        }[self.kind]()

    def inverse(self, frames: Tensor) -> Tensor:
        return {
            "frames": lambda: frames.flip(1),
            "sequences": lambda: frames.flip(0),
            "axes": lambda: frames.mT,
            "darker": lambda: frames,
        }[self.kind]()


@pytest.mark.parametrize(
    ("component", "test"),
    [
        (Glance(kind="cut"), "the_inverse_undoes_the_view"),
        (Look(kind="darker"), "the_inverse_undoes_the_view"),
        (Look(kind="axes"), "the_inverse_undoes_the_view"),  # without saying that it swaps axes
        (Look(kind="frames"), "sequences_and_frames_do_not_mix"),
        (Look(kind="sequences"), "sequences_and_frames_do_not_mix"),
        (Look(kind="frames"), "frames_that_stand_still_are_predicted_as_they_are"),
        (Look(kind="darker"), "frames_that_stand_still_are_predicted_as_they_are"),
    ],
    ids=str,
)
def test_a_view_with_a_mistake_is_found(component: View, test: str) -> None:
    assert_breaks(ViewContract, f"test_{test}", component)


@pytest.mark.parametrize("component", [HorizontalFlip(), Transpose()], ids=lambda one: one.name)
def test_a_view_without_one_passes(component: View) -> None:
    suite: Any = type("Suite", (ViewContract,), {"component": component, "__test__": False})()
    suite.test_the_inverse_undoes_the_view()
    suite.test_sequences_and_frames_do_not_mix()
    suite.test_frames_that_stand_still_are_predicted_as_they_are()


@dataclass(frozen=True, kw_only=True)
class Guess(Untrained):
    """A predictor with one mistake."""

    name: ClassVar[str] = "guess"
    kind: str = setting("writes", "which")

    def build(self, shape: Shape) -> Any:
        def predict(inputs: Tensor, horizon: int) -> Tensor:
            last = inputs[:, -1:].repeat(1, horizon, 1, 1, 1)
            if self.kind == "writes":
                inputs[:, 0].zero_()
            if self.kind == "mixes":
                return last.flip(0)
            return last + 1 if self.kind == "bright" else last

        return predict


@pytest.mark.parametrize(
    ("component", "test"),
    [
        (Guess(kind="writes"), "leaves_its_input_alone_and_sequences_do_not_mix"),
        (Guess(kind="mixes"), "leaves_its_input_alone_and_sequences_do_not_mix"),
        (Guess(kind="bright"), "predicts_every_horizon_from_frames_of_any_intensity"),
        (Oracle(kind="short"), "predicts_every_horizon_from_frames_of_any_intensity"),
        (Oracle(kind="nan"), "predicts_every_horizon_from_frames_of_any_intensity"),
    ],
    ids=str,
)
def test_a_predictor_with_a_mistake_is_found(component: Untrained, test: str) -> None:
    assert_breaks(PredictorContract, f"test_{test}", component)


def test_a_predictor_without_one_passes() -> None:
    suite: Any = type("Suite", (PredictorContract,), {"component": RepeatLast(), "__test__": False})()
    before = torch.get_rng_state()
    suite.test_predicts_every_horizon_from_frames_of_any_intensity()
    suite.test_leaves_its_input_alone_and_sequences_do_not_mix()
    torch.set_rng_state(before)
