"""Averages of the weights over the steps of a training: what is validated, kept and tested in place of the last weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from harness.component import Component, setting

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class ExponentialAverage(Component):
    """Exponential moving average of all parameters (Polyak, Juditsky 1992), updated after every step.

    In the first steps the decay is (1 + n) / (10 + n) where that is smaller. Buffers, such as running statistics, are the last.
    """

    slot: ClassVar[str] = "training.average"
    name: ClassVar[str] = "ema"
    decay: float = setting(0.99, "weight of what was there before in each update", at_least=0, at_most=0.99999)

    def build(self, model: nn.Module) -> WeightAverage:
        """The average, which starts at the model's weights."""
        return WeightAverage(model, self.decay)


class WeightAverage:
    """A moving average of a model's parameters. Part of checkpoints as `average.<name>`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay, self.updates = model, decay, 0
        self.weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def update(self) -> None:
        """Moves the average towards the model's weights."""
        self.updates += 1
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, parameter in self.model.named_parameters():
            self.weights[name].lerp_(parameter.detach(), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the model has the average's weights; afterwards its own."""
        own: dict[str, Tensor] = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
        self._set(self.weights)
        try:
            yield
        finally:
            self._set(own)

    def _set(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.data.copy_(weights[name])

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights by name, and how many updates they have had."""
        return {**self.weights, "updates": self.updates}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restores what `state_dict` gave. Raises ValueError for other names."""
        if saved.keys() != {*self.weights, "updates"}:
            raise ValueError("its average is of other weights")
        self.updates = int(saved["updates"])
        for name, weight in self.weights.items():
            weight.copy_(saved[name])
