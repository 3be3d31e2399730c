"""What every reported number means: names, directions, ranges, units and conventions of the metrics.

"SSIM" alone names no number: on the same frames the conventions below differ by more than the effects that an ablation
looks for. A table therefore names its convention, and a record carries `CONVENTIONS`. This module does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_CANVAS = 11
"""Height and width below which SSIM's 11x11 window does not fit, pixels."""

PSNR_CAP = 100.0
"""PSNR of a perfect frame, dB: a mean squared error of 1e-10 or less counts as 1e-10, so that means stay finite."""


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """How to read one metric."""

    name: str
    """The key in results."""
    title: str
    """The heading of a column or axis."""
    higher_is_better: bool
    lowest: float
    """The smallest possible value."""
    highest: float | None
    """The largest possible value; None: bounded by the frame's size alone."""
    unit: str
    """The unit; empty for a pure number."""
    convention: str
    """Exactly what is computed, in one line."""

    @property
    def direction(self) -> str:
        """'higher' or 'lower': which way is better."""
        return "higher" if self.higher_is_better else "lower"


def _ssim(name: str, title: str, convention: str) -> MetricInfo:
    return MetricInfo(
        name=name, title=title, higher_is_better=True, lowest=-1.0, highest=1.0, unit="", convention=convention
    )


HEADLINE = "ssim"
"""The metric that selects checkpoints and heads every table."""

METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        _ssim(
            "ssim",
            "SSIM",
            "Gaussian window 11x11, sigma 1.5, data range 1, valid positions, mean over map and channels (pytorch-msssim)",
        ),
        _ssim(
            "ssim_article",
            "SSIM (article)",
            "Gaussian window 11x11, sigma 1.5, data range 1, zero 'same' padding, mean over the full map and channels",
        ),
        _ssim(
            "ssim_openstl",
            "SSIM (OpenSTL)",
            "uniform window 7x7, data range 2, sample covariance, valid positions (scikit-image's default up to 0.19)",
        ),
        MetricInfo(
            name="mse",
            title="MSE",
            higher_is_better=False,
            lowest=0.0,
            highest=None,
            unit="squared intensity, summed over a frame's pixels",
            convention="sum of squared errors over a frame's pixels and channels; as OpenSTL, but predictions are clamped",
        ),
        MetricInfo(
            name="mae",
            title="MAE",
            higher_is_better=False,
            lowest=0.0,
            highest=None,
            unit="intensity, summed over a frame's pixels",
            convention="sum of absolute errors over a frame's pixels and channels; as OpenSTL, but predictions are clamped",
        ),
        MetricInfo(
            name="psnr",
            title="PSNR",
            higher_is_better=True,
            lowest=0.0,
            highest=PSNR_CAP,
            unit="dB",
            convention=f"10 log10(1 / mean squared error) of each frame, at most {PSNR_CAP:g} dB, then the mean over frames",
        ),
    )
}

CONVENTIONS: dict[str, str] = {
    "version": "1",
    "headline": HEADLINE,
    "values": "predictions clamped to [0, 1], float32 arithmetic; mean over frames and sequences in float64",
    **{name: info.convention for name, info in METRICS.items()},
}
"""What goes into a record beside its numbers. `version` is raised whenever a metric's value would change."""
