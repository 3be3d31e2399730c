"""Each metric against an implementation that shares no code with it, and the claims that tables rest on."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import pytorch_msssim
import torch
from measured import frame_metrics
from numpy.typing import NDArray
from skimage.filters import gaussian
from skimage.metrics import structural_similarity
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from harness.errors import HarnessError, RequestError
from harness.evaluation.baselines import blank, repeat_last
from harness.evaluation.conventions import CONVENTIONS, HEADLINE, METRICS, PSNR_CAP
from harness.evaluation.mean import MetricMean
from harness.evaluation.windows import GAUSSIAN, window_means
from harness.training.losses import ssim_loss


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def strokes(sequences: int = 2, frames: int = 4, channels: int = 1, size: int = 64, seed: int = 0) -> Tensor:
    """(B, T, C, H, W) of two moving rings with soft edges, in [0, 1]: like digits, mostly black."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    out = np.zeros((sequences, frames, channels, size, size))
    for index in np.ndindex(sequences, channels):
        for _ in range(2):
            start, velocity = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(-3, 3, 2)
            radius, thickness = rng.uniform(0.09, 0.15) * size, rng.uniform(1.2, 1.8)
            for frame in range(frames):
                row, column = start + frame * velocity
                ring = np.abs(np.hypot((rows - row) * 0.8, columns - column) - radius) - thickness
                where = (index[0], frame, index[1])
                out[where] = np.maximum(out[where], np.clip(0.5 - ring, 0, 1))
    return torch.from_numpy(out).float()


def blurred(frames: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(gaussian(frames.numpy(), sigma=(0, 0, 0, sigma, sigma))).float()


def noisy(frames: Tensor, scale: float = 0.1, seed: int = 1) -> Tensor:
    return frames + scale * torch.randn(frames.shape, generator=torch.Generator().manual_seed(seed))


def predictions(target: Tensor) -> dict[str, Tensor]:
    return {
        "blurred": blurred(target, 1.3),
        "noisy": noisy(target),
        "shifted": target.roll(2, -1),
        "negative": 1 - target,
    }


def each_frame(metric, prediction: Tensor, target: Tensor) -> NDArray[np.float64]:
    """`metric` of every (C, H, W) pair, with the prediction clamped first."""
    x, y = prediction.clamp(0, 1).double().numpy(), target.double().numpy()
    return np.array([[metric(p, t) for p, t in zip(ps, ts, strict=True)] for ps, ts in zip(x, y, strict=True)])


def skimage_openstl(x, y):
    return np.mean([structural_similarity(a, b, win_size=7, data_range=2) for a, b in zip(x, y, strict=True)])


def skimage_gaussian(x, y):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    return np.mean([structural_similarity(a, b, **options) for a, b in zip(x, y, strict=True)])


def loop_article(x, y):
    """Wang et al.'s equation pixel by pixel, the frame surrounded by zeros."""
    axis = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(axis, axis) / axis.sum() ** 2
    found = []
    for a, b in zip(x, y, strict=True):
        a, b = np.pad(a, 5), np.pad(b, 5)
        for row in range(a.shape[0] - 10):
            for column in range(a.shape[1] - 10):
                p, q = a[row : row + 11, column : column + 11], b[row : row + 11, column : column + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                found.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    return np.mean(found)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["blurred", "noisy", "shifted", "negative"])
def test_openstl_ssim_equals_scikit_image(kind: str, channels: int) -> None:
    target = strokes(channels=channels)
    prediction = predictions(target)[kind]
    expected = each_frame(skimage_openstl, prediction, target)
    np.testing.assert_allclose(frame_metrics(prediction, target)["ssim_openstl"].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["blurred", "noisy", "shifted", "negative"])
def test_ssim_equals_scikit_image_and_torchmetrics(kind: str, channels: int) -> None:
    target = strokes(channels=channels)
    prediction = predictions(target)[kind]
    found = frame_metrics(prediction, target)["ssim"]
    np.testing.assert_allclose(found.numpy(), each_frame(skimage_gaussian, prediction, target), atol=2e-6)
    # torchmetrics' own mean is over the map of the reflected frame; 5 pixels in from the edge are the valid positions.
    _, other = structural_similarity_index_measure(
        prediction.clamp(0, 1).flatten(0, 1), target.flatten(0, 1), data_range=1.0, reduction="none", return_full_image=True
    )
    valid = other[..., 5:-5, 5:-5].flatten(1).mean(1)
    torch.testing.assert_close(found.flatten(), valid.double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 13, 20)])
@pytest.mark.parametrize("kind", ["blurred", "noisy", "shifted", "negative"])
def test_article_ssim_equals_a_loop_over_pixels(kind: str, shape: tuple[int, int, int]) -> None:
    channels, height, width = shape
    target = strokes(1, 2, channels, 24)[..., :height, :width]
    prediction = predictions(target)[kind]
    found = frame_metrics(prediction, target)["ssim_article"]
    np.testing.assert_allclose(found.numpy(), each_frame(loop_article, prediction, target), atol=2e-6)


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


def test_every_metric_is_described_and_in_range() -> None:
    target = strokes()
    for prediction in (*predictions(target).values(), target):
        found = frame_metrics(prediction, target)
        assert list(found) == list(METRICS)
        for name, values in found.items():
            info = METRICS[name]
            assert info.name == name
            assert values.shape == (2, 4)
            assert values.dtype == torch.float64
            assert (values >= info.lowest).all()
            assert info.highest is None or (values <= info.highest + 1e-6).all()
    assert HEADLINE in METRICS
    assert json.loads(json.dumps(CONVENTIONS, allow_nan=False)) == CONVENTIONS
    assert set(METRICS) <= set(CONVENTIONS)


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


def test_a_blank_frame_scores_high_and_the_conventions_disagree_about_it() -> None:
    target = strokes(4, 10)
    nothing = {name: values.mean().item() for name, values in frame_metrics(blank(target, 10), target).items()}
    still = {name: values.mean().item() for name, values in frame_metrics(repeat_last(target, 10), target).items()}
    assert 0.6 < nothing["ssim"] < 0.9
    assert nothing["ssim_article"] > nothing["ssim"] + 0.02
    for name in ("ssim", "ssim_article", "ssim_openstl"):
        assert nothing[name] > still[name], "predicting nothing beats expecting no motion"


def test_a_faint_veil_ruins_ssim_at_range_1_and_hardly_shows_elsewhere() -> None:
    target = strokes()
    found = {name: values.mean().item() for name, values in frame_metrics(target + 0.01, target).items()}
    assert found["mse"] < 0.5
    assert found["ssim"] < 0.75
    assert found["ssim_openstl"] > found["ssim"] + 0.1


def test_the_default_range_of_pytorch_msssim_is_not_used() -> None:
    target = strokes()
    for prediction, trapped in ((blurred(target, 1.3), 0.999), (blank(target, 4), 0.98)):
        looks = pytorch_msssim.ssim(prediction.flatten(0, 1), target.flatten(0, 1))
        assert looks > trapped, "with the default range of 255 anything looks perfect"
        assert (frame_metrics(prediction, target)["ssim"] < 0.95).all()


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


def test_a_prediction_with_gradient_is_accepted_and_kept_out_of_autograd() -> None:
    target = strokes()
    found = frame_metrics(target.clone().requires_grad_(), target)
    assert not any(values.requires_grad for values in found.values())


def test_measuring_in_inference_mode_does_not_spoil_later_training() -> None:
    with torch.inference_mode():
        frame_metrics(torch.rand(1, 1, 1, 37, 37), torch.rand(1, 1, 1, 37, 37))
        ssim_loss(torch.rand(37, 37), torch.rand(37, 37))
    prediction = torch.rand(1, 1, 1, 37, 37, requires_grad=True)
    (ssim_loss(prediction, torch.rand(1, 1, 1, 37, 37)) + window_means(prediction, GAUSSIAN).mean()).backward()
    assert prediction.grad is not None


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


def test_the_smallest_canvas_is_measured() -> None:
    target = torch.rand(1, 1, 1, 11, 11)
    assert all(values.isfinite().all() for values in frame_metrics(target / 2, target).values())


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


def test_baselines() -> None:
    inputs = strokes(2, 3, 3)
    assert torch.equal(blank(inputs, 5), torch.zeros(2, 5, 3, 64, 64))
    still = repeat_last(inputs, 5)
    assert still.shape == (2, 5, 3, 64, 64)
    assert all(torch.equal(still[:, t], inputs[:, -1]) for t in range(5))
    still.zero_()
    assert inputs.any(), "the baseline has its own memory"
    for baseline in (blank, repeat_last):
        with pytest.raises(RequestError, match="horizon is 0"):
            baseline(inputs, 0)


def test_descriptions_do_not_import_torch() -> None:
    code = "import sys, harness.evaluation.conventions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
