"""Your own loss term: is a Charbonnier term better than the squared error?

    python examples/own_loss.py --preset cpu --seeds 5

The class is defined here and nowhere else; its `revision` is raised whenever what it computes changes.
"""

import argparse
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness.training.terms import LossTerm


@dataclass(frozen=True, kw_only=True)
class Charbonnier(LossTerm):
    """sqrt(error^2 + epsilon^2), mean over pixels (Charbonnier et al. 1994): squared near 0, absolute far from it."""

    name: ClassVar[str] = "charbonnier"
    revision: ClassVar[int] = 1
    epsilon: float = harness.setting(1e-3, "where the square becomes an absolute value", above=0)

    def compute(self, prediction_BTCHW, target_BTCHW):
        """A scalar, at least `epsilon`."""
        return ((prediction_BTCHW - target_BTCHW).square() + self.epsilon**2).sqrt().mean()


charbonnier = harness.Variant(
    name="charbonnier",
    summary="a Charbonnier term in place of the squared error",
    source="Charbonnier et al. 1994",
    changes={"loss.mse": "none", "loss.charbonnier": Charbonnier(weight=0.7)},
)

parser = argparse.ArgumentParser()
parser.add_argument("--preset", default="tiny")
parser.add_argument("--seeds", type=int, default=3)
asked = parser.parse_args()

found = harness.ablate([charbonnier], preset=asked.preset, seeds=asked.seeds)
print(found.verdicts()[["variant", "difference", "low", "high", "verdict"]].to_string(index=False))
