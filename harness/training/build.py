"""What a training is made of, from its experiment. Nothing else reads these settings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.experiment import Experiment
from harness.training.losses import composite_loss
from harness.training.schedules import OneCycle, Schedule

LossFunction = Callable[[Tensor, Tensor, float], Tensor]
"""(prediction (B, T, C, H, W), target of the same shape, progress 0..1 of the budget) -> scalar."""


def build_optimizer(experiment: Experiment, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """The optimizer of the model's parameters, which are on `device`. The `lr` of a group is its peak rate."""
    training = experiment.training
    return torch.optim.AdamW(
        model.parameters(), lr=training.max_lr, weight_decay=training.weight_decay, fused=device.type == "cuda"
    )


def build_schedule(experiment: Experiment) -> Schedule:
    """What the optimizer's settings are over the budget."""
    return OneCycle(pct_start=experiment.training.pct_start)


def build_loss(experiment: Experiment) -> LossFunction:
    """The training loss."""
    return lambda prediction, target, progress: composite_loss(prediction, target, experiment.loss.at(progress))
