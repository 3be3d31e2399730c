"""Predictors that learn nothing: what any network must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import RequestError
from harness.evaluation.views import Predictor


def blank(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
    """Predicts nothing: zeros (B, horizon, C, H, W). Raises RequestError for a horizon below 1."""
    return torch.zeros_like(repeat_last(inputs_BTCHW, horizon))


def repeat_last(inputs_BTCHW: Tensor, horizon: int) -> Tensor:
    """Expects no motion: the last input frame, (B, horizon, C, H, W). Raises RequestError for a horizon below 1."""
    if horizon < 1:
        raise RequestError(f"the horizon is {horizon}; predict at least 1 frame")
    return inputs_BTCHW[:, -1:].repeat(1, horizon, 1, 1, 1)


BASELINES: dict[str, Predictor] = {"blank": blank, "repeat_last": repeat_last}
"""The baselines by the names of their results."""
