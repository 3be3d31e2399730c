"""The fast path of the cell and of the network is their plain reading."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from networks import PAPER, SMALL, TINY, disturbed, experiment, frames, noise
from torch import Tensor, nn

from harness.evaluation.cost import forward_cost
from harness.model.build import build_model, use_reference
from harness.model.cell import ConvLSTM
from harness.presets import preset
from harness.training.terms import composite_loss


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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
