"""What holds for every metric, whatever the precision, layout and mode around it."""

from __future__ import annotations

import pytest
import torch
from measured import frame_metrics
from strokes import blurred, noisy, strokes
from torch import Tensor

from harness.evaluation.conventions import METRICS, PSNR_CAP


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_better_prediction_scores_better_in_the_stated_direction(name: str) -> None:
    target = strokes()
    better, worse = (frame_metrics(blurred(target, sigma), target)[name] for sigma in (0.7, 2.0))
    assert ((better > worse) if METRICS[name].higher_is_better else (better < worse)).all()
    assert METRICS[name].direction == ("higher" if METRICS[name].higher_is_better else "lower")


def test_a_perfect_frame_has_finite_scores() -> None:
    target = strokes()
    found = frame_metrics(target, target)
    for name in ("ssim", "ssim_article", "ssim_openstl"):
        torch.testing.assert_close(found[name], torch.ones(2, 4, dtype=torch.float64), atol=1e-6, rtol=0)
    assert (found["psnr"] == PSNR_CAP).all()
    assert not found["mse"].any()
    assert not found["mae"].any()


def test_autocast_and_reduced_matmul_precision_change_nothing() -> None:
    target = strokes()
    prediction = blurred(target, 1.0)
    expected = frame_metrics(prediction, target)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = frame_metrics(prediction, target)
            assert (torch.ones(12, 12) @ torch.ones(12, 12)).dtype == torch.bfloat16, "autocast goes on afterwards"
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)
    for name, values in found.items():
        assert torch.equal(values, expected[name])


def test_precision_switches_come_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Tensor:
        raise OSError("on purpose")

    monkeypatch.setattr("pytorch_msssim.ssim", fail)
    before = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    with pytest.raises(OSError, match="on purpose"):
        frame_metrics(strokes(), strokes())
    assert (torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision) == before


def test_memory_layout_does_not_matter() -> None:
    target = strokes(channels=3)
    prediction = noisy(target)
    expected = frame_metrics(prediction, target)
    strided = prediction.permute(1, 0, 3, 4, 2).contiguous().permute(1, 0, 4, 2, 3)
    doubled = torch.stack((target, target), -1)[..., 0]
    assert not strided.is_contiguous()
    assert not doubled.is_contiguous()
    for name, values in frame_metrics(strided, doubled).items():
        torch.testing.assert_close(values, expected[name], atol=1e-6, rtol=1e-6)


def test_one_frame_of_one_sequence() -> None:
    target = strokes(1, 1)
    found = frame_metrics(blurred(target, 1.0), target)
    assert all(values.shape == (1, 1) and values.isfinite().all() for values in found.values())


def test_a_prediction_with_gradient_is_accepted_and_kept_out_of_autograd() -> None:
    target = strokes()
    found = frame_metrics(target.clone().requires_grad_(), target)
    assert not any(values.requires_grad for values in found.values())
