"""The settings of networks that feed their predictions back: what is built, and what does not fit."""

from __future__ import annotations

import pytest
import torch

from harness.component import Shape
from harness.errors import RequestError
from harness.model.cells import FedBack
from harness.model.fed_back import FedBackConfig
from harness.registry import Components

SHAPE = Shape(channels=2, height=16, width=24, input_frames=3, horizon=3)


def config(name: str = "predrnn", **settings: object) -> FedBackConfig:
    made = Components(third_party=False).get(f"architecture.{name}")(**settings)
    assert isinstance(made, FedBackConfig)
    return made


@pytest.mark.parametrize("name", ["convlstm-stack", "predrnn", "predrnn-pp", "predrnn-v2"])
def test_settings_reach_the_network(name: str) -> None:
    model = config(name, layers=3, hidden=4, kernel=3, patch=8, warm_up_weight=0.5).build(SHAPE)
    assert isinstance(model, FedBack)
    assert len(model.cells) == 3
    assert tuple(model.head.weight.shape) == (2 * 8 * 8, 4, 1, 1)
    assert model.warm_up_weight == 0.5
    with torch.no_grad():
        assert model(torch.rand(1, 2, 2, 16, 24), 2).shape == (1, 2, 2, 16, 24)


def test_the_defaults_are_openstls_moving_mnist_configuration() -> None:
    one = config()
    assert (one.layers, one.hidden, one.kernel, one.patch, one.warm_up_weight) == (4, 128, 5, 4, 1.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel": 4}, "kernel 4 of predrnn is even; .* choose 5"),
        (
            {"patch": 5},
            r"frames of 16x24 pixels; predrnn with patch 5 needs multiples of 5: pad the frames \(--set data.pad=5",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(settings: dict[str, int], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        config(**settings).build(SHAPE)


def test_openstls_names_are_those_of_the_networks_module() -> None:
    assert config().openstl_name("cell_list.2.conv_m.0.weight") == "cells.2.memory.weight"
    assert config("convlstm-stack").openstl_name("cell_list.2.conv_m.0.weight") is None, "its forward pass never calls it"
    assert config("predrnn-v2").openstl_name("adapter.weight") == "adapter.weight"
