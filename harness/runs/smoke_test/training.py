"""A step of training, and the same step after a resume."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import RequestError
from harness.runs.blame import calling, suspect, who
from harness.runs.smoke_test.checks import Setup, described, kept, same
from harness.runs.smoke_test.network import built, owner
from harness.system.seeds import derived_seed
from harness.training.build import build_loss, build_optimizer
from harness.training.checkpoint import OptimizerState
from harness.training.step import apply_schedule, forward_backward, loss_of


def train_and_resume(setup: Setup, model: nn.Module, frames: Tensor) -> None:
    """A step of training; then a copy that has nothing but what a checkpoint keeps must do the same as the original."""
    by_batch = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())
    frames = frames if by_batch else frames[:1]
    optimizer, average = _step(setup, model, frames)
    saved = {"network": kept(setup.architecture, model)}
    saved["optimizer"] = kept(setup.training.optimizer, OptimizerState(optimizer, model))
    twin = built(setup)
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_(model.get_parameter(name).requires_grad)
    twin.load_state_dict(saved["network"])
    twin.train()
    losses = [_loss(setup, one, frames) for one in (model, twin)]
    if not torch.equal(*losses):
        raise RequestError(
            f"{who(suspect(setup.architecture))}: after a step the network keeps state that a checkpoint does not have; wanted: "
            "all that changes in parameters and buffers (register_buffer)"
        )
    with calling(setup.experiment, setup.training.optimizer, "build"):
        other = build_optimizer(setup.experiment, twin)
    OptimizerState(other, twin).load_state_dict(saved["optimizer"])
    averages = [(model, average)]
    if average is not None:
        restored = setup.training.average.build(twin)
        restored.load_state_dict(kept(setup.training.average, average))
        averages.append((twin, restored))
    for name, parameter in twin.named_parameters():
        gradient = model.get_parameter(name).grad
        parameter.grad = None if gradient is None else gradient.clone()
    for one in (optimizer, other):
        with calling(setup.experiment, setup.training.optimizer, "step"):
            apply_schedule(one, lambda lr: setup.training.schedule.values(0, 1, lr))
            one.step()
    if not same(dict(model.named_parameters()), dict(twin.named_parameters())):
        raise RequestError(
            f"{who(setup.training.optimizer)}: a step after resuming differs; it keeps state that is not in `state` or "
            "`param_groups`; wanted: all of it there, or in state_dict()"
        )
    if average is not None:
        for _, one in averages:
            with calling(setup.experiment, setup.training.average, "update"):
                one.update()
        if not same(*(kept(setup.training.average, one) for _, one in averages)):
            raise RequestError(
                f"{who(setup.training.average)}: an update after resuming differs; wanted: all state in state_dict()"
            )


def _step(setup: Setup, model: nn.Module, frames: Tensor) -> tuple[torch.optim.Optimizer, Any]:
    model.train()
    torch.default_generator.manual_seed(derived_seed(setup.training.seed, 0))
    with calling(setup.experiment, setup.architecture, "a training step", may_draw=True):
        loss = forward_backward(
            model,
            frames,
            shown=setup.shown,
            horizon=setup.horizon,
            progress=0.0,
            loss=build_loss(setup.experiment),
            precision="float32",
            scale=1.0,
            use_truth_BT=setup.fed(frames),
            fill=setup.source.fill,
        )
    if not loss.isfinite():
        raise RequestError(f"{who(suspect(setup.architecture))}: the loss in training mode is {float(loss)}; wanted: finite")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise RequestError(f"{owner(setup, model, name)}: the gradient of {name} is not finite; wanted: finite numbers")
    slot = setup.training.optimizer
    with calling(setup.experiment, slot, "build"):
        optimizer = build_optimizer(setup.experiment, model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise RequestError(f"{who(slot)}: build gave {described(optimizer)}; wanted: a torch.optim.Optimizer")
    average = None
    if setup.training.average is not None:
        with calling(setup.experiment, setup.training.average, "build"):
            average = setup.training.average.build(model)
    with calling(setup.experiment, slot, "step"):
        apply_schedule(optimizer, lambda lr: setup.training.schedule.values(0, 1, lr))
        optimizer.step()
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise RequestError(f"{who(slot)}: after a step {name} is not finite; wanted: finite weights")
    if average is not None:
        with calling(setup.experiment, setup.training.average, "update"):
            average.update()
    return optimizer, average


def _loss(setup: Setup, model: nn.Module, frames: Tensor) -> Tensor:
    torch.default_generator.manual_seed(derived_seed(setup.training.seed, 1))
    with torch.no_grad(), calling(setup.experiment, setup.architecture, "a training step", may_draw=True):
        return loss_of(
            model,
            frames,
            shown=setup.shown,
            horizon=setup.horizon,
            progress=0.0,
            loss=build_loss(setup.experiment),
            precision="float32",
            use_truth_BT=setup.fed(frames),
            fill=setup.source.fill,
        )
