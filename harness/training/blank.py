"""Says so while a training predicts blank frames, which is where this field's trainings most often get stuck."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.evaluation.baselines import blank
from harness.evaluation.conventions import HEADLINE
from harness.evaluation.mean import MetricMean
from harness.evaluation.predict import Predictor

PATIENCE = 0.2
"""Share of the budget after which a training should have left the blank frame."""

FEWEST_STEPS = 50
"""Before so many steps no network has left it, and to say so would be noise."""

SSIM_GAIN, ERROR_SHARE = 0.005, 0.95
"""At the blank frame: an SSIM not this much above the blank frame's, and an MSE not below this share of it."""


class Blank:
    """The blank frame's metrics on the validation sequences, and whether the network has left it. Warns once a process."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note, self.warned, self.stuck = note, False, False
        self.metrics: dict[str, float] = {}

    @property
    def predictors(self) -> Mapping[str, Predictor]:
        """What to evaluate beside the network: the blank frame, the first time."""
        return {} if self.metrics else {"blank": blank}

    def compare(self, metrics: Mapping[str, float], scores: Mapping[str, MetricMean]) -> None:
        """Compares a validation with the blank frame's, which is in `scores` the first time."""
        if "blank" in scores:
            self.metrics = scores["blank"].overall()
        close = metrics[HEADLINE] <= self.metrics[HEADLINE] + SSIM_GAIN
        self.stuck = close and metrics["mse"] >= ERROR_SHARE * self.metrics["mse"]

    def warn(self, done: float, step: int) -> None:
        """Says that the network is still at the blank frame after `step` steps, `done`, 0..1, of the budget; and the ways out."""
        if self.warned or not self.stuck or done < PATIENCE or step < FEWEST_STEPS:
            return
        self.warned = True
        self.note(
            f"still at the blank frame after {done:.0%} of the training: the network predicts next to nothing. Known ways out: let "
            "SSIM enter the loss late (loss.ssim.start=0.2, loss.ssim.ramp=0.4), training.optimizer=muon, more steps, a higher "
            "training.optimizer.lr, and a linear head instead of a sigmoid"
        )
