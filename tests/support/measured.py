"""What tests of evaluation measure: metrics of single frames, a ratio of sums, a network that views matter to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.evaluation.baselines import repeat_last
from harness.evaluation.evaluate import evaluate
from harness.evaluation.mean import MetricMean, frame_counts
from harness.evaluation.metrics import BUILT_IN, Metric
from harness.evaluation.micro_batches import MicroBatcher


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


@dataclass(frozen=True, kw_only=True)
class CSI(Metric):
    """Critical success index at 0.5: hits over hits, misses and false alarms. A ratio of sums, not a mean of frames."""

    name: str = "csi"
    title: str = "CSI"
    higher_is_better: bool = True
    lowest: float = 0.0
    highest: float | None = 1.0
    convention: str = "hits / (hits + misses + false alarms) at 0.5"

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Tensor:
        said, true = prediction_BTCHW >= 0.5, target_BTCHW >= 0.5
        return torch.stack([(said & true).sum((2, 3, 4)), (said | true).sum((2, 3, 4))], dim=-1).double()

    def finish(self, sums: Sequence[float]) -> float:
        hits, either = sums
        return hits / either if either else math.nan


class Mirror(nn.Module):
    """Predicts the last frame, brighter on the left: views matter to it."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[tuple[bool, int, torch.dtype | None]] = []

    def forward(self, frames: Tensor, horizon: int) -> Tensor:
        autocast = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        self.called.append((self.training, len(frames), autocast))
        ramp = torch.linspace(0, 0.2, frames.shape[-1])
        return repeat_last(frames, horizon) + ramp


def sequences(count: int = 5, frames: int = 4) -> Tensor:
    return torch.rand(count, frames, 1, 16, 16, generator=torch.Generator().manual_seed(3))


def scored(predictors: Any, frames: Tensor, **given: Any) -> dict[str, MetricMean]:
    options = {"shown": 2, "horizon": 2, "micro_batches": MicroBatcher(3)} | given
    return evaluate(predictors, frames.split(3), options.pop("metrics", BUILT_IN), **options)
