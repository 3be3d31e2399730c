"""Scalings by their formulas, there and back, and limits that cannot be fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from harness.data.scaling import Log, MinMax, Scaling
from harness.errors import RequestError

LOW, HIGH = (0.0, -5.0), (60.0, 5.0)
VALUES = np.array(LOW)[:, None, None] + np.random.default_rng(0).random((3, 2, 4, 5)) * 1.2 * 60
"""(T, C, H, W), some of them above the limits."""


def scaled(scaling: Scaling) -> torch.Tensor:
    return scaling.forward(torch.from_numpy(VALUES))


def test_min_max_is_linear_between_its_limits_channel_by_channel() -> None:
    low, high = (np.array(one)[:, None, None] for one in (LOW, HIGH))
    np.testing.assert_allclose(scaled(MinMax(low=LOW, high=HIGH)).numpy(), (VALUES - low) / (high - low), rtol=1e-12)


def test_log_is_logarithmic_above_its_lowest_value() -> None:
    scaling = Log(low=LOW, high=HIGH, knee=0.5)
    low, high = (np.array(one)[:, None, None] for one in (LOW, HIGH))
    expected = np.log1p((VALUES - low) / 0.5) / np.log1p((high - low) / 0.5)
    np.testing.assert_allclose(scaled(scaling).numpy(), expected, rtol=1e-12)
    below = scaling.forward(torch.tensor([-3.0, -9.0]).view(2, 1, 1))
    assert below.flatten().tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "scaling", [MinMax(low=LOW, high=HIGH), Log(low=LOW, high=HIGH, knee=0.5)], ids=lambda one: one.name
)
def test_limits_become_0_and_1_missing_values_stay_so_and_all_comes_back(scaling: Scaling) -> None:
    for limit, wanted in ((LOW, 0.0), (HIGH, 1.0)):
        torch.testing.assert_close(scaling.forward(torch.tensor(limit).view(2, 1, 1)), torch.full((2, 1, 1), wanted))
    assert scaling.forward(torch.full((2, 1, 1), torch.nan)).isnan().all()
    np.testing.assert_allclose(scaling.inverse(scaled(scaling)).numpy(), VALUES, rtol=1e-9)


def test_limits_are_ones_own_before_those_that_are_found() -> None:
    found = MinMax(low=(1.0,)).fit([0.0, 0.5], [7.0, 8.0], "the training part")
    assert (found.low, found.high) == ((1.0, 1.0), (7.0, 8.0))
    assert MinMax(low=LOW, high=HIGH).fit([0.0, 0.0], [1.0, 1.0], "x") == MinMax(low=LOW, high=HIGH)


@pytest.mark.parametrize(
    ("own", "low", "high", "words"),
    [
        ({"low": (1.0, 2.0, 3.0)}, (0.0, 0.0), (1.0, 1.0), "low has 3 values; give one, or one for each of 2 channels"),
        ({}, (0.0, np.inf), (1.0, -np.inf), "channel 1 of the file has no finite value to fit a scaling to"),
        ({}, (3.0,), (3.0,), r"the file is constant \(3\), so there is nothing to learn"),
        ({"low": (9.0,)}, (0.0,), (4.0,), "low 9 above high 4; exchange them"),
    ],
)
def test_limits_that_cannot_be_used_are_refused(own: Any, low: Any, high: Any, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        MinMax(**own).fit(low, high, "the file")


@dataclass(frozen=True, kw_only=True)
class Half(Scaling):
    """Says nothing of how it scales."""

    name: ClassVar[str] = "half"


def test_a_scaling_without_its_functions_is_named() -> None:
    with pytest.raises(NotImplementedError, match=r"the scaling Half has no forward"):
        Half().forward(torch.zeros(1))
    with pytest.raises(NotImplementedError, match=r"the scaling Half has no inverse"):
        Half().inverse(torch.zeros(1))
