"""The critical success index."""

from __future__ import annotations

import math

import pytest
import torch

from harness.data.scaling import Log, MinMax
from harness.data.values import Values
from harness.errors import RequestError
from harness.evaluation.mean import MetricMean, frame_counts
from harness.evaluation.metrics.csi import CriticalSuccessIndex


def test_pixels_are_counted_over_all_frames_before_the_ratio() -> None:
    prediction, target = torch.zeros(1, 2, 1, 2, 2), torch.zeros(1, 2, 1, 2, 2)
    prediction[0, 0, 0] = torch.tensor([[0.9, 0.9], [0.0, 0.0]])  # a hit and a false alarm
    target[0, 0, 0] = torch.tensor([[0.9, 0.0], [0.9, 0.0]])  # and a miss: 1 of 3 events
    target[0, 1, 0] = torch.tensor([[0.9, 0.9], [0.9, 0.9]])  # four misses
    mean = MetricMean([CriticalSuccessIndex(thresholds=(0.5,))])
    mean.update(prediction, target)
    assert mean.overall() == {"csi": 1 / 7}
    assert mean.per_frame() == {"csi": [1 / 3, 0.0]}


def test_the_mean_is_over_thresholds_and_a_threshold_that_nothing_reaches_has_no_index() -> None:
    frames, truth = torch.full((1, 1, 1, 2, 2), 0.4), torch.full((1, 1, 1, 2, 2), 0.6)
    for thresholds, expected in (((0.3, 0.5), 0.5), ((0.3,), 1.0), ((0.5,), 0.0)):
        metric = CriticalSuccessIndex(thresholds=thresholds)
        assert metric.finish(metric.counts(frames, truth)[0, 0].tolist()) == expected
    nothing = CriticalSuccessIndex(thresholds=(0.9,))
    assert math.isnan(nothing.finish(nothing.counts(frames, truth)[0, 0].tolist()))


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5), (0.0,), (1.5,)])
def test_thresholds_are_intensities_each_once(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(RequestError, match="thresholds"):
        CriticalSuccessIndex(thresholds=thresholds)


def test_thresholds_in_the_unit_of_the_data_count_known_pixels_of_the_files_values() -> None:
    rain = torch.tensor([[0.0, 2.0, 8.0], [12.0, float("nan"), 30.0]]).view(1, 1, 1, 2, 3)
    forecast = torch.tensor([[3.0, 2.5, 1.0], [14.0, 40.0, 9.0]]).view(1, 1, 1, 2, 3)
    for scaling in (MinMax(low=(0.0,), high=(40.0,)), Log(low=(0.0,), high=(40.0,))):
        values = Values((2, 3), (2, 3), scaling, masked=True, unit="mm/h")
        metric = CriticalSuccessIndex(in_unit=True, thresholds=(2.0, 10.0)).on(values)
        scaled = (scaling.forward(forecast), scaling.forward(rain + 1e-4))  # not on a threshold's edge after rounding
        found = frame_counts(*scaled, [metric], missing=True)["csi"]
        assert found[0, 0].tolist() == [3, 5, 1, 2], (
            "2 mm/h: 3 of 5 events, 10 mm/h: 1 of 2; the missing pixel is none of them"
        )
        assert metric.finish(found[0, 0].tolist()) == pytest.approx((3 / 5 + 1 / 2) / 2)
        assert "at or above 2, 10 mm/h" in metric.convention


def test_thresholds_in_a_unit_need_data_that_have_one() -> None:
    with pytest.raises(RequestError, match=r"csi is in the data's unit.*data\.scaling=min-max"):
        CriticalSuccessIndex(in_unit=True, thresholds=(2.0,)).on(None)
    with pytest.raises(RequestError, match=r"thresholds has 2; .*in_unit=true"):
        CriticalSuccessIndex(thresholds=(2.0,))
