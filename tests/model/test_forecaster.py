"""The network is the article's: parameters, layers, variants against the base, initial weights, shapes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from networks import PAPER, SMALL, TINY, disturbed, experiment, frames
from torch import Tensor, nn
from torch.nn import functional as F

from harness.component import Component
from harness.errors import RequestError
from harness.model.build import build_model, count_parameters
from harness.model.cell import ConvLSTM
from harness.model.encoder_forecaster import ConvLSTMCell
from harness.presets import preset


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


# --- the article's figures


@pytest.mark.parametrize(("variant", "millions"), [("base", 8.7), ("residual", 9.1), ("attention", 10.3)])
def test_has_the_parameters_of_the_article(variant: str, millions: float) -> None:
    with torch.device("meta"):
        model = build_model(experiment(variant, "paper").architecture, PAPER, seed=0)
    assert count_parameters(model) / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize("variant", ["curriculum", "tta"])
def test_has_the_parameters_of_the_base_where_the_article_says_same(variant: str) -> None:
    assert experiment(variant, "paper").architecture == experiment("base", "paper").architecture


def test_has_the_layers_of_the_article() -> None:
    model = build_model(preset("paper").architecture, PAPER, seed=0)
    found: dict[str, tuple[int, ...]] = {}

    def record(name: str, layer: ConvLSTM) -> None:
        def hook(module: nn.Module, given: Any, result: tuple[Tensor, Any]) -> None:
            channels, height, width = result[0].shape[2:]
            found[name] = (height, width, channels, layer.kernel)

        layer.register_forward_hook(hook)

    names = {
        "encoder.0": "Conv1",
        "encoder.1": "Conv2",
        "encoder.2": "Conv3",
        "forecaster.1": "Deconv1",
        "forecaster.0": "Deconv2",
    }
    for place, name in names.items():
        layer = model.get_submodule(place)
        assert isinstance(layer, ConvLSTM)
        record(name, layer)
    with torch.no_grad():
        assert model(frames(batch=1, count=1, height=64, width=64), 1).shape == (1, 1, 1, 64, 64)
    assert found == {
        "Conv1": (64, 64, 64, 5),
        "Conv2": (32, 32, 128, 3),
        "Conv3": (16, 16, 256, 3),
        "Deconv1": (32, 32, 128, 3),
        "Deconv2": (64, 64, 64, 3),
    }
    assert len([module for module in model.modules() if isinstance(module, ConvLSTM)]) == 5


# --- variants against the base


@pytest.mark.parametrize("variant", ["residual", "attention", "residual+attention"])
def test_starts_as_the_base_bit_for_bit(variant: str) -> None:
    base, other = (build_model(experiment(name).architecture, TINY, seed=4) for name in ("base", variant))
    with torch.no_grad():
        assert torch.equal(other(frames(), 3), base(frames(), 3))


def test_the_residual_refuses_an_even_kernel() -> None:
    with pytest.raises(RequestError, match="odd kernel"):
        type(experiment("residual").architecture.skip)(kernel=2)


def test_the_residual_adds_the_projected_input_of_each_layer() -> None:
    model = disturbed(build_model(experiment("residual").architecture, TINY, seed=0))
    projection, layer = model.forecaster_skip[0], model.forecaster[0]
    seen: dict[str, Tensor] = {}
    layer.register_forward_hook(lambda module, given, result: seen.update(input=given[0], output=result[0]))
    model.head.register_forward_hook(lambda module, given, result: seen.update(head=given[0]))
    with torch.no_grad():
        model(frames(), 3)
        added = F.conv2d(seen["input"].flatten(0, 1), projection.weight, padding=1)
    torch.testing.assert_close(seen["head"], seen["output"] + added.view_as(seen["output"]))


# --- initial weights


@dataclass(frozen=True, kw_only=True)
class Own(Component):
    """A component that initialises its module in the ways that authors use."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "own"

    def build(self, channels: int) -> nn.Module:
        return OwnModule(channels)


class OwnModule(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.randn(channels, 1, 1))
        self.attention = nn.MultiheadAttention(channels, 2, batch_first=True)
        self.last = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.last.weight)


def test_a_component_keeps_the_initial_weights_that_it_chose() -> None:
    architecture = dataclasses.replace(SMALL, bottleneck=Own())
    torch.manual_seed(1)
    first = build_model(architecture, TINY, seed=0)
    torch.manual_seed(2)
    second = build_model(dataclasses.replace(architecture, skip=experiment("residual").architecture.skip), TINY, seed=0)
    assert not first.get_parameter("bottleneck.last.weight").any()
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name)), name


def test_gain_and_forget_bias_do_what_they_say() -> None:
    plain = build_model(dataclasses.replace(SMALL, cell=ConvLSTMCell()), TINY, seed=0)
    changed = build_model(dataclasses.replace(SMALL, cell=ConvLSTMCell(forget_bias=1.5), gain=2.0), TINY, seed=0)
    torch.testing.assert_close(
        changed.get_parameter("encoder.1.state_weight"), 2 * plain.get_parameter("encoder.1.state_weight")
    )
    assert torch.equal(changed.head.weight, plain.head.weight)
    raised = changed.get_parameter("encoder.0.bias") - plain.get_parameter("encoder.0.bias")
    torch.testing.assert_close(raised, torch.tensor([0.0, 1.5, 0.0, 0.0]).repeat_interleave(4))


# --- shapes


@pytest.mark.parametrize("widths", [(4,), (4, 8), (4, 8, 8, 16)])
@pytest.mark.parametrize("variant", ["base", "residual+attention"])
def test_depth_is_configuration(widths: tuple[int, ...], variant: str) -> None:
    architecture = dataclasses.replace(experiment(variant).architecture, widths=widths, kernels=(3,) * len(widths), patch=2)
    model = disturbed(build_model(architecture, TINY, seed=0))
    prediction = model(frames(height=16, width=32), 2)
    assert prediction.shape == (2, 2, 1, 16, 32)
    prediction.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    assert sum(isinstance(module, ConvLSTM) for module in model.modules()) == 2 * len(widths) - 1


def test_the_output_is_linear_and_not_clamped() -> None:
    model = build_model(SMALL, TINY, seed=0)
    with torch.no_grad():
        model.head.bias.fill_(-3.0)
        assert (model(frames(), 1) < -1).all()


@pytest.mark.parametrize("size", [(15, 16), (16, 18), (2, 2)])
def test_frames_of_odd_size_are_refused_with_what_to_do(size: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match=rf"{size[0]}x{size[1]} pixels.*multiples of 4.*architecture.widths"):
        build_model(SMALL, TINY, seed=0)(frames(height=size[0], width=size[1]), 1)


def test_other_senseless_calls_are_refused() -> None:
    model = build_model(SMALL, TINY, seed=0)
    with pytest.raises(RequestError, match="horizon 0"):
        model(frames(), 0)
    for bad in (frames()[0], frames()[:, :0]):
        with pytest.raises(RequestError, match=r"takes \(B, T, C, H, W\)"):
            model(bad, 1)
