"""The suite of metrics finds the mistake that it is for, and passes one without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from broken_components import Score
from torch import Tensor

from harness.component import setting
from harness.evaluation.metrics.errors import MSE
from harness.evaluation.metrics.metric import FrameMean
from harness.testing.metrics import MetricContract

TESTS = [name for name in dir(MetricContract) if name.startswith("test_")]


@dataclass(frozen=True, kw_only=True)
class Error(FrameMean):
    """A mean of errors with one mistake."""

    name: ClassVar[str] = "error"
    title: ClassVar[str] = "error"
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = None
    higher_is_better: ClassVar[bool] = False
    convention = "made up"
    kind: str = setting("none", "which")

    def values(self, prediction_NCHW: Tensor, target_NCHW: Tensor) -> Tensor:
        error = (prediction_NCHW - target_NCHW).abs()
        if self.kind == "hides":
            error = error.nan_to_num()
        found = error.flatten(1).mean(1)
        if self.kind == "mixes":
            return found + found.mean()
        if self.kind == "writes":
            prediction_NCHW.zero_()
        return {"negative": -found - 1, "backwards": 1 - found}.get(self.kind, found)


FOUND = {
    "none": set(),
    "mixes": {"counts_every_frame_by_itself", "a_frame_that_is_not_finite_is_not_a_number"},
    "writes": {"counts_every_frame_by_itself"},
    "negative": {"is_in_its_range_and_better_for_the_truth"},
    "backwards": {"is_in_its_range_and_better_for_the_truth"},
    "hides": {"a_frame_that_is_not_finite_is_not_a_number"},
}


def failed(component: Any) -> set[str]:
    suite = type("Suite", (MetricContract,), {"component": component, "__test__": False})()
    found = set()
    for name in TESTS:
        try:
            getattr(suite, name)()
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
            found.add(name.removeprefix("test_"))
    return found


@pytest.mark.parametrize("kind", FOUND)
def test_a_mistake_is_found_by_its_tests_and_no_other(kind: str) -> None:
    assert failed(Error(kind=kind)) == FOUND[kind]


@pytest.mark.parametrize("kind", ["mean", "number", "float32"])
def test_counts_of_another_kind_are_found(kind: str) -> None:
    assert "counts_every_frame_by_itself" in failed(Score(kind=kind))


def test_a_metric_of_ours_passes() -> None:
    assert failed(MSE()) == set()
