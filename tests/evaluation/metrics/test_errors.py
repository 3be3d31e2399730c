"""Errors of intensities against numpy and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from measured import frame_metrics
from strokes import each_frame, noisy, strokes
from torchmetrics.functional.image import peak_signal_noise_ratio

from harness.evaluation.mean import frame_counts
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.metrics.csi import CriticalSuccessIndex


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("channels", [1, 3])
def test_errors_are_sums_over_pixels_and_psnr_is_per_frame(channels: int) -> None:
    target = strokes(channels=channels)
    prediction = noisy(target)
    found = frame_metrics(prediction, target)
    expected = {
        "mse": each_frame(lambda x, y: ((x - y) ** 2).sum(), prediction, target),
        "mae": each_frame(lambda x, y: np.abs(x - y).sum(), prediction, target),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-6)
    psnr = peak_signal_noise_ratio(
        prediction.clamp(0, 1).flatten(0, 1), target.flatten(0, 1), data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    torch.testing.assert_close(found["psnr"].flatten(), psnr.double(), rtol=1e-5, atol=0)


RNG = np.random.default_rng(0)


def test_errors_and_events_are_those_of_known_pixels() -> None:
    truth, prediction = RNG.random((2, 3, 4, 1, 16, 18)).astype(np.float32)
    known = RNG.random((3, 4, 1, 16, 18)) < 0.7
    known[1, 2] = False
    truth[~known] = np.nan
    metrics = (*BUILT_IN, CriticalSuccessIndex(thresholds=(0.5,)))
    counts = frame_counts(torch.from_numpy(prediction), torch.from_numpy(truth), metrics, missing=True)
    for b in range(3):
        for t in range(4):
            p, y = prediction[b, t][known[b, t]], truth[b, t][known[b, t]]
            frames = float(len(p) > 0)
            assert counts["mse"][b, t].tolist() == pytest.approx([((p - y) ** 2).sum(), frames], rel=1e-5)
            assert counts["mae"][b, t].tolist() == pytest.approx([np.abs(p - y).sum(), frames], rel=1e-5)
            expected = [10 * np.log10(1 / ((p - y) ** 2).mean()), 1.0] if frames else [0.0, 0.0]
            assert counts["psnr"][b, t].tolist() == pytest.approx(expected, rel=1e-5)
            hits, events = ((p >= 0.5) & (y >= 0.5)).sum(), ((p >= 0.5) | (y >= 0.5)).sum()
            assert counts["csi"][b, t].tolist() == pytest.approx([hits, events])
