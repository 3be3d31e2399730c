"""What a training is made of follows from its experiment."""

from __future__ import annotations

import pytest
import pytorch_msssim
import torch
from networks import TINY
from torch import Tensor

from harness.model.build import build_model
from harness.presets import preset
from harness.training.build import build_loss, build_optimizer, build_schedule


def pair() -> tuple[Tensor, Tensor]:
    first, second = (torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    return first, second


def test_the_optimizer_gets_every_trainable_parameter_and_no_frozen_one() -> None:
    experiment = preset("tiny")
    model = build_model(experiment.architecture, TINY, 0)
    frozen = [parameter.requires_grad_(False) for name, parameter in model.named_parameters() if name.startswith("encoder.")]
    optimizer = build_optimizer(experiment, model)
    given = {id(one) for group in optimizer.param_groups for one in group["params"]}
    assert given == {id(one) for one in model.parameters()} - {id(one) for one in frozen}
    assert {group["lr"] for group in optimizer.param_groups} == {experiment.training.optimizer.lr}


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    prediction, target = pair()
    ssim = pytorch_msssim.ssim(prediction.flatten(0, 1), target.flatten(0, 1), data_range=1.0)
    expected = 0.7 * (prediction - target).square().mean() + 0.3 * (1 - ssim)
    torch.testing.assert_close(build_loss(preset("tiny"))(prediction, target, 0.0), expected, rtol=1e-4, atol=1e-6)


def test_a_late_term_enters_with_the_progress() -> None:
    prediction, target = pair()
    loss = build_loss(preset("cpu"))  # SSIM starts at 0.2 of the budget and has its weight at 0.6
    early, middle, late = (float(loss(prediction, target, progress)) for progress in (0.1, 0.4, 0.6))
    assert early == pytest.approx(0.7 * float((prediction - target).square().mean()))
    assert middle == pytest.approx((early + late) / 2, rel=1e-5)


def test_the_schedule_is_the_experiments() -> None:
    experiment = preset("tiny").replace({"training.schedule.pct_start": 0.5})
    schedule = build_schedule(experiment)
    rates = [schedule.values(step, 101, 1.0)["lr"] for step in range(101)]
    assert max(range(101), key=rates.__getitem__) in (49, 50, 51)
    assert max(rates) == pytest.approx(1.0, abs=1e-3)
