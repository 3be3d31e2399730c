"""Predict one or two frames first, then step by step all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.errors import RequestError
from harness.variant import Claim, Variant


@dataclass(frozen=True, kw_only=True)
class GrowingHorizon:
    """The horizon grows from `start` frames by one frame at a time, in equal shares of the budget.

    Args:
        start: frames to predict at first.
        until: share of the budget, in (0, 1], at which the full horizon is reached.
    """

    slot: ClassVar[str] = "training.curriculum"
    start: int = 2
    until: float = 0.5

    def __post_init__(self) -> None:
        if self.start < 1 or not 0 < self.until <= 1:
            raise RequestError(f"curriculum start {self.start}, until {self.until}: start is at least 1, until in (0, 1]")

    def horizon(self, progress: float, full: int) -> int:
        """Frames to predict at `progress` 0..1 of the budget."""
        start = min(self.start, full)
        # full + 1 - start horizons, of which the last begins at `until`; at progress 1 it is always reached.
        if progress >= self.until:
            return full
        return start + int((full - start) * progress / self.until)


VARIANT = Variant(
    name="curriculum",
    summary="the horizon grows from 2 frames to all of them over the first half of training",
    source="article, section 5; Bengio et al. 2009, Curriculum Learning",
    changes={"training.curriculum": GrowingHorizon()},
    claim=Claim(parameters="same", relative_time="1.5x", ssim="+0.04"),
    citation="Y. Bengio et al., Curriculum Learning, ICML 2009",
)
