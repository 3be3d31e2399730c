"""The metrics, one idea a file. Nothing here imports torch before a metric is computed."""

from __future__ import annotations

from harness.evaluation.metrics.errors import MAE, MSE, PSNR
from harness.evaluation.metrics.metric import FrameMean, Metric
from harness.evaluation.metrics.ssim import SSIM, SSIMArticle, SSIMOpenSTL

__all__ = ["BUILT_IN", "FrameMean", "Metric"]

BUILT_IN: tuple[Metric, ...] = (SSIM(), SSIMArticle(), SSIMOpenSTL(), MSE(), MAE(), PSNR())
"""In the order of tables."""
