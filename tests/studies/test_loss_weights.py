"""The study of the loss: weights that add up to 1, and the article's table as its arms."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.presets import preset
from harness.runs.request import Request
from harness.variant import Variants
from studies.loss_weights import STUDY

NONE: frozenset[str] = frozenset()
L1 = frozenset({"l1"})


@settings(max_examples=50, deadline=None)
@given(ssim=st.floats(0, 1), share=st.floats(0, 1))
def test_weights_add_up_to_1(ssim: float, share: float) -> None:
    found = STUDY.to_settings({"ssim": ssim, "l1_of_pixels": share}, preset("cpu"))
    weights = [float(str(found[f"loss.{name}"])) for name in ("mse", "ssim", "mae")]
    assert sum(weights) == pytest.approx(1, abs=2e-6)
    assert min(weights) >= 0
    assert weights[1] == pytest.approx(ssim, abs=1e-6)
    assert weights[2] == pytest.approx((1 - ssim) * share, abs=1e-6)


def test_l1_is_searched_when_asked_for() -> None:
    assert list(STUDY.space(preset("cpu"), NONE)) == ["ssim"]
    assert list(STUDY.space(preset("cpu"), L1)) == ["ssim", "l1_of_pixels"]
    assert all(arm.params["l1_of_pixels"] == 0 for arm in STUDY.arms(preset("cpu"), L1))


def test_the_articles_setting_is_the_cell_that_run_trains() -> None:
    (reference,) = (arm for arm in STUDY.arms(preset("tiny"), NONE) if arm.reference)
    settings = STUDY.to_settings(reference.params, preset("tiny"))
    variants = Variants(third_party=False)
    chosen, source = Request(preset="tiny", settings=settings).cell(variants, "base")
    plain, _ = Request(preset="tiny").cell(variants, "base", source=source)
    assert chosen.run_id == plain.run_id


def test_ssim_alone_acts_from_the_first_step_and_says_so() -> None:
    """At preset cpu SSIM starts late; before it there would be no loss at all."""
    experiment = preset("cpu")
    alone = STUDY.to_settings({"ssim": 1.0}, experiment)
    assert (alone["loss.ssim.start"], alone["loss.ssim.ramp"]) == (0.0, 0.0)
    mixed = STUDY.to_settings({"ssim": 0.3}, experiment)
    assert (mixed["loss.ssim.start"], mixed["loss.ssim.ramp"]) == (0.2, 0.4)
    assert "loss.ssim.start" not in STUDY.to_settings({"ssim": 0.0}, experiment)
    notes = {arm.name: arm.note for arm in STUDY.arms(experiment, NONE)}
    assert "from the first step" in notes["SSIM only"]
    assert {arm.name: arm.note for arm in STUDY.arms(preset("paper"), NONE)}["SSIM only"] == ""


def test_the_arms_are_the_rows_of_the_articles_loss_table() -> None:
    assert [arm.name for arm in STUDY.arms(preset("cpu"), NONE)] == ["MSE only", "SSIM only", "0.7 MSE + 0.3 SSIM"]
