"""What every reported number means: the metrics by name, and what a record says of them.

"SSIM" alone names no number: a table therefore names its convention, and a record carries `CONVENTIONS`. This module does
not import torch.
"""

from __future__ import annotations

from harness.evaluation.metrics import BUILT_IN, Metric
from harness.evaluation.metrics.errors import PSNR_CAP
from harness.evaluation.metrics.ssim import SMALLEST_CANVAS

__all__ = ["CONVENTIONS", "HEADLINE", "METRICS", "PSNR_CAP", "SMALLEST_CANVAS"]

HEADLINE = "ssim"
"""The metric that selects checkpoints and heads every table."""

METRICS: dict[str, Metric] = {metric.name: metric for metric in BUILT_IN}

CONVENTIONS: dict[str, str] = {
    "version": "1",
    "headline": HEADLINE,
    "values": "predictions clamped to [0, 1], float32 arithmetic; mean over frames and sequences in float64",
    **{name: metric.convention for name, metric in METRICS.items()},
}
"""What goes into a record beside its numbers. `version` is raised whenever a metric's value would change."""
