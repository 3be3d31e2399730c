"""Which mix of MSE, SSIM and L1 to train with: the article's loss table, and the best point on the simplex."""

from __future__ import annotations

from collections.abc import Mapping

from harness.experiment import Experiment
from harness.studies import Arm, Float, Options, Params, Space, Study

DIGITS = 6
"""Weights are rounded to this many decimals, so that 0.7 + 0.3 is the very cell that `harness run` trains."""


def space(experiment: Experiment, options: Options) -> Space:
    """The simplex: SSIM's share of the loss and, with `l1`, the share of L1 in what is left for the pixels."""
    found = {"ssim": Float(low=0.0, high=1.0)}
    return found | {"l1_of_pixels": Float(low=0.0, high=1.0)} if "l1" in options else found


def to_settings(params: Params, experiment: Experiment) -> Mapping[str, object]:
    """The weights, which add up to 1.

    With SSIM as the only weight the preset's late start of SSIM is switched off: before it there would be no loss at all.
    """
    ssim, share = float(params["ssim"]), float(params.get("l1_of_pixels", 0.0))
    weights = {
        "mse": round((1 - ssim) * (1 - share), DIGITS),
        "ssim": round(ssim, DIGITS),
        "mae": round((1 - ssim) * share, DIGITS),
    }
    found: dict[str, object] = {f"loss.{name}": weight for name, weight in weights.items()}
    if ssim:
        alone = weights["mse"] + weights["mae"] == 0
        found |= {
            f"loss.ssim.{name}": 0.0 if alone else experiment.get(f"loss.ssim.{name}", 0.0) for name in ("start", "ramp")
        }
    return found


def arms(experiment: Experiment, options: Options) -> tuple[Arm, ...]:
    """The three rows of the article's loss table."""
    pixels: dict[str, float] = {"l1_of_pixels": 0.0} if "l1" in options else {}
    late = experiment.get("loss.ssim.start") or experiment.get("loss.ssim.ramp")
    note = "SSIM acts from the first step here, unlike in the other trials, whose first steps are MSE's" if late else ""
    return (
        Arm(name="MSE only", params={"ssim": 0.0} | pixels),
        Arm(name="SSIM only", params={"ssim": 1.0} | pixels, note=note),
        Arm(name="0.7 MSE + 0.3 SSIM", params={"ssim": 0.3} | pixels, reference=True, note="the article's setting"),
    )


STUDY = Study(
    name="loss-weights",
    summary="weights of MSE and SSIM in the loss (--with l1: of L1 too), which add up to 1",
    owns=("loss.mse", "loss.ssim", "loss.mae"),
    space=space,
    to_settings=to_settings,
    arms=arms,
    options={"l1": "search the weight of L1 too"},
)
