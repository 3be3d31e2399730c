"""Small networks, and frames for them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.component import Shape
from harness.experiment import Experiment
from harness.model.encoder_forecaster import ConvLSTMCell, EncoderForecasterConfig
from harness.model.forecaster import EncoderForecaster
from harness.presets import preset
from harness.variant import Variants

SMALL = EncoderForecasterConfig(widths=(4, 8, 8), kernels=(5, 3, 3), patch=1, cell=ConvLSTMCell(forget_bias=0.5))
TINY = Shape(channels=1, height=16, width=16, input_frames=3, horizon=3)
PAPER = Shape(channels=1, height=64, width=64, input_frames=10, horizon=10)
INSTALLED = Variants(third_party=False)


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
