"""The network is the article's, and its fast path is its plain reading."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.component import Component, Shape
from harness.errors import RequestError
from harness.evaluation.cost import flops_per_sequence, forward_cost, training_flops
from harness.experiment import Experiment
from harness.model.build import build_model, count_parameters, use_reference
from harness.model.cell import ConvLSTM
from harness.model.encoder_forecaster import ConvLSTMCell, EncoderForecasterConfig
from harness.model.forecaster import EncoderForecaster
from harness.presets import preset
from harness.training.terms import composite_loss
from harness.variant import Variants

SMALL = EncoderForecasterConfig(widths=(4, 8, 8), kernels=(5, 3, 3), patch=1, cell=ConvLSTMCell(forget_bias=0.5))
TINY = Shape(channels=1, height=16, width=16, input_frames=3, horizon=3)
PAPER = Shape(channels=1, height=64, width=64, input_frames=10, horizon=10)
INSTALLED = Variants(third_party=False)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def frames(batch: int = 2, count: int = 3, channels: int = 1, height: int = 16, width: int = 16) -> Tensor:
    return noise(batch, count, channels, height, width).sigmoid()


def experiment(variant: str, name: str = "tiny", changes: Mapping[str, object] | None = None) -> Experiment:
    return INSTALLED.compose(variant).apply(preset(name)).replace(changes or {})


def disturbed(model: EncoderForecaster) -> EncoderForecaster:
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.add_(noise(*parameter.shape, seed=index), alpha=0.05)
    return model


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


# --- the cell


class ArticleCell(nn.Module):
    """The article's reference cell, word for word: eight convolutions, 'same' padding, zero initial state."""

    def __init__(self, inputs: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.channels = channels

        def conv(count: int, bias: bool) -> nn.Conv2d:
            return nn.Conv2d(count, channels, kernel, padding="same", bias=bias)

        self.Wxi, self.Wxf, self.Wxo, self.Wxc = (conv(inputs, True) for _ in range(4))
        self.Whi, self.Whf, self.Who, self.Whc = (conv(channels, False) for _ in range(4))

    def forward(self, x_BTCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, steps, _, height, width = x_BTCHW.shape
        h = c = torch.zeros(batch, self.channels, height, width, dtype=x_BTCHW.dtype)
        outputs = []
        for t in range(steps):
            x = x_BTCHW[:, t]
            i = torch.sigmoid(self.Wxi(x) + self.Whi(h))
            f = torch.sigmoid(self.Wxf(x) + self.Whf(h))
            o = torch.sigmoid(self.Wxo(x) + self.Who(h))
            c = f * c + i * torch.tanh(self.Wxc(x) + self.Whc(h))
            h = o * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h, c


@pytest.mark.parametrize("plain", [True, False], ids=["reference", "fast"])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_layer_is_the_cell_of_the_article(kernel: int, plain: bool) -> None:
    layer, article = ConvLSTM(3, 6, kernel, forget_bias=1.0), ArticleCell(3, 6, kernel)
    layer.plain = plain
    with torch.no_grad():
        for index, gate in enumerate("ifoc"):
            part = slice(index * 6, (index + 1) * 6)
            getattr(article, f"Wx{gate}").weight.copy_(layer.input_weight[part])
            getattr(article, f"Wx{gate}").bias.copy_(layer.bias[part])
            getattr(article, f"Wh{gate}").weight.copy_(layer.state_weight[part])
    given = noise(2, 4, 3, 8, 6)
    ours, theirs = given.clone().requires_grad_(), given.clone().requires_grad_()
    outputs, (hidden, cell) = layer(ours.transpose(0, 1))
    expected, expected_hidden, expected_cell = article(theirs)
    torch.testing.assert_close(outputs.transpose(0, 1), expected)
    torch.testing.assert_close(hidden, expected_hidden)
    torch.testing.assert_close(cell, expected_cell)
    for result, last in ((outputs.transpose(0, 1), cell), (expected, expected_cell)):
        (result.square().sum() + last.sum()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for weight, name in ((layer.input_weight, "Wx"), (layer.state_weight, "Wh")):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, torch.cat([getattr(article, name + gate).weight.grad for gate in "ifoc"]))
    assert layer.bias.grad is not None
    torch.testing.assert_close(layer.bias.grad, torch.cat([getattr(article, f"Wx{gate}").bias.grad for gate in "ifoc"]))


def test_without_an_input_a_layer_rolls_on_as_with_one_of_zeros_and_without_weights_for_it() -> None:
    layer = disturbed_layer(ConvLSTM(2, 3, 3))
    given = noise(2, 2, 2, 6, 6)
    _, state = layer(given)
    rolled, _ = layer(None, state, steps=3)
    shown, _ = layer(torch.zeros(3, 2, 2, 6, 6), state)
    torch.testing.assert_close(rolled, shown)


def test_a_constant_input_is_one_more_input_at_every_step() -> None:
    layer = disturbed_layer(ConvLSTM(2, 3, 3, constant_channels=4))
    merged = ConvLSTM(6, 3, 3)
    assert layer.constant_weight is not None
    with torch.no_grad():
        merged.input_weight.copy_(torch.cat([layer.input_weight, layer.constant_weight], dim=1))
        merged.state_weight.copy_(layer.state_weight)
        merged.bias.copy_(layer.bias)
    given, constant = noise(3, 2, 2, 6, 6), noise(2, 4, 6, 6, seed=1)
    expected, _ = merged(torch.cat([given, constant.expand(3, -1, -1, -1, -1)], dim=2))
    for plain in (True, False):
        layer.plain = plain
        torch.testing.assert_close(layer(given, constant=constant)[0], expected)


def disturbed_layer(layer: ConvLSTM) -> ConvLSTM:
    with torch.no_grad():
        for index, parameter in enumerate(layer.parameters()):
            parameter.copy_(noise(*parameter.shape, seed=index) * 0.3)
    return layer


def test_a_layer_needs_an_input_or_a_state_and_a_step() -> None:
    layer = ConvLSTM(1, 2, 3)
    with pytest.raises(ValueError, match="state"):
        layer(None, steps=2)
    state = (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="step"):
        layer(None, state, steps=0)


# --- the fast path


@pytest.mark.parametrize("variant", ["base", "residual+attention"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_fast_path_equals_the_oracle_in_outputs_and_gradients(variant: str, horizon: int) -> None:
    architecture = dataclasses.replace(experiment(variant).architecture, widths=(4, 8, 8), kernels=(5, 3, 3), patch=1)
    fast, reference = (disturbed(build_model(architecture, dataclasses.replace(TINY, channels=2), seed=1)) for _ in range(2))
    use_reference(reference)
    given = [frames(channels=2).requires_grad_() for _ in range(2)]
    results = [model(shown, horizon) for model, shown in zip((fast, reference), given, strict=True)]
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)
    for result in results:
        (result * noise(*result.shape)).sum().backward()
    torch.testing.assert_close(given[0].grad, given[1].grad, rtol=1e-4, atol=1e-4)
    for (name, ours), theirs in zip(fast.named_parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None, name
        assert theirs.grad is not None, name
        assert relative_difference(ours.grad, theirs.grad) < 1e-4, name


TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 4e-2}
"""Of the fast path against the float32 reference, as a share of its norm; bfloat16 has 8 bits, and errors add up over steps."""


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("variant", ["base", "residual", "attention"])
def test_the_fast_path_equals_the_oracle_in_every_type_and_layout(
    variant: str, kind: torch.dtype, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.model.cell.CHUNK_BYTES", 2**11)  # parts of less than a step
    architecture = dataclasses.replace(experiment(variant).architecture, widths=(4, 8, 8), kernels=(5, 3, 3), patch=1)
    fast, reference = (disturbed(build_model(architecture, dataclasses.replace(TINY, channels=2), seed=1)) for _ in range(2))
    use_reference(reference)
    fast = fast.to(memory_format=layout)  # type: ignore[call-overload]
    given = [frames(channels=2).requires_grad_() for _ in range(2)]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
        found = fast(given[0], 3).float()
    expected = reference(given[1], 3)
    assert relative_difference(found.detach(), expected.detach()) < TOLERANCE[kind]
    for result in (found, expected):
        (result * noise(*result.shape)).sum().backward()
    assert given[0].grad is not None
    assert given[1].grad is not None
    assert relative_difference(given[0].grad, given[1].grad) < 2 * TOLERANCE[kind]
    for (name, ours), theirs in zip(fast.named_parameters(), reference.parameters(), strict=True):
        assert ours.grad is not None, name
        assert theirs.grad is not None, name
        assert ours.grad.dtype == torch.float32
        assert relative_difference(ours.grad, theirs.grad) < 2 * TOLERANCE[kind], name


@pytest.mark.parametrize("kind", list(TOLERANCE), ids=str)
def test_attentions_fused_product_equals_its_equation(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def equation(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return torch.softmax(query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5, dim=-1) @ value

    module = disturbed(build_model(experiment("attention").architecture, TINY, seed=1)).bottleneck
    assert module is not None
    results = []
    for plain in (False, True):
        module.zero_grad()
        features = noise(2, 3, 8, 4, 6).requires_grad_()
        with monkeypatch.context() as patch, torch.autocast("cpu", enabled=kind == torch.bfloat16 and not plain):
            if plain:
                patch.setattr("variants.attention.module.F.scaled_dot_product_attention", equation)
            answer = module(features)
        (answer.float() * noise(*answer.shape, seed=1)).sum().backward()
        results.append([answer, features.grad, *(parameter.grad for parameter in module.parameters())])
    for index, (ours, theirs) in enumerate(zip(*results, strict=True)):
        assert ours is not None
        assert theirs is not None
        assert relative_difference(ours.detach(), theirs.detach()) < 2 * TOLERANCE[kind], index


def test_bfloat16_trains_as_the_oracle_does() -> None:
    tiny = experiment("residual+attention")
    losses = []
    for kind in (torch.bfloat16, torch.float32):
        model = use_reference(build_model(tiny.architecture, TINY, seed=1), kind == torch.float32)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for step in range(8):
            batch = noise(4, 6, 1, 16, 16, seed=step).sigmoid()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
                prediction = model(batch[:, :3], 3)
            loss = composite_loss(prediction, batch[:, 3:], tiny.loss)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[:8] == pytest.approx(losses[8:], rel=2e-3)
    assert losses[7] < 0.98 * losses[0]


def test_a_second_backward_pass_is_refused_and_not_wrong() -> None:
    model = build_model(SMALL, TINY, seed=0)
    loss = model(frames(), 2).square().sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def test_a_shorter_horizon_costs_in_proportion() -> None:
    paper = preset("paper")
    costs = [forward_cost(paper, PAPER, horizon)[1] for horizon in (1, 2, 5, 10)]
    step = costs[1] - costs[0]
    assert costs[2] - costs[1] == 3 * step
    assert costs[3] - costs[2] == 5 * step
    assert costs[3] / costs[0] > 1.9  # the ten frames shown are the rest of it


def relative_difference(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / (expected.norm() + 1e-6))


def test_the_fast_path_trains_as_the_oracle_does() -> None:
    tiny = experiment("residual+attention")
    models = [build_model(tiny.architecture, TINY, seed=1) for _ in range(2)]
    use_reference(models[1])
    losses: list[list[float]] = [[], []]
    for model, kept in zip(models, losses, strict=True):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for step in range(5):
            batch = noise(4, 6, 1, 16, 16, seed=step).sigmoid()
            loss = composite_loss(model(batch[:, :3], 3), batch[:, 3:], tiny.loss)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            kept.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] < losses[0][0]
    start = build_model(tiny.architecture, TINY, seed=1)
    for (name, ours), theirs, first in zip(
        models[0].named_parameters(), models[1].parameters(), start.parameters(), strict=True
    ):
        moved = (theirs - first).norm()
        # Adam divides by the gradient's size, so where that is near zero rounding decides the step.
        assert float((ours - theirs).detach().norm() / (moved.detach() + 1e-6)) < 0.02, name


def test_the_oracle_can_be_left_again() -> None:
    model = build_model(SMALL, TINY, seed=0)
    layers = [module for module in model.modules() if isinstance(module, ConvLSTM)]
    assert use_reference(model) is model
    assert all(layer.plain for layer in layers)
    assert not any(layer.plain for layer in use_reference(model, False).modules() if isinstance(layer, ConvLSTM))


# --- variants against the base


@pytest.mark.parametrize("variant", ["residual", "attention", "residual+attention"])
def test_starts_as_the_base_bit_for_bit(variant: str) -> None:
    base, other = (build_model(experiment(name).architecture, TINY, seed=4) for name in ("base", variant))
    with torch.no_grad():
        assert torch.equal(other(frames(), 3), base(frames(), 3))


def test_attention_with_its_gates_closed_is_the_base_whatever_its_other_weights() -> None:
    base, attention = (build_model(experiment(name).architecture, TINY, seed=4) for name in ("base", "attention"))
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            if name.startswith("bottleneck."):
                parameter.zero_() if name.endswith("gates") else parameter.normal_()
        assert torch.equal(attention(frames(), 3), base(frames(), 3))
        next(p for name, p in attention.named_parameters() if name.endswith("gates")).fill_(0.5)
        assert not torch.equal(attention(frames(), 3), base(frames(), 3))


def test_attention_knows_where_a_position_is() -> None:
    model = disturbed(build_model(experiment("attention").architecture, TINY, seed=0))
    assert model.bottleneck is not None
    features, order = noise(1, 1, 8, 4, 4), torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = features.flatten(3)[..., order].view_as(features)
    with torch.no_grad():
        before, after = model.bottleneck(features), model.bottleneck(shuffled)
    assert not torch.allclose(before.flatten(3)[..., order], after.flatten(3), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"heads": 3}, "3 heads on 8 channels"), ({"heads": 0}, "heads is 0"), ({"blocks": 0}, "blocks is 0")],
)
def test_attention_refuses_what_does_not_fit(settings: dict[str, int], words: str) -> None:
    component = type(experiment("attention").architecture.bottleneck)
    with pytest.raises(RequestError, match=words):
        component(**settings).build(8)


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


def test_shared_parts_start_equal_and_seeds_differ() -> None:
    base = build_model(SMALL, TINY, seed=0)
    deeper = build_model(dataclasses.replace(SMALL, widths=(4, 8, 8, 8), kernels=(5, 3, 3, 3)), TINY, seed=0)
    same = [name for name, p in base.named_parameters() if p.shape == deeper.get_parameter(name).shape]
    assert len(same) > 15
    assert all(torch.equal(base.get_parameter(name), deeper.get_parameter(name)) for name in same)
    other = build_model(SMALL, TINY, seed=1)
    assert not any(torch.equal(p, other.get_parameter(name)) for name, p in base.named_parameters())
    assert not torch.equal(base.get_parameter("up.0.weight")[:4], base.get_parameter("up.1.weight")[:4])


def test_building_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    build_model(SMALL, TINY, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


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


# --- cost


def closed_form(widths: tuple[int, ...], kernels: tuple[int, ...], shown: int, horizon: int, side: int) -> int:
    """Operations of the base for one sequence, from its list of layers; two a multiply-add.

    A convolution costs 2 * positions * kernel^2 * in * out. Four gates make 4 C outputs. A state's convolution is left out
    at a step that has no state before it; the constant input's is computed once.
    """

    def conv(side: int, kernel: int, inputs: int, outputs: int) -> int:
        return 2 * side * side * kernel * kernel * inputs * outputs

    total, last = 0, len(widths) - 1
    for level, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
        here, before = side >> level, widths[level - 1] if level else 1
        if level:
            total += shown * conv(here, 3, before, before)  # down
        total += shown * conv(here, kernel, before, 4 * width) + (shown - 1) * conv(here, kernel, width, 4 * width)
    total += horizon * conv(side >> last, kernels[last], widths[last], 4 * widths[last])  # the deepest rolls on
    for level in range(last):
        here, above, width = side >> level, widths[level + 1], widths[level]
        total += horizon * conv(here // 2, 3, above, above)  # up: every input position meets the whole kernel
        total += horizon * (conv(here, 3, above, 4 * width) + conv(here, 3, width, 4 * width)) + conv(
            here, 3, width, 4 * width
        )
    return total + horizon * conv(side, 1, widths[0], 1)


def test_operations_of_the_base_are_those_of_its_list_of_layers() -> None:
    paper = preset("paper")
    expected = closed_form((64, 128, 256), (5, 3, 3), 10, 10, 64)
    assert forward_cost(paper, PAPER, 10) == (8_713_601, expected)
    assert expected / 1e9 == pytest.approx(159, abs=1)
    small = preset("tiny").replace({"architecture.patch": 1})
    model = build_model(small.architecture, TINY, seed=0)
    assert flops_per_sequence(model, small, TINY) == closed_form((4, 8), (3, 3), 3, 3, 16)


def test_operations_of_residual_and_attention_are_counted_on_top() -> None:
    base = forward_cost(preset("tiny"), TINY, 3)[1]
    # One projection, 8 -> 4 channels at 8x8 pixels, three predicted frames.
    assert forward_cost(experiment("residual"), TINY, 3)[1] - base == 3 * 2 * 64 * 9 * 8 * 4
    # Two blocks on 16 positions of 8 channels: four products of C x C, two of C x 4C, and both products of attention.
    block = 2 * 16 * (4 * 8 * 8 + 2 * 8 * 32) + 2 * 2 * 16 * 16 * 8
    assert forward_cost(experiment("attention"), TINY, 3)[1] - base == 3 * 2 * block


@pytest.mark.parametrize("variant", ["base", "attention", "residual+attention"])
def test_operations_do_not_depend_on_the_device_that_counts(variant: str) -> None:
    chosen = experiment(variant)
    model = build_model(chosen.architecture, TINY, seed=0)
    assert flops_per_sequence(model, chosen, TINY) == forward_cost(chosen, TINY, 3)[1]
    assert flops_per_sequence(use_reference(model), chosen, TINY) >= forward_cost(chosen, TINY, 3)[1]


def test_every_view_is_paid_for() -> None:
    base, tta = experiment("base"), experiment("tta")
    model = build_model(base.architecture, TINY, seed=0)
    views = len(tta.inference.views)
    assert flops_per_sequence(model, tta, TINY) == views * flops_per_sequence(model, base, TINY)


def test_a_curriculum_pays_for_the_horizons_that_it_trains() -> None:
    base = training_flops(experiment("base"), TINY)
    assert base == 3 * 4 * 6 * forward_cost(preset("tiny"), TINY, 3)[1]
    cost = {horizon: forward_cost(preset("tiny"), TINY, horizon)[1] for horizon in (2, 3)}
    assert training_flops(experiment("curriculum"), TINY) == 3 * 4 * (3 * cost[2] + 3 * cost[3])
