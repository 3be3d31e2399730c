"""Values: scaled by limits of the training part, missing ones left out of losses and metrics, padding never measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data import Source, open_source
from harness.data.scaling import Log, MinMax
from harness.data.sequences import Frames
from harness.data.values import Values
from harness.errors import RequestError
from harness.evaluation.baselines import repeat_last
from harness.evaluation.evaluate import evaluate
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.micro_batches import MicroBatcher
from harness.registry import components
from harness.training.step import loss_of

DATA = Frames(input_frames=4, horizon=2, flip_horizontal=0.0, flip_vertical=0.0, missing="nan", scaling=MinMax())
RNG = np.random.default_rng(0)


def recording(path: Path, *shape: int) -> np.ndarray:
    """Temperatures (T, H, W), the test part hotter than training, and a corner without values."""
    array = RNG.normal(280, 5, shape).astype(np.float32)
    array[int(0.9 * shape[0]) :] += 30
    array[:, :4, :5] = np.nan
    np.save(path, array)
    return array


def opened(tmp_path: Path, array: np.ndarray | None = None, **changes: object) -> tuple[Source, np.ndarray]:
    path = tmp_path / "a.npy"
    if array is None:
        array = recording(path, 100, 20, 24)
    else:
        np.save(path, array)
    return open_source(dataclasses.replace(DATA, path=str(path), **changes)), array  # type: ignore[arg-type]


def test_limits_are_those_of_training_frames_alone(tmp_path: Path) -> None:
    source, array = opened(tmp_path)
    low, high = float(np.nanmin(array[:80])), float(np.nanmax(array[:80]))
    assert source.values is not None
    assert (source.values.scaling.low, source.values.scaling.high) == ((low,), (high,))  # type: ignore[union-attr]
    test = next(iter(source.test(1, "cpu")))
    np.testing.assert_allclose(test[0, :, 0].numpy(), (array[90:96] - low) / (high - low), rtol=1e-5)
    assert test.nan_to_num(0).max() > 1, "hotter than any training frame"
    np.testing.assert_allclose(source.values.in_unit(test)[0, :, 0].numpy(), array[90:96], rtol=1e-5)


def test_channels_have_limits_of_their_own_and_log_spreads_small_values(tmp_path: Path) -> None:
    array = RNG.random((60, 2, 12, 12)).astype(np.float32) * [[[[1.0]], [[1000.0]]]]
    source, _ = opened(tmp_path, array.astype(np.float32), layout="T C H W", scaling=Log(knee=2.0, low=(0.0,)))
    batch = source.train_batch(0, 0, 8, 2, "cpu")
    high = array[:48].max((0, 2, 3))
    limits = source.values.scaling.high  # type: ignore[union-attr]
    np.testing.assert_allclose(limits, high, rtol=1e-6)
    first = int(np.argmin([np.abs(source.values.in_unit(batch)[0, 0].numpy() - array[t]).max() for t in range(55)]))  # type: ignore[union-attr]
    expected = np.log1p(array[first] / 2) / np.log1p(high / 2)[:, None, None]
    np.testing.assert_allclose(batch[0, 0].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((60, 12, 12), 3.0, np.float32), r"constant \(3\)"),
        (np.full((60, 12, 12), np.nan, np.float32), "channel 0 of the training part .* missing values only"),
        (np.where(np.arange(60)[:, None, None] == 7, np.inf, np.ones((60, 12, 12))), "infinite"),
    ],
)
def test_data_that_cannot_be_scaled_are_refused(array: np.ndarray, said: str, tmp_path: Path) -> None:
    source, _ = opened(tmp_path, array)
    with pytest.raises(RequestError, match=said):
        _ = source.identity


def test_a_missing_input_is_shown_by_the_stated_rule() -> None:
    frames = torch.tensor([[0.2, float("nan"), 0.6], [float("nan"), 0.4, float("nan")]]).view(1, 2, 3, 1, 1).transpose(1, 2)

    def shown(fill: str) -> torch.Tensor:
        values = Values((1, 1), (1, 1), masked=True, fill=fill, means=(0.3, 0.9))
        return values.filled(frames)[0, :, :, 0, 0].T

    torch.testing.assert_close(shown("mean"), torch.tensor([[0.2, 0.3, 0.6], [0.9, 0.4, 0.9]]))
    torch.testing.assert_close(shown("low"), torch.tensor([[0.2, 0.0, 0.6], [0.0, 0.4, 0.0]]))
    torch.testing.assert_close(shown("last"), torch.tensor([[0.2, 0.2, 0.6], [0.9, 0.4, 0.4]]))


def measured(source: Source, metrics: object = BUILT_IN) -> dict[str, float]:
    batches = source.test(2, "cpu")
    options = {"shown": 4, "horizon": 2, "micro_batches": MicroBatcher(2), "missing": source.missing}
    return evaluate({"last": repeat_last}, batches, metrics, **options)["last"].overall()  # type: ignore[arg-type]


def test_padding_changes_no_metric(tmp_path: Path) -> None:
    array = RNG.random((100, 20, 25)).astype(np.float32)
    plain, _ = opened(tmp_path, array, missing="", scaling=None)
    padded = open_source(dataclasses.replace(plain.data, pad=8))
    assert (padded.shape.height, padded.shape.width) == (24, 32)
    assert measured(padded) == measured(plain)
    filled = padded.fill(next(iter(padded.test(1, "cpu"))))  # type: ignore[misc]
    assert torch.equal(filled[..., 20:, :25], filled[..., 19:20, :25].expand_as(filled[..., 20:, :25])), (
        "the border, repeated"
    )


def test_cropping_keeps_the_centre(tmp_path: Path) -> None:
    array = RNG.random((100, 21, 27)).astype(np.float32)
    source, _ = opened(tmp_path, array, missing="", scaling=None, crop=8)
    np.testing.assert_array_equal(next(iter(source.test(1, "cpu")))[0, :, 0].numpy(), array[90:96, 2:18, 1:25])


def test_the_loss_and_its_gradient_do_not_see_missing_pixels() -> None:
    values = Values((8, 8), (8, 8), masked=True, means=(0.5,))
    frames = torch.rand(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    frames[:, 3:, :, :3] = float("nan")
    scale = torch.tensor(0.7, requires_grad=True)

    class Network(torch.nn.Module):
        def forward(self, inputs: torch.Tensor, horizon: int) -> torch.Tensor:
            return scale * inputs[:, -1:].repeat(1, horizon, 1, 1, 1)

    def squares(prediction: torch.Tensor, target: torch.Tensor, progress: float) -> torch.Tensor:
        return (prediction - target).square().sum()

    options = {"shown": 3, "horizon": 2, "progress": 0.0, "loss": squares, "precision": "float32", "fill": values.filled}
    found = loss_of(Network(), frames, **options)  # type: ignore[arg-type]
    found.backward()  # type: ignore[no-untyped-call]
    last, rest = frames[:, 2:3, :, 3:], frames[:, 3:, :, 3:]
    expected = (0.7 * last - rest).square().sum()
    gradient = (2 * last * (0.7 * last - rest)).sum()
    torch.testing.assert_close(found.detach(), expected)
    torch.testing.assert_close(scale.grad, gradient)


def test_a_record_brings_the_same_values_back(tmp_path: Path) -> None:
    source, _ = opened(tmp_path, pad=16, fill="last", unit="K", missing="-99")
    assert source.values is not None
    assert Values.from_record(source.values.record(), components().find) == source.values
