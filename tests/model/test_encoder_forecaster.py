"""The encoder-forecaster's settings: what fits together, and what it asks of a frame."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from networks import SMALL, TINY

from harness.component import Shape
from harness.errors import RequestError
from harness.model.cell import ConvLSTM
from harness.model.encoder_forecaster import (
    ConvLSTMCell,
    DirectHead,
    EncoderForecasterConfig,
    LastFrameResidual,
    STLSTMCell,
)
from harness.model.heads import Direct, LastFramePlus
from harness.model.st_layer import STLSTMLayer


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"widths": (4, 8), "kernels": (3,)}, "kernels has 1 entries for 2 widths; give one kernel a width"),
        ({"widths": (), "kernels": ()}, "kernels has 0 entries for 0 widths"),
        ({"widths": (4,) * 17, "kernels": (3,) * 17}, "names 17 layers; at most 16"),
        ({"kernels": (5, 4, 3)}, "kernel 4 is even; 'same' padding needs odd"),
        ({"forecaster_kernel": 2}, "kernel 2 is even"),
        ({"cell": None}, r"architecture\.cell is empty; choose one, such as convlstm"),
        ({"head": None}, r"architecture\.head is empty; choose one, such as direct"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_what_does(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        EncoderForecasterConfig(**settings)


@pytest.mark.parametrize(("widths", "patch", "stride"), [((4,), 1, 1), ((4,), 3, 3), ((4, 8), 2, 4), ((4, 8, 8), 2, 8)])
def test_a_frame_is_a_multiple_of_the_patch_halved_between_layers(widths: tuple[int, ...], patch: int, stride: int) -> None:
    config = dataclasses.replace(SMALL, widths=widths, kernels=(3,) * len(widths), patch=patch)
    assert config.stride == stride
    model = config.build(Shape(1, 2 * stride, stride, 1, 1))
    with torch.no_grad():
        assert model(torch.zeros(1, 1, 1, 2 * stride, stride), 1).shape == (1, 1, 1, 2 * stride, stride)
    if stride > 1:
        with pytest.raises(RequestError, match=f"multiples of {stride}"):
            model(torch.zeros(1, 1, 1, stride + 1, stride), 1)


@pytest.mark.parametrize(
    ("component", "kind"),
    [(ConvLSTMCell(forget_bias=2.0), ConvLSTM), (STLSTMCell(), STLSTMLayer)],
    ids=["convlstm", "st-lstm"],
)
def test_a_cell_component_builds_every_layer(component: Any, kind: type[torch.nn.Module]) -> None:
    model = dataclasses.replace(SMALL, cell=component).build(TINY)
    assert sum(isinstance(module, kind) for module in model.modules()) == 5  # three encode, two forecast


@pytest.mark.parametrize(("component", "kind"), [(DirectHead(), Direct), (LastFrameResidual(), LastFramePlus)])
def test_a_head_component_builds_the_head(component: Any, kind: type[torch.nn.Module]) -> None:
    assert isinstance(dataclasses.replace(SMALL, head=component).build(TINY).head, kind)
