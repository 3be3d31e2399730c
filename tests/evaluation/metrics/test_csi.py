"""The critical success index."""

from __future__ import annotations

import math

import pytest
import torch

from harness.errors import RequestError
from harness.evaluation.mean import MetricMean
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
