"""Means over a sliding window are a convolution, whatever mode they were first made in."""

from __future__ import annotations

import pytest
import torch
from measured import frame_metrics

from harness.evaluation.windows import GAUSSIAN, window_means
from harness.training.losses import ssim_loss


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_window_means_are_a_convolution() -> None:
    images = torch.rand(3, 20, 15, dtype=torch.float64)
    taps = torch.tensor(GAUSSIAN, dtype=torch.float64)
    window = torch.outer(taps, taps)[None, None]
    for padding in (0, 5):
        expected = torch.nn.functional.conv2d(images[:, None], window, padding=padding)[:, 0]
        torch.testing.assert_close(window_means(images, GAUSSIAN, padding=padding), expected)
    assert sum(GAUSSIAN) == pytest.approx(1, abs=1e-15)


def test_measuring_in_inference_mode_does_not_spoil_later_training() -> None:
    with torch.inference_mode():
        frame_metrics(torch.rand(1, 1, 1, 37, 37), torch.rand(1, 1, 1, 37, 37))
        ssim_loss(torch.rand(37, 37), torch.rand(37, 37))
    prediction = torch.rand(1, 1, 1, 37, 37, requires_grad=True)
    (ssim_loss(prediction, torch.rand(1, 1, 1, 37, 37)) + window_means(prediction, GAUSSIAN).mean()).backward()
    assert prediction.grad is not None
