"""The article's literal network computes what ours does."""

from __future__ import annotations

import pytest
import torch

from harness.bench.article import ArticleForecaster
from harness.component import Shape
from harness.model.build import build_model
from harness.presets import preset


def shape_of(name: str) -> Shape:
    data = preset(name).data
    return Shape(1, data.canvas, data.canvas, data.input_frames, data.horizon)


def test_the_articles_literal_network_computes_what_ours_does() -> None:
    for name in ("tiny", "cpu"):
        experiment = preset(name)
        model = build_model(experiment.architecture, shape_of(name), 3)
        frames = torch.rand(2, 3, 1, experiment.data.canvas, experiment.data.canvas)
        with torch.no_grad():
            torch.testing.assert_close(ArticleForecaster(model)(frames, 4), model(frames, 4))


def test_the_articles_cell_has_eight_convolutions() -> None:
    model = ArticleForecaster(build_model(preset("tiny").architecture, shape_of("tiny"), 0))
    for cell in (*model.encoder, *model.forecaster):
        assert sum(isinstance(part, torch.nn.Conv2d) for part in cell.modules()) == 8


def test_the_articles_plain_reading_refuses_filled_slots() -> None:
    from harness.variant import Variants

    filled = Variants().compose("residual").apply(preset("tiny"))
    with pytest.raises(ValueError, match="no slots"):
        ArticleForecaster(build_model(filled.architecture, shape_of("tiny"), 0))
