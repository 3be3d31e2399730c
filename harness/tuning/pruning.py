"""Pruners by name, and when a trial is shown to one.

- median (the default) stops a trial whose SSIM at half of its budget or later lies below the median of the others at the same
  point, once 5 trials have ended. Earlier there is nothing to see: OneCycle's rate is still high, and a loss that starts with
  MSE has not met its SSIM term.
- hyperband starts many trials and stops most early; it wants tens of trials and many validations in each.
- with several seeds a trial, the Wilcoxon pruner stops it between seeds when it is surely worse than the best one, seed by
  seed. Its test needs 4 seeds to reach its threshold of 0.1, so with fewer it prunes nothing.

Fixed arms are never pruned, nor are trials with two objectives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

PRUNERS = ("median", "hyperband", "none")
STARTUP_TRIALS = 5


def make_pruner(name: str, validations: int, seeds: int, objectives: tuple[str, ...]) -> BasePruner | None:
    """The pruner, or None where no trial is pruned.

    Args:
        validations: how many a whole training has; 0 when that is not known (a budget in seconds).
        seeds: seeds a trial; from two on, it is pruned between seeds.
    """
    from optuna import pruners

    from harness.tuning.storage import experiments

    if name == "none" or len(objectives) > 1:
        return None
    with experiments():
        if seeds > 1:
            return pruners.WilcoxonPruner(p_threshold=0.1)
        if validations < 2:
            return None
        if name == "median":
            half = -(-validations // 2)
            return pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=half, n_min_trials=3)
        return pruners.HyperbandPruner(min_resource=1, max_resource=validations, reduction_factor=3)
