"""A training that predicts blank frames is told so, once, with ways out."""

from __future__ import annotations

import pytest
import torch

from harness.evaluation.evaluate import evaluate
from harness.evaluation.micro_batches import MicroBatcher
from harness.training.blank import Blank


def compare(predicted: float) -> list[str]:
    """Notes of a training whose network answers with one intensity where the truth is a bright square on black."""
    frames = torch.zeros(2, 4, 1, 16, 16)
    frames[..., 4:12, 4:12] = 0.9
    said: list[str] = []
    blank = Blank(said.append)

    def network(inputs: torch.Tensor, horizon: int) -> torch.Tensor:
        return predicted * frames[: len(inputs), -horizon:]

    for _ in range(2):
        scores = evaluate({"model": network} | blank.predictors, [frames], shown=2, horizon=2, micro_batches=MicroBatcher(2))
        blank.compare(scores["model"].overall(), scores)
    assert blank.metrics["mse"] == pytest.approx(64 * 0.9**2)  # once measured it stays
    for done, step in ((0.19, 190), (0.9, 9), (0.2, 200), (0.4, 400)):
        blank.warn(done, step)
    return said


def test_a_network_at_the_blank_frame_is_named_once_after_a_fifth_of_the_budget_and_with_ways_out() -> None:
    (said,) = compare(0.0)
    assert "still at the blank frame after 20% of the training" in said
    assert "loss.ssim.start=0.2" in said
    assert compare(0.5) == []
