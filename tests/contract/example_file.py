"""A variant in one file: `harness run --plugin example_file.py --variant two-stage`. Nothing is installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.component import Component, setting
from harness.variant import Variant


@dataclass(frozen=True, kw_only=True)
class TwoStages(Component):
    """One frame first, then all of them at once."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "two-stage"
    turn: float = setting(0.5, "share of the budget after which the full horizon is trained", at_least=0, at_most=1)

    def horizon(self, progress: float, full: int) -> int:
        """Frames to predict at `progress` 0..1 of the budget."""
        return full if progress >= self.turn else 1


VARIANT = Variant(
    name="two-stage",
    summary="one frame in the first half of training, all frames in the second",
    source="a control for the curriculum: the same idea without the steps",
    changes={"training.curriculum": TwoStages()},
)
