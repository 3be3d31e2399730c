"""What is said of predictions that are no better than a blank frame."""

from __future__ import annotations

import math

import pytest
import torch

from harness.evaluation.conventions import frames_above_blank
from harness.evaluation.evaluate import evaluate
from harness.evaluation.micro_batches import MicroBatcher
from harness.training.blank import Blank


def result(**own: list[float]) -> dict[str, object]:
    blank = {"ssim": [0.4, 0.4, 0.4], "mae": [50.0, 50.0, 50.0], "wetness": [0.0, 0.0, 0.0]}
    measured = {"wetness": {"higher_is_better": True}}
    own = {"ssim": [0.5, 0.5, 0.5]} | own
    return {
        "metrics_per_frame": own,
        "baselines_per_frame": {"blank": {name: blank[name] for name in own}},
        "measured": measured,
    }


@pytest.mark.parametrize(
    ("own", "until", "behind"),
    [
        ({}, 3, ""),
        ({"mae": [40.0, 49.0, 50.0]}, 2, "mae"),  # equal is not better
        ({"mae": [40.0, 51.0, 40.0]}, 1, "mae"),  # a later frame does not make up for it
        ({"ssim": [0.3, 0.5, 0.5], "mae": [60.0, 40.0, 40.0]}, 0, "ssim mae"),
        ({"ssim": [0.5, math.nan, 0.5]}, 1, "ssim"),
        ({"wetness": [0.1, 0.1, 0.0]}, 2, "wetness"),  # another package's metric, by the direction in the record
    ],
)
def test_the_last_frame_above_blank_is_the_last_before_any_metric_falls_behind(
    own: dict[str, list[float]], until: int, behind: str
) -> None:
    assert frames_above_blank(result(**own)) == (until, behind.split())


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
