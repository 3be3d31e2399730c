"""A variant in one file: `harness run --plugin example_file.py --variant two-stage`. Nothing is installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.variant import Variant


@dataclass(frozen=True, kw_only=True)
class TwoStages:
    """One frame first, then all of them at once.

    Args:
        turn: share of the budget after which the full horizon is trained.
    """

    slot: ClassVar[str] = "training.curriculum"
    turn: float = 0.5

    def horizon(self, progress: float, full: int) -> int:
        """Frames to predict at `progress` 0..1 of the budget."""
        return full if progress >= self.turn else 1


VARIANT = Variant(
    name="two-stage",
    summary="one frame in the first half of training, all frames in the second",
    source="a control for the curriculum: the same idea without the steps",
    changes={"training.curriculum": TwoStages()},
)
