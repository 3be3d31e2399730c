"""Presets: each is a whole experiment, and an unknown one is answered with the closest."""

from __future__ import annotations

import pytest

from harness.data.source import open_source
from harness.errors import RequestError
from harness.presets import PRESETS, preset
from harness.runs.request import resolve


def test_an_unknown_preset_is_answered_with_the_closest_that_there_is() -> None:
    with pytest.raises(
        RequestError, match=r"unknown preset 'papre'; did you mean 'paper'\? known: cpu, evening, paper, tiny"
    ):
        preset("papre")


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_frames_suit_its_network_and_its_budget_is_whole(name: str) -> None:
    experiment = preset(name)
    assert experiment.data.canvas % experiment.architecture.stride == 0
    assert experiment.data.digit_size <= experiment.data.canvas
    training = resolve(experiment, "cpu", open_source(experiment.data).epoch_sequences).training
    assert training.steps is not None
    assert training.steps >= training.validate_every


def test_paper_is_the_articles_recipe() -> None:
    experiment = preset("paper")
    data, training = experiment.data, experiment.training
    assert (data.canvas, data.digits, data.input_frames, data.horizon) == (64, 2, 10, 10)
    assert {term.name: term.weight for term in experiment.loss} == {"mse": 0.7, "ssim": 0.3}
    assert (training.optimizer.name, training.schedule.name, training.epochs, training.patience) == (
        "adamw",
        "one-cycle",
        50,
        10,
    )
