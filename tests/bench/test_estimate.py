"""What a plan will take is measured without a trace."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from trainings import cell_of, switches

from harness.bench import estimate
from harness.bench.estimate import time_steps


def test_a_few_steps_can_be_timed_and_leave_nothing_behind() -> None:
    before = switches()
    cell, source = cell_of({"training.steps": 100}, "curriculum")
    step, test, memory = time_steps(cell.experiment, source, "cpu")
    assert min(step, test) > 0
    assert memory > 2**20
    assert switches() == before


def test_steps_are_timed_in_the_memory_format_in_which_a_training_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    take = estimate.train_step

    def watched(model: nn.Module, *given: Any, **more: Any) -> Any:
        kernels = [weight for weight in model.parameters() if weight.dim() == 4 and weight.shape[1] > 1 < weight.shape[2]]
        seen.append(all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels))
        return take(model, *given, **more)

    monkeypatch.setattr(estimate, "train_step", watched)
    cell, source = cell_of()  # base says that NHWC is faster on a CPU
    time_steps(cell.experiment, source, "cpu", steps=1)
    assert seen == [True, True]
