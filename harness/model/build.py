"""One way to build a network: for training, loading, counting, benchmarks and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from harness.component import Shape
from harness.system.seeds import derived_seed

if TYPE_CHECKING:
    from harness.component import Component


@contextmanager
def seeded(seed: int, place: str) -> Iterator[None]:
    """Within it torch's generator of the host is seeded by the seed and the place; it is as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, place))
        yield


def build_model(architecture: Component, shape: Shape, seed: int) -> nn.Module:
    """Builds the network on the host; its weights depend on the arguments alone.

    Returns:
        A module (frames (B, T, C, H, W), horizon) -> (B, horizon, C, H, W).
    """
    with seeded(seed, "architecture"):
        model: nn.Module = architecture.build(shape, seed)  # type: ignore[attr-defined]
    return model


def mark_gates(weights: Iterable[Tensor | None], count: int) -> None:
    """Says that each weight is `count` matrices, one a gate, along its first dimension: Muon takes them apart."""
    for weight in weights:
        if weight is not None:
            weight.matrices = count  # type: ignore[attr-defined]


def use_reference(model: nn.Module, plain: bool = True) -> nn.Module:
    """Makes every layer that has a plain reading of its equations run it; returns the network."""
    for module in model.modules():
        if hasattr(module, "plain"):
            module.plain = plain  # type: ignore[assignment]
    return model


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
