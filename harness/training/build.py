"""What a training is made of, from its experiment."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.experiment import Experiment
from harness.training.schedules import Schedule
from harness.training.terms import composite_loss

LossFunction = Callable[[Tensor, Tensor, float], Tensor]
"""(prediction (B, T, C, H, W), target of the same shape, progress 0..1 of the budget) -> scalar."""


def build_optimizer(experiment: Experiment, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of the model's trainable parameters. The `lr` of a group is its peak rate."""
    trainable = ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    optimizer: torch.optim.Optimizer = experiment.training.optimizer.build(trainable)
    return optimizer


def build_schedule(experiment: Experiment) -> Schedule:
    """What the optimizer's settings are over the budget."""
    schedule: Schedule = experiment.training.schedule
    return schedule


def build_loss(experiment: Experiment) -> LossFunction:
    """The training loss: the sum of its terms."""
    return lambda prediction, target, progress: composite_loss(prediction, target, experiment.loss, progress)
