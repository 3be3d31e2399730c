"""Metrics of single frames, for tests that compare them one by one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from harness.evaluation.mean import frame_counts
from harness.evaluation.metrics import BUILT_IN, Metric


def frame_metrics(prediction_BTCHW: Tensor, target_BTCHW: Tensor, metrics: Iterable[Metric] = BUILT_IN) -> dict[str, Tensor]:
    """Every metric of every single frame, float64 (B, T) on the host. Arguments and errors as of `frame_counts`."""
    chosen = tuple(metrics)
    counts = frame_counts(prediction_BTCHW, target_BTCHW, chosen)
    return {
        metric.name: torch.tensor(
            [[metric.finish(frame) for frame in frames] for frames in counts[metric.name].tolist()], dtype=torch.float64
        )
        for metric in chosen
    }
