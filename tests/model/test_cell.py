"""A ConvLSTM layer is the article's cell, fast and plain."""

from __future__ import annotations

import pytest
import torch
from networks import noise
from torch import Tensor, nn

from harness.model.cell import ConvLSTM


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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
