"""Gradient energy beside the truth's."""

from __future__ import annotations

import pytest
import torch

from harness.evaluation.metrics.sharpness import Sharpness


def value(prediction: torch.Tensor, target: torch.Tensor) -> float:
    metric = Sharpness()
    return metric.finish(metric.counts(prediction, target).sum((0, 1)).tolist())


def test_half_the_contrast_is_a_quarter_of_the_energy_either_way() -> None:
    edge = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).view(1, 1, 1, 2, 2)
    assert value(edge, edge) == 1.0
    assert value(edge / 2, edge) == pytest.approx(0.25)
    assert value(edge, edge / 2) == pytest.approx(0.25)
    assert value(torch.full_like(edge, 0.5), edge) == 0.0
    assert value(edge, torch.zeros_like(edge)) != value(edge, torch.zeros_like(edge))  # NaN: a flat truth has no sharpness
