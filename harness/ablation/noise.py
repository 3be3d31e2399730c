"""How much differences between arms scatter over seeds, as measured: what a plan can find is known before it runs.

`sd` is the standard deviation over seeds of the difference of two arms at the same seed, root mean square over arms, in the
metric's unit. A new measurement replaces the entry of its preset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Noise:
    """One measured figure and where it is from."""

    sd: float
    seeds: int
    source: str


_CPU = "docs/results/2026-11-24-cpu: five arms, 800 steps of AdamW"

NOISE: dict[str, dict[str, Noise]] = {
    "cpu": {
        "ssim": Noise(0.00364, 5, _CPU),
        "ssim_article": Noise(0.00194, 5, _CPU),
        "ssim_openstl": Noise(0.00302, 5, _CPU),
        "mse": Noise(0.688, 5, _CPU),
        "mae": Noise(0.371, 5, _CPU),
        "psnr": Noise(0.0944, 5, _CPU),
    },
}
"""Preset -> metric -> figure."""


def noise(preset: str, metric: str) -> Noise | None:
    """The figure of a preset and metric; None where nothing was measured."""
    return NOISE.get(preset, {}).get(metric)


def default_margin(preset: str, metric: str) -> tuple[float, str] | None:
    """The smallest difference of interest where none is given, and what it rests on: one sd of differences, to one digit.

    Without a figure it is 0.005 for SSIM in any convention, and None for other metrics.

    >>> default_margin("cpu", "mse")[0]
    0.7
    """
    found = noise(preset, metric)
    if found is not None:
        margin = round(found.sd, -math.floor(math.log10(found.sd)))
        return margin, f"one sd of differences over {found.seeds} seeds at preset {preset} ({found.source})"
    return (0.005, "the default for SSIM; no noise was measured for this preset") if metric.startswith("ssim") else None
