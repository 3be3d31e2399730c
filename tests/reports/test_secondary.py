"""Metrics beside the judged one, and frames against a blank one."""

from __future__ import annotations

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from three_metrics import ARMS, SEEDS, figures

from reports.analysis import secondary
from reports.analysis.groups import Group
from reports.analysis.verdicts import Kind


def test_each_metric_has_its_own_family_and_margin(measured: Group) -> None:
    found = {one.metric: one for one in secondary.secondary(measured)}
    assert {"mse", "mae", "psnr", "ssim_article"} <= set(found)
    assert "ssim" not in found  # the judged one
    for metric in ("mse", "mae"):
        one = found[metric]
        assert not one.higher_is_better
        d = {arm: [figures(arm, s)[metric] - figures("base", s)[metric] for s in SEEDS] for arm in ARMS[1:]}
        raw = [stats.ttest_1samp(values, 0).pvalue for values in d.values()]
        adjusted = multipletests(raw, method="holm")[1]
        assert [row.p_adjusted for row in one.comparisons] == pytest.approx(adjusted)
        for row in one.comparisons:
            joint = stats.ttest_1samp(d[row.name], 0).confidence_interval(1 - 0.05 / 2)
            assert (row.low_joint, row.high_joint) == pytest.approx((joint.low, joint.high))
    verdicts = {(one.metric, row.name): row.verdict.kind for one in found.values() for row in one.comparisons}
    assert verdicts["mse", "attention"] is Kind.HELPS
    assert verdicts["mae", "attention"] is Kind.HURTS
    assert verdicts["mae", "curriculum"] is Kind.HELPS


def test_a_verdict_that_turns_with_the_metric_is_said_first(measured: Group) -> None:
    others = secondary.secondary(measured)
    found = secondary.flips(measured, others)
    assert [one.name for one in found] == ["attention", "curriculum"]
    assert (found[0].turned, found[1].turned) == (("MAE",), ())
    assert "helps by SSIM" in found[0].words
    assert "hurts by MAE" in found[0].words
    assert "Opposite claims: attention." in secondary.flip_words(found, others)
    assert "the same by all of them" in secondary.flip_words((), others)


def test_frames_above_a_blank_one_by_every_metric(measured: Group) -> None:
    found = {one.name: one for one in secondary.above_blank(measured)}
    # SSIM of 0.5 is below the blank frame's 0.722 from the first frame on; MSE of 200 above its 178.6 from the fifth.
    curriculum = found["curriculum"]
    assert (curriculum.frames["ssim"], curriculum.frames["mse"], curriculum.frames["mae"]) == (0, 4, 10)
    assert (curriculum.every, curriculum.horizon) == (0, 10)
    assert "curriculum to frame 0 of 10 (first to fail: ssim" in secondary.blank_words((curriculum,))
