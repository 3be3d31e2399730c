"""The one training step, on networks small enough to compute by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.model.graphs import graphed
from harness.training.schedules import OneCycle, one_cycle
from harness.training.step import GradientAccumulator, Step, apply_schedule, train_step

CPU = torch.device("cpu")


class Scale(nn.Module):
    """Predicts the last input frame times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, frames: Tensor, horizon: int) -> Tensor:
        return frames[:, -1:].repeat(1, horizon, 1, 1, 1) * self.weight


def take(network: nn.Module, optimizer: torch.optim.Optimizer, frames: Tensor | None = None, **given: Any) -> Step:
    frames = torch.ones(2, 3, 1, 2, 2) if frames is None else frames
    options: dict[str, Any] = {
        "shown": 1,
        "horizon": 2,
        "progress": 0.5,
        "loss": lambda prediction, target, progress: prediction.mean() * 3.0,
        "schedule": lambda peak: {},
        "batch": GradientAccumulator.whole(len(frames)),
    }
    return train_step(network, optimizer, frames, **(options | given))


def test_a_step_is_forward_backward_and_the_optimizers_step() -> None:
    network = Scale()
    taken = take(network, torch.optim.SGD(network.parameters(), lr=0.1))
    assert taken == Step(3.0, 3.0, False, {})
    assert network.weight.item() == pytest.approx(1 - 0.1 * 3)
    assert network.weight.grad is None


def test_the_norm_is_clipped_and_the_scale_is_taken_out() -> None:
    network = Scale()
    taken = take(network, torch.optim.SGD(network.parameters(), lr=1.0), scale=64.0, clip_norm=0.5)
    assert (taken.loss, taken.norm) == (3.0, 3.0)
    assert network.weight.item() == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_that_is_not_finite_is_skipped_but_scheduled(bad: float) -> None:
    network = Scale()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    taken = take(network, optimizer, torch.full((2, 3, 1, 2, 2), bad), schedule=lambda peak: {"lr": peak / 2})
    assert taken.skipped
    assert network.weight.item() == 1.0
    assert network.weight.grad is None
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_the_loss_is_told_the_progress_and_the_host_works_meanwhile() -> None:
    network, seen = Scale(), []

    def loss(prediction: Tensor, target: Tensor, progress: float) -> Tensor:
        seen.append((tuple(prediction.shape), tuple(target.shape), progress))
        return prediction.mean()

    take(network, torch.optim.SGD(network.parameters(), lr=0.1), loss=loss, meanwhile=lambda: seen.append("meanwhile"))
    assert seen == [((2, 2, 1, 2, 2), (2, 2, 1, 2, 2), 0.5), "meanwhile"]


def test_a_network_may_be_fed_more_in_training() -> None:
    class Fed(Scale):
        def forward_training(self, frames: Tensor, horizon: int, target: Tensor, progress: float) -> Tensor:
            return self(frames, horizon) * (1 - progress) + target * progress

    network = Fed()
    frames = torch.ones(2, 3, 1, 2, 2)
    frames[:, 1:] = 5.0
    taken = take(network, torch.optim.SGD(network.parameters(), lr=0.1), frames, loss=lambda p, t, progress: p.mean())
    assert taken.loss == 3.0
    assert graphed(network, torch.device("cuda")) is network


def test_the_gradients_of_parts_add_up_to_the_batchs() -> None:
    frames = torch.rand(5, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    weights = []
    for at_once in (5, 2):
        network, batch = Scale(), GradientAccumulator.whole(5)
        batch.at_once = at_once
        take(network, torch.optim.SGD(network.parameters(), lr=0.1), frames, batch=batch)
        weights.append(network.weight.item())
    assert weights[1] == pytest.approx(weights[0], rel=1e-6)


class Everything:
    """A schedule of settings that no single optimizer has."""

    def values(self, step: float, total: float, lr: float) -> Mapping[str, float]:
        return {"lr": lr * step / total, "beta1": 0.8, "momentum": 0.7, "unheard_of": 1.0}


def groups_of(optimizer: torch.optim.Optimizer, step: float = 5) -> list[dict[str, Any]]:
    apply_schedule(optimizer, lambda peak: Everything().values(step, 10, peak))
    return optimizer.param_groups


def test_a_schedule_sets_what_a_group_has_and_nothing_else() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    (adam,) = groups_of(torch.optim.AdamW(parameters, lr=0.2, betas=(0.9, 0.99)))
    assert (adam["lr"], adam["betas"]) == (0.1, (0.8, 0.99))
    assert not {"momentum", "beta1", "unheard_of"} & adam.keys()
    (sgd,) = groups_of(torch.optim.SGD(parameters, lr=0.2, momentum=0.9))
    assert (sgd["lr"], sgd["momentum"]) == (0.1, 0.7)
    assert not {"betas", "beta1", "unheard_of"} & sgd.keys()


def test_every_group_keeps_its_own_peak() -> None:
    groups: list[dict[str, Any]] = [
        {"params": [nn.Parameter(torch.zeros(1))], "lr": 0.2},
        {"params": [nn.Parameter(torch.zeros(1))], "lr": 0.2, "peak_lr": 1.0},
    ]
    optimizer = torch.optim.SGD(groups)
    for _ in range(2):  # from the peak, not from what the step before made of it
        assert [group["lr"] for group in groups_of(optimizer)] == [0.1, 0.5]


@pytest.mark.parametrize("step", [0, 1, 7.3, 299, 999])
def test_one_cycle_as_an_object_is_the_function(step: float) -> None:
    values = OneCycle(pct_start=0.15).values(step, 1000, 5e-3)
    assert tuple(values.values()) == one_cycle(step, 1000, max_lr=5e-3, pct_start=0.15)
    assert list(values) == ["lr", "beta1"]
