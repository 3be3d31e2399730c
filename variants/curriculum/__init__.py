"""Predict one or two frames first, then step by step all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.component import Component, setting
from harness.variant import Claim, Variant


@dataclass(frozen=True, kw_only=True)
class GrowingHorizon(Component):
    """The horizon grows from `start` frames by one frame at a time, in equal shares of the budget."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "growing-horizon"
    start: int = setting(2, "frames to predict at first", at_least=1)
    until: float = setting(0.5, "share of the budget at which the full horizon is reached", above=0, at_most=1)

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
