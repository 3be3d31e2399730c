"""The ConvGRU layer is its equations, and is called like a ConvLSTM layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.model.cell import ConvLSTM
from variants.convgru.module import ACTIVATIONS, ConvGRU


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer(activation: str = "tanh", constant_channels: int = 2) -> ConvGRU:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return ConvGRU(3, 4, 3, constant_channels=constant_channels, activation=activation)


def by_the_equations(
    one: ConvGRU, inputs: Tensor | None, hidden: Tensor, constant: Tensor | None = None, steps: int = 0
) -> Tensor:
    """One step and one gate after the other."""
    outputs = []
    for step in range(steps if inputs is None else len(inputs)):

        def given(index: int, step: int = step) -> Tensor:
            part = slice(4 * index, 4 * (index + 1))
            total = one.bias[part].view(1, -1, 1, 1)
            if inputs is not None:
                total = total + F.conv2d(inputs[step], one.input_weight[part], padding=1)
                if constant is not None and one.constant_weight is not None:
                    total = total + F.conv2d(constant, one.constant_weight[part], padding=1)
            return total

        def recalled(index: int, hidden: Tensor = hidden) -> Tensor:
            return F.conv2d(hidden, one.state_weight[4 * index : 4 * (index + 1)], padding=1)

        update = torch.sigmoid(given(0) + recalled(0))
        reset = torch.sigmoid(given(1) + recalled(1))
        total = given(2) + reset * recalled(2)
        new = torch.tanh(total) if one.activation == "tanh" else torch.where(total > 0, total, 0.2 * total)
        hidden = (1 - update) * new + update * hidden
        outputs.append(hidden)
    return torch.stack(outputs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_is_its_equations(activation: str) -> None:
    one, inputs, constant, start = (
        layer(activation),
        noise(3, 2, 3, 6, 5),
        noise(2, 2, 6, 5, seed=1),
        noise(2, 4, 6, 5, seed=2),
    )
    outputs, state = one(inputs, constant=constant)
    torch.testing.assert_close(outputs, by_the_equations(one, inputs, torch.zeros_like(start), constant))
    assert torch.equal(state[0], outputs[-1])
    torch.testing.assert_close(one(inputs, (start,))[0], by_the_equations(one, inputs, start))
    torch.testing.assert_close(one(None, (start,), steps=2)[0], by_the_equations(one, None, start, steps=2))


def test_goes_on_where_it_stopped() -> None:
    one, inputs = layer(), noise(5, 2, 3, 6, 5)
    first, state = one(inputs[:2])
    torch.testing.assert_close(torch.cat([first, one(inputs[2:], state)[0]]), one(inputs)[0])


def test_is_called_like_a_convlstm_layer() -> None:
    inputs, constant = noise(3, 2, 3, 6, 5), noise(2, 2, 6, 5, seed=1)
    for one in (layer(), ConvLSTM(3, 4, 3, constant_channels=2)):
        outputs, state = one(inputs, constant=constant)
        assert outputs.shape == (3, 2, 4, 6, 5)
        rolled, state = one(None, state, steps=4)
        assert rolled.shape == (4, 2, 4, 6, 5)
        assert state[0].shape == (2, 4, 6, 5)
        with pytest.raises(ValueError, match="needs a state and at least one step"):
            one(None)


def test_has_three_quarters_of_a_convlstm_layers_parameters() -> None:
    count, lstm = (sum(p.numel() for p in one.parameters()) for one in (layer(), ConvLSTM(3, 4, 3, constant_channels=2)))
    assert 4 * count == 3 * lstm


def test_every_parameter_gets_a_gradient() -> None:
    one = layer()
    one(noise(3, 2, 3, 6, 5), constant=noise(2, 2, 6, 5, seed=1))[0].square().mean().backward()
    for name, parameter in one.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_sequences_of_a_batch_do_not_mix() -> None:
    one, inputs = layer(), noise(3, 2, 3, 6, 5)
    torch.testing.assert_close(one(inputs)[0][:, 1:], one(inputs[:, 1:])[0])


def test_runs_on_the_meta_device_and_under_autocast() -> None:
    with torch.device("meta"):
        outputs, state = layer()(torch.empty(3, 2, 3, 6, 5))
    assert outputs.is_meta
    assert state[0].shape == (2, 4, 6, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = layer()(noise(3, 2, 3, 6, 5))
        assert layer()(None, state, steps=2)[0].isfinite().all()
    torch.testing.assert_close(outputs.float(), layer()(noise(3, 2, 3, 6, 5))[0], atol=0.02, rtol=0.05)
