"""The one training step: the loop, `harness bench` and the estimate of a plan's time take the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from harness.evaluation.micro_batches import MicroBatcher
from harness.model.graphs import Graphed
from harness.system.devices import autocast
from harness.training.build import LossFunction
from harness.training.distributed import SINGLE_PROCESS, Distributed
from harness.training.feeding import Feed


class GradientAccumulator(MicroBatcher):
    """How this process works through its part of every training batch.

    Args:
        part: the sequences of the batch that are this process's.
        size: sequences of the whole batch.
        auto: whether to take fewer sequences at once when memory runs out.
        note: tells the user.

    `at_once` sequences go through the network together; the gradients of several such parts add up to the batch's.
    """

    def __init__(self, part: slice, size: int, auto: bool = False, note: Callable[[str], None] = lambda text: None) -> None:
        super().__init__(part.stop - part.start, auto, note)
        self.part, self.size = part, size

    @classmethod
    def whole(cls, size: int) -> GradientAccumulator:
        """All `size` sequences of every batch, at once."""
        return cls(slice(0, size), size)

    def add_up(self, model: nn.Module, frames_BTCHW: Tensor, work: Callable[[slice, float], Tensor]) -> Tensor:
        """Calls `work` (sequences, their share of the whole batch) -> loss for each part, and returns the sum of the losses.

        `work` adds to the model's gradients. When memory runs out and `auto` is set, the parts are halved and the step
        starts again.
        """
        mine = frames_BTCHW[self.part]
        while True:
            try:
                starts = range(self.part.start, self.part.stop, self.at_once)
                parts = [slice(start, min(start + self.at_once, self.part.stop)) for start in starts]
                losses = [work(some, (some.stop - some.start) / self.size) for some in parts]
                return losses[0] if len(losses) == 1 else torch.stack(losses).sum()
            except (RuntimeError, MemoryError) as error:
                if not self.may_take_fewer(error):
                    raise
            model.zero_grad(set_to_none=True)
            self.take_fewer(mine)


class Step(NamedTuple):
    """What a step did."""

    loss: float
    """Of the whole batch; may be NaN or infinite."""
    norm: float
    """Of the gradient before clipping; may be NaN or infinite."""
    skipped: bool
    """The loss or the norm was not finite, so the weights were left alone."""
    values: Mapping[str, float]
    """What the schedule gave the optimizer's first group."""


def train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    frames_BTCHW: Tensor,
    *,
    shown: int,
    horizon: int,
    progress: float,
    loss: LossFunction,
    schedule: Callable[[float], Mapping[str, float]],
    batch: GradientAccumulator,
    precision: str = "float32",
    scale: float = 1.0,
    clip_norm: float = 0.0,
    use_truth_BT: Tensor | None = None,
    fill: Callable[[Tensor], Tensor] | None = None,
    distributed: Distributed = SINGLE_PROCESS,
    meanwhile: Callable[[], None] = lambda: None,
) -> Step:
    """Forward, backward, all_reduce, clip, schedule, and the optimizer's step unless loss or gradient is not finite.

    Draws nothing: with equal frames, weights and states of torch's generators it does the same again.

    Args:
        network: (inputs, horizon) -> prediction. One with `forward_training` (inputs, horizon, target, progress) is called
            through that.
        optimizer: of the network's parameters; the schedule is given each group's "peak_lr", at first its "lr".
        frames_BTCHW: the whole batch (B, shown + horizon, C, H, W) in [0, 1], the same on all processes.
        shown: input frames.
        horizon: frames to predict.
        progress: share of the budget that is spent, 0..1.
        loss: (prediction, target, progress) -> scalar.
        schedule: a group's peak learning rate -> its settings; see `harness.training.schedules.Schedule`.
        batch: which part of the batch this process takes, and how many sequences at once.
        precision: float32, or the 16-bit type that autocast uses for the forward pass.
        scale: factor on the loss in the backward pass, removed from the gradients again: for float16.
        clip_norm: largest norm of the gradient; 0: no limit.
        use_truth_BT: for a network with a `feed` parameter: which of its inputs are true; see `harness.training.feeding.Feed`.
        fill: where NaN in the frames is a missing value: what the network is shown of them. The loss has no error there.
        distributed: the processes that train together.
        meanwhile: called once the passes and the norm are queued: what it does overlaps with the device's work.
    """

    def work(some: slice, share: float) -> Tensor:
        found = forward_backward(
            network,
            frames_BTCHW[some],
            use_truth_BT=None if use_truth_BT is None else use_truth_BT[some],
            shown=shown,
            horizon=horizon,
            progress=progress,
            loss=loss,
            precision=precision,
            scale=scale * share,
            fill=fill,
        )
        return found * share

    total = batch.add_up(network, frames_BTCHW, work)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    distributed.all_reduce([*gradients, total])
    if scale != 1.0:
        for gradient in gradients:
            gradient.div_(scale)
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip_norm or math.inf)
    found = torch.stack([total, norm])
    meanwhile()
    value, size = (float(one) for one in found.tolist())  # one wait for the device a step
    values = apply_schedule(optimizer, schedule)
    finite = math.isfinite(value) and math.isfinite(size)
    if finite:
        optimizer.step()
    optimizer.zero_grad(set_to_none=not isinstance(network, Graphed))
    return Step(value, size, not finite, values)


def forward_backward(
    network: nn.Module,
    frames_BTCHW: Tensor,
    *,
    shown: int,
    horizon: int,
    progress: float,
    loss: LossFunction,
    precision: str,
    scale: float,
    use_truth_BT: Tensor | None = None,
    fill: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Adds the gradients of `scale` times the loss; returns the loss, float32."""
    found = loss_of(
        network,
        frames_BTCHW,
        shown=shown,
        horizon=horizon,
        progress=progress,
        loss=loss,
        precision=precision,
        use_truth_BT=use_truth_BT,
        fill=fill,
    )
    (found * scale).backward()  # type: ignore[no-untyped-call]
    return found.detach()


def loss_of(
    network: nn.Module,
    frames_BTCHW: Tensor,
    *,
    shown: int,
    horizon: int,
    progress: float,
    loss: LossFunction,
    precision: str,
    use_truth_BT: Tensor | None = None,
    fill: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The loss of what the network predicts from the `shown` first frames, float32.

    A network's own `auxiliary_loss`, which it sets in its forward pass, is part of the loss.
    """
    known = None
    if fill is not None:
        known = ~frames_BTCHW[:, shown:].isnan()
        frames_BTCHW = fill(frames_BTCHW)
    inputs, target = frames_BTCHW[:, :shown], frames_BTCHW[:, shown:]
    with autocast(precision, frames_BTCHW.device):
        special: Callable[..., Tensor] | None = getattr(network, "forward_training", None)
        if special is not None:
            prediction = special(inputs, horizon, target, progress)
        elif use_truth_BT is not None:
            prediction = network(inputs, horizon, feed=Feed(frames_BTCHW, use_truth_BT.to(frames_BTCHW.device)))
        else:
            prediction = network(inputs, horizon)
    if known is not None:
        prediction = torch.where(known, prediction.float(), target)
    found = loss(prediction, target, progress)
    auxiliary = getattr(network, "auxiliary_loss", None)
    if auxiliary is not None:
        found = found + auxiliary.float()
    return found


def apply_schedule(
    optimizer: torch.optim.Optimizer, schedule: Callable[[float], Mapping[str, float]]
) -> Mapping[str, float]:
    """Sets what the schedule gives and a group has, for each group; returns what it gave the first.

    A group without "peak_lr" gets it here, before its "lr" changes for the first time.
    """
    found = []
    for group in optimizer.param_groups:
        values = schedule(group.setdefault("peak_lr", group["lr"]))
        found.append(values)
        for name, value in values.items():
            if name == "beta1" and "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            elif name in group:
                group[name] = value
    return found[0]
