"""Preset `cpu` with one of its departures from the article's recipe taken back at a time, as variants.

harness ablate --plan add-one --seeds 3 --preset cpu --plugin recipe.py \
    --variants article-gain,article-forget-bias,article-ssim,article-rate
harness report --plugin recipe.py
"""

from harness.quality import ARTICLE
from harness.variant import Variant


def taken_back(name: str, summary: str, *paths: str) -> Variant:
    """A variant that has the article's values there."""
    return Variant(name=name, summary=summary, source="preset cpu", changes={path: ARTICLE[path] for path in paths})


GAIN = taken_back("article-gain", "torch's own initial weights, not 3.5 times as large", "architecture.gain")
BIAS = taken_back("article-forget-bias", "no forget bias at first, not 1", "architecture.forget_bias")
SSIM = taken_back("article-ssim", "the SSIM term from the first step, not ramped up", "loss.ssim_from", "loss.ssim_ramp")
RATE = taken_back("article-rate", "OneCycle to 3e-3 at 30%, not to 5e-3 at 15%", "training.max_lr", "training.pct_start")
