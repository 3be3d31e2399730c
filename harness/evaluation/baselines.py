"""Predictors that learn nothing: what any network must beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.data.source import Source
from harness.errors import RequestError
from harness.evaluation.evaluate import evaluate
from harness.evaluation.flow import available, flow
from harness.evaluation.mean import MetricMean
from harness.evaluation.metrics import Metric
from harness.evaluation.micro_batches import MicroBatcher
from harness.evaluation.predict import Predictor
from harness.views import PLAIN, View


def blank(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
    """Predicts nothing: zeros (B, horizon, C, H, W). Raises RequestError for a horizon below 1."""
    return torch.zeros_like(repeat_last(inputs_BTCHW, horizon))


def repeat_last(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
    """Expects no motion: the last input frame, (B, horizon, C, H, W). Raises RequestError for a horizon below 1."""
    if horizon < 1:
        raise RequestError(f"the horizon is {horizon}; predict at least 1 frame")
    return inputs_BTCHW[:, -1:].repeat(1, horizon, 1, 1, 1)


BASELINES: dict[str, Predictor] = {"blank": blank, "repeat_last": repeat_last}
"""The baselines that every test has, by the names of their results."""


def evaluate_beside_baselines(
    predictor: Predictor,
    source: Source,
    metrics: Sequence[Metric],
    *,
    size: int,
    device: torch.device | str,
    micro_batches: MicroBatcher,
    views: Sequence[View] = PLAIN,
    precision: str = "float32",
) -> dict[str, MetricMean]:
    """Tests a predictor ("model") and the baselines on the test sequences.

    Beside `BASELINES` a file has "climatology" (see `harness.data.climatology`) and, where OpenCV is installed and frames have 12
    pixels or more each way, "flow" (see `harness.evaluation.flow`). Arguments and errors are those of `evaluate`; `size` is the
    sequences of a batch.
    """
    shown, horizon = source.data.input_frames, source.data.horizon
    more: dict[str, Predictor] = {}
    if source.content is not None and available(source.height, source.width):
        more["flow"] = flow
    scores = evaluate(
        {"model": predictor, **BASELINES, **more},
        source.test(size, device),
        metrics,
        shown=shown,
        horizon=horizon,
        views=views,
        precision=precision,
        micro_batches=micro_batches,
        missing=source.missing,
    )
    if source.content is not None:  # it depends on when a frame is, which a predictor is not told
        scores |= evaluate(
            {"climatology": lambda expected, horizon: expected},
            source.climatology(size, device),
            metrics,
            shown=horizon,
            horizon=horizon,
            micro_batches=MicroBatcher(size),
            missing=source.missing,
        )
    return scores
