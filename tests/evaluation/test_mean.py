"""Means over frames and sequences, however they are cut into batches."""

from __future__ import annotations

import math

import pytest
import torch
from measured import frame_metrics
from strokes import blurred, noisy, strokes
from torch import Tensor

from harness.errors import HarnessError, RequestError
from harness.evaluation.conventions import METRICS
from harness.evaluation.mean import MetricMean


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_predictions_are_clamped() -> None:
    target = strokes()
    wild = noisy(target, 2.0)
    for name, values in frame_metrics(wild, target).items():
        assert torch.equal(values, frame_metrics(wild.clamp(0, 1), target)[name])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_are_measured_in_float32(dtype: torch.dtype) -> None:
    target = strokes()
    prediction = blurred(target, 1.0).to(dtype)
    expected = frame_metrics(prediction.float(), target)
    for name, values in frame_metrics(prediction, target.double()).items():
        assert torch.equal(values, expected[name])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("pixel", [(0, 0), (31, 17), (63, 63)])
def test_one_broken_pixel_breaks_its_frame_alone(bad: float, pixel: tuple[int, int]) -> None:
    target = strokes()
    prediction = blurred(target, 1.0)
    expected = frame_metrics(prediction, target)
    prediction[1, 2, 0, pixel[0], pixel[1]] = bad
    sound = torch.ones(2, 4, dtype=torch.bool)
    sound[1, 2] = False
    for name, values in frame_metrics(prediction, target).items():
        assert values[1, 2].isnan(), "never a plausible number"
        torch.testing.assert_close(values[sound], expected[name][sound], atol=1e-6, rtol=1e-6)
    mean = MetricMean()
    mean.update(prediction, target)
    assert all(math.isnan(value) for value in mean.overall().values())


@pytest.mark.parametrize(
    ("prediction", "target", "words"),
    [
        (torch.zeros(1, 1, 1, 10, 64), torch.zeros(1, 1, 1, 10, 64), "10x64 pixels.*at least 11x11"),
        (torch.zeros(1, 2, 1, 16, 16), torch.zeros(1, 1, 1, 16, 16), r"one shape.*\(1, 2, 1, 16, 16\)"),
        (torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16), "sequences, frames, channels"),
        (torch.zeros(1, 1, 1, 16, 16), torch.zeros(1, 1, 1, 16, 16).byte(), "target is torch.uint8.*floating"),
    ],
)
def test_what_cannot_be_measured_is_refused(prediction: Tensor, target: Tensor, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        frame_metrics(prediction, target)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_means_do_not_depend_on_the_batch_size(size: int) -> None:
    target = strokes(7, 3, size=32)
    prediction = noisy(target)
    whole, parts = MetricMean(), MetricMean()
    whole.update(prediction, target)
    for x, y in zip(prediction.split(size), target.split(size), strict=True):
        parts.update(x, y)
    assert parts.overall() == pytest.approx(whole.overall(), abs=1e-6, rel=1e-9)
    for name in METRICS:
        assert parts.per_frame()[name] == pytest.approx(whole.per_frame()[name], abs=1e-6, rel=1e-9)
        assert parts.per_sequence(name) == pytest.approx(whole.per_sequence(name), abs=1e-6, rel=1e-9)


def test_means_are_those_of_the_single_frames() -> None:
    target = strokes(5, 3, size=32)
    prediction = noisy(target)
    mean = MetricMean()
    for x, y in zip(prediction.split(2), target.split(2), strict=True):
        mean.update(x, y)
    for name, values in frame_metrics(prediction, target).items():
        assert mean.overall()[name] == pytest.approx(values.mean().item(), abs=1e-6)
        assert mean.per_frame()[name] == pytest.approx(values.mean(0).tolist(), abs=1e-6)
        assert mean.per_sequence(name) == pytest.approx(values.mean(1).tolist(), abs=1e-6)


def test_a_mean_refuses_what_it_cannot_average() -> None:
    mean = MetricMean()
    with pytest.raises(HarnessError, match="no batch"):
        mean.overall()
    mean.update(torch.rand(1, 3, 1, 16, 16), torch.rand(1, 3, 1, 16, 16))
    with pytest.raises(RequestError, match=r"2 frames a sequence.*had 3"):
        mean.update(torch.rand(1, 2, 1, 16, 16), torch.rand(1, 2, 1, 16, 16))
    with pytest.raises(RequestError, match="did you mean 'ssim'"):
        mean.per_sequence("sim")
