"""What a metric is: counts that add up, a direction, and pixels that are known."""

from __future__ import annotations

import math

import torch
from measured import CSI, frame_metrics

from harness.evaluation.mean import MetricMean
from harness.evaluation.metrics.errors import MSE
from harness.evaluation.metrics.metric import bound


def test_a_ratio_of_sums_is_not_a_mean_of_ratios() -> None:
    target = torch.zeros(2, 2, 1, 4, 4)
    prediction = target.clone()
    target[0, 0, 0, 0, :2] = 1  # 1 of 2 hit
    prediction[0, 0, 0, 0, 0] = 1
    target[1, 0, 0, :2] = 1  # 8 of 8 hit
    prediction[1, 0, 0, :2] = 1
    prediction[0, 1, 0, 0, 0] = 1  # 1 false alarm
    mean = MetricMean([CSI()])
    for one in (0, 1):
        mean.update(prediction[one : one + 1], target[one : one + 1])
    assert mean.overall() == {"csi": 9 / 11}
    assert mean.per_frame() == {"csi": [9 / 10, 0.0]}
    assert mean.per_sequence("csi") == [1 / 3, 1.0]
    each = frame_metrics(prediction, target, [CSI()])["csi"]
    assert each[:, 0].tolist() == [0.5, 1.0]
    assert each[0, 1] == 0
    assert each[1, 1].isnan(), "nothing there and nothing said is not defined"


def test_unless_it_says_otherwise_a_metric_sees_zeros_where_nothing_is_known() -> None:
    target, prediction = torch.ones(1, 2, 1, 4, 4), torch.ones(1, 2, 1, 4, 4)
    known = torch.zeros(1, 2, 1, 4, 4, dtype=torch.bool)
    known[0, 0, 0, :2] = True
    counts = CSI().counts_where(prediction, target, known)
    assert counts.tolist() == [[[8.0, 8.0], [0.0, 0.0]]], "a frame without a known pixel adds nothing"


def test_a_direction_is_in_words_and_decides_what_is_better() -> None:
    assert (CSI().direction, CSI().better(0.6, 0.5), CSI().better(0.5, 0.5)) == ("higher", True, False)
    lower = CSI(higher_is_better=False)
    assert (lower.direction, lower.better(0.6, 0.5), lower.better(0.4, 0.5)) == ("lower", False, True)


def test_what_a_metric_knows_of_the_data_is_on_a_copy_alone() -> None:
    plain = CSI()
    told = bound(plain, unit="K")
    assert (told.unit, plain.unit) == ("K", "")
    assert told == plain


def test_a_mean_of_frames_counts_each_frame_once_and_of_no_frames_is_no_number() -> None:
    target = torch.rand(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    counts = MSE().counts(torch.zeros_like(target), target)
    assert counts.shape == (2, 3, 2)
    torch.testing.assert_close(counts[..., 0], target.double().square().sum((2, 3, 4)))
    assert (counts[..., 1] == 1).all()
    assert MSE().finish([6.0, 4.0]) == 1.5
    assert math.isnan(MSE().finish([0.0, 0.0]))
