"""The suites of data, augmentations and scalings find the mistake that they are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from broken_components import Augment, Clips
from contracts import assert_breaks
from torch import Tensor

from harness.data.scaling import MinMax, Scaling
from harness.testing.data import AugmentationContract, DataContract, ScalingContract

SMALL: dict[str, Any] = {"canvas": 16, "digit_size": 7, "input_frames": 3, "horizon": 3, "test_sequences": 4}


@pytest.mark.parametrize("kind", ["cut", "bytes"])
def test_sequences_of_another_kind_are_found(kind: str) -> None:
    assert_breaks(DataContract, "test_gives_sequences_to_train_validate_and_test_on", Clips(kind=kind, **SMALL))


def test_a_batch_that_depends_on_what_was_asked_before_is_found() -> None:
    assert_breaks(DataContract, "test_a_batch_follows_from_the_seed_and_the_step", Clips(kind="stateful", **SMALL))


@pytest.mark.parametrize("kind", ["dice", "cut", "nan", "bright", "in place"])
def test_an_augmentation_with_a_mistake_is_found(kind: str) -> None:
    test = next(name for name in dir(AugmentationContract) if name.endswith("of_the_frames_and_the_generator"))
    assert_breaks(AugmentationContract, test, Augment(kind=kind))


@dataclass(frozen=True, kw_only=True)
class Still(Augment):
    """Changes nothing."""

    name: ClassVar[str] = "still"

    def apply(self, frames: Tensor, generator: torch.Generator) -> Any:
        return frames.clone()


def test_an_augmentation_that_changes_nothing_is_found() -> None:
    assert_breaks(AugmentationContract, "test_changes_something", Still())


@dataclass(frozen=True, kw_only=True)
class OneLimit(Scaling):
    """Takes the first channel's limits for all."""

    name: ClassVar[str] = "one-limit"

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.low[0]) / (self.high[0] - self.low[0])

    def inverse(self, scaled: Tensor) -> Tensor:
        return self.low[0] + scaled * (self.high[0] - self.low[0])


def test_a_scaling_that_mixes_up_its_channels_is_found() -> None:
    assert_breaks(ScalingContract, "test_limits_become_0_and_1_and_come_back", OneLimit())
    suite: Any = type("Suite", (ScalingContract,), {"component": MinMax(), "__test__": False})()
    suite.test_limits_become_0_and_1_and_come_back()
