"""Feeding: whether a recurrent network is shown the truth or its own prediction, while it trains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from harness.component import Component, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Feed(NamedTuple):
    """What a network with a `feed` parameter is given in training."""

    frames: Tensor
    """The true sequences, (B, input_frames + horizon, C, H, W)."""
    use_truth: Tensor
    """(B, input_frames + horizon - 1) bool: whether a step's input is the true frame or the network's own prediction."""


@dataclass(frozen=True, kw_only=True)
class Feeding(Component):
    """Draws which inputs are true. A subclass gives the probabilities."""

    slot: ClassVar[str] = "training.feeding"

    def probabilities(self, progress: float) -> tuple[float, float]:
        """Of the truth at the input frames after the first, and at the frames to predict, at progress 0..1 of the budget."""
        raise NotImplementedError(f"the feeding {type(self).__name__} has no probabilities(progress)")

    def draw(self, sequences: int, shown: int, horizon: int, progress: float, generator: torch.Generator) -> Tensor:
        """`Feed.use_truth` for a batch, drawn for each sequence and step. The first frame is always true."""
        import torch

        seen, predicted = self.probabilities(progress)
        share = torch.tensor([1.0] + [seen] * (shown - 1) + [predicted] * (horizon - 1))
        return torch.rand(sequences, len(share), generator=generator) < share


@dataclass(frozen=True, kw_only=True)
class ScheduledSampling(Feeding):
    """The truth at first, then ever more of the network's own predictions (Bengio et al. 2015, arXiv:1506.03099), linearly.

    The input frames are always true.
    """

    name: ClassVar[str] = "scheduled-sampling"
    first: float = setting(1.0, "probability of the truth at the start", at_least=0, at_most=1)
    until: float = setting(0.5, "share of the budget at which it has fallen to 0", above=0, at_most=1)

    def probabilities(self, progress: float) -> tuple[float, float]:
        """1, and a line from `first` to 0."""
        return 1.0, self.first * max(0.0, 1.0 - progress / self.until)


@dataclass(frozen=True, kw_only=True)
class ReverseScheduledSampling(Feeding):
    """Hides some of the input frames at first (PredRNN-V2, Wang et al. 2022, arXiv:2103.09504), and feeds predictions later.

    Until `first` of the budget both probabilities are 1/2. Then that of the input frames rises to 1 exponentially, and is 1 from
    `second` on; that of the frames to predict falls to 0 linearly at `second`.
    """

    name: ClassVar[str] = "reverse-scheduled-sampling"
    first: float = setting(0.3125, "share of the budget at which the probabilities begin to move", at_least=0, at_most=1)
    second: float = setting(0.625, "share of the budget at which they have arrived", above=0, at_most=1)
    decay: float = setting(0.0625, "share of the budget in which the distance from 1 falls to 1 / e", above=0, at_most=1)

    def probabilities(self, progress: float) -> tuple[float, float]:
        """Of the input frames, 1/2 to 1; of the frames to predict, 1/2 to 0."""
        if progress < self.first:
            return 0.5, 0.5
        if progress >= self.second:
            return 1.0, 0.0
        moved = progress - self.first
        return 1.0 - 0.5 * math.exp(-moved / self.decay), 0.5 - 0.5 * moved / (self.second - self.first)
