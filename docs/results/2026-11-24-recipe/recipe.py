"""Parts of a recipe for preset `cpu`, as variants: what it has and the article's has not, taken back; and what it had, put back.

harness ablate --plan add-one --seeds 3 --preset cpu --plugin recipe.py --variants article-ssim,article-rate,gain,forget-bias
harness report
"""

from harness.variant import Variant


def part(name: str, summary: str, **changes: float) -> Variant:
    """A variant that changes these settings."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return Variant(name=name, summary=summary, source="preset cpu", changes=paths)


SSIM = part("article-ssim", "the SSIM term from the first step, not ramped up", loss__ssim_from=0.0, loss__ssim_ramp=0.0)
RATE = part("article-rate", "OneCycle to 3e-3 at 30%, not to 5e-3 at 15%", training__max_lr=3e-3, training__pct_start=0.3)
GAIN = part("gain", "first weights 3.5 times as large", architecture__gain=3.5)
BIAS = part("forget-bias", "a forget bias of 1 at first", architecture__forget_bias=1.0)
