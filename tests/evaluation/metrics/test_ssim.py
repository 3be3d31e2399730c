"""SSIM in three conventions, each against an implementation that shares no code with it."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_msssim
import torch
from measured import frame_metrics
from skimage.metrics import structural_similarity
from strokes import blurred, each_frame, predictions, strokes
from torchmetrics.functional.image import structural_similarity_index_measure

from harness.evaluation.baselines import blank, repeat_last
from harness.evaluation.mean import frame_counts


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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


def test_the_smallest_canvas_is_measured() -> None:
    target = torch.rand(1, 1, 1, 11, 11)
    assert all(values.isfinite().all() for values in frame_metrics(target / 2, target).values())


RNG = np.random.default_rng(0)


def test_ssim_is_that_of_windows_without_a_missing_pixel() -> None:
    truth, prediction = RNG.random((2, 24, 30))
    known = np.ones((24, 30), bool)
    known[:5, :6] = False
    options = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "win_size": 11}
    _, whole = structural_similarity(truth, prediction, full=True, **options)  # type: ignore[no-untyped-call]  # scikit-image has no types
    inside = [(y, x) for y in range(5, 19) for x in range(5, 25) if known[y - 5 : y + 6, x - 5 : x + 6].all()]
    expected = np.mean([whole[place] for place in inside])
    masked = np.where(known, truth, np.nan)
    said, true = (torch.from_numpy(one).float()[None, None, None] for one in (prediction, masked))
    counts = frame_counts(said, true, missing=True)["ssim"][0, 0]
    assert counts.tolist() == pytest.approx([expected, 1.0], abs=1e-5)
