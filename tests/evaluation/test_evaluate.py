"""One evaluation for networks, baselines and strangers' predictors, and metrics of one's own beside the built-in ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from measured import CSI, Mirror, frame_metrics, scored, sequences
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.evaluation.baselines import BASELINES, repeat_last
from harness.evaluation.evaluate import evaluate
from harness.evaluation.mean import MetricMean
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.micro_batches import MicroBatcher
from harness.views import HalfTurn, HorizontalFlip, Identity


class Wrapped(nn.Module):
    """As a network behind graphs: in training mode itself, whatever the network is in."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, horizon: int) -> Tensor:
        answer: Tensor = self.network(frames, horizon)
        return answer


def test_predictors_are_measured_on_the_same_sequences() -> None:
    frames = sequences()
    found = scored(
        {"model": Mirror(), **BASELINES, "mine": lambda inputs, horizon: inputs[:, :1].repeat(1, 2, 1, 1, 1)}, frames
    )
    assert list(found) == ["model", "blank", "repeat_last", "mine"]
    for name, predictor in BASELINES.items():
        expected = frame_metrics(predictor(frames[:, :2], 2), frames[:, 2:])
        for metric, values in expected.items():
            assert found[name].overall()[metric] == pytest.approx(values.mean().item(), rel=1e-9)
    assert len({one.overall()["mse"] for one in found.values()}) == 4


def test_networks_alone_are_averaged_over_views() -> None:
    frames, network = sequences(), Mirror()
    plain, averaged = (
        scored({"model": network, "repeat_last": repeat_last}, frames, views=views)
        for views in ((Identity(),), (Identity(), HorizontalFlip(), HalfTurn()))
    )
    assert plain["model"].overall() != averaged["model"].overall()
    assert plain["repeat_last"].overall() == averaged["repeat_last"].overall()


def test_a_network_runs_in_evaluation_mode_and_trains_again_afterwards() -> None:
    network = Mirror()
    scored({"model": network}, sequences(), precision="bfloat16")
    assert network.called == [(False, 3, torch.bfloat16), (False, 2, torch.bfloat16)]
    assert network.training
    network.eval()
    scored({"model": Wrapped(network)}, sequences())
    assert not network.training, "what was in evaluation mode inside something that was not stays so"

    def broken() -> Iterator[Tensor]:
        yield sequences()
        raise OSError("unreadable")

    with pytest.raises(OSError, match="unreadable"):
        evaluate({"model": network.train()}, broken(), shown=2, horizon=2, micro_batches=MicroBatcher(3))
    assert network.training


def test_a_prediction_of_another_shape_is_refused_of_anybody() -> None:
    with pytest.raises(HarnessError, match=r"predicted \(3, 2, 1, 16, 16\).*expected \(3, 1, 1, 16, 16\)"):
        scored({"mine": lambda inputs, horizon: inputs}, sequences(3, 3), horizon=1)


def test_own_metrics_stand_beside_the_built_in_ones() -> None:
    found = scored(BASELINES, sequences(), metrics=(*BUILT_IN, CSI()))["repeat_last"].overall()
    assert list(found) == [metric.name for metric in BUILT_IN] + ["csi"]
    assert 0 < found["csi"] < 1
    small = scored(BASELINES, sequences()[..., :8, :8], metrics=(CSI(),))["blank"].overall()
    assert small == {"csi": 0.0}, "frames that are too small for SSIM can be measured otherwise"


def test_means_are_bit_for_bit_those_of_torch() -> None:
    """The sums of a ratio in place of a mean change no digit of a stored result."""
    frames = torch.rand(37, 7, 1, 12, 12, generator=torch.Generator().manual_seed(5))
    mean = MetricMean()
    mean.update(frames, frames.roll(1, 0))
    for name, values in frame_metrics(frames, frames.roll(1, 0)).items():
        assert mean.overall()[name] == values.mean().item()
        assert mean.per_frame()[name] == values.mean(0).tolist()
        assert mean.per_sequence(name) == values.mean(1).tolist()
