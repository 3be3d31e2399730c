"""Components of every slot that do one thing wrong, for the smoke test to find."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from harness.component import Component, Shape, setting
from harness.data.moving_mnist import MovingMnist
from harness.data.source import Source
from harness.evaluation.metrics import Metric
from harness.evaluation.predict import Predictor
from harness.evaluation.predictors import Untrained
from harness.training.terms import LossTerm
from harness.views import View

CALLS: list[None] = []


# --- broken networks


class Network(nn.Module):
    """Repeats the last frame, a little darker; subclasses do one thing wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.9))

    def forward(self, frames: Tensor, horizon: int) -> Any:
        return frames[:, -1:].expand(-1, horizon, -1, -1, -1) * self.factor


class Short(Network):
    def forward(self, frames: Tensor, horizon: int) -> Any:
        return super().forward(frames, horizon)[:, 1:]


class Listing(Network):
    def forward(self, frames: Tensor, horizon: int) -> Any:
        return [super().forward(frames, horizon)]


class Half(Network):
    def forward(self, frames: Tensor, horizon: int) -> Any:
        return super().forward(frames, horizon).half()


class NotFinite(Network):
    def forward(self, frames: Tensor, horizon: int) -> Any:
        return (super().forward(frames, horizon) - 1).log()


class NoGradient(Network):
    """Finite forwards, not backwards."""

    def forward(self, frames: Tensor, horizon: int) -> Any:
        return super().forward(frames, horizon) + ((self.factor - self.factor.detach()) * 0).sqrt()


class Counting(Network):
    """Its count is no buffer."""

    count = 0

    def forward(self, frames: Tensor, horizon: int) -> Any:
        self.count += 1
        return super().forward(frames, horizon) / (1 + 0.1 * self.count)


class Remembering(Network):
    """A tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.zeros(())

    def forward(self, frames: Tensor, horizon: int) -> Any:
        self.mean = 0.5 * self.mean + 0.5 * frames.mean()
        return super().forward(frames, horizon) - self.mean


class PythonDice(Network):
    def forward(self, frames: Tensor, horizon: int) -> Any:
        return super().forward(frames, horizon) * random.random()


class NumpyDice(Network):
    def forward(self, frames: Tensor, horizon: int) -> Any:
        return super().forward(frames, horizon) * float(np.random.rand())


class TorchDice(Network):
    """Draws in evaluation mode too, unlike dropout."""

    def forward(self, frames: Tensor, horizon: int) -> Any:
        return super().forward(frames, horizon) * torch.rand(())


class Raising(Network):
    def forward(self, frames: Tensor, horizon: int) -> Any:
        raise IndexError("no such layer")


class OnTheHost(Network):
    """Reads a value while it is built, which the meta device has not."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = float(self.factor.detach())


class Dropping(Network):
    """Nothing is wrong with it: dropout draws in training mode alone."""

    def forward(self, frames: Tensor, horizon: int) -> Any:
        return nn.functional.dropout(super().forward(frames, horizon), 0.5, self.training)


@dataclass(frozen=True, kw_only=True)
class Broken(Component):
    """A network by name."""

    slot: ClassVar[str] = "architecture"
    name: ClassVar[str] = "broken"
    kind: str = setting("Short", "which")

    def build(self, shape: Shape, seed: int) -> Any:
        if self.kind == "nothing":
            return None
        if self.kind == "dice":
            random.random()
        return Network() if self.kind == "dice" else globals()[self.kind]()


# --- broken components of the other slots


@dataclass(frozen=True, kw_only=True)
class Wider(Component):
    """A bottleneck that gives another shape."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "wider"

    def build(self, channels: int) -> nn.Module:
        return nn.Upsample(scale_factor=(1, 1, 2))


class Logs(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return (features - 5).log()


@dataclass(frozen=True, kw_only=True)
class NotFiniteInside(Component):
    """A bottleneck that gives NaN."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "logs"

    def build(self, channels: int) -> nn.Module:
        return Logs()


@dataclass(frozen=True, kw_only=True)
class Paths(Component):
    """A skip path of the wrong width."""

    slot: ClassVar[str] = "architecture.skip"
    name: ClassVar[str] = "paths"

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        return nn.Conv2d(in_channels, out_channels + 1, 1)


@dataclass(frozen=True, kw_only=True)
class Headless(Component):
    """A head that gives a list."""

    slot: ClassVar[str] = "architecture.head"
    name: ClassVar[str] = "headless"

    def build(self, in_channels: int, out_channels: int) -> nn.Module:
        class Lists(nn.Module):
            def forward(self, features: Tensor, inputs: Tensor) -> Any:
                return [features]

        return Lists()


@dataclass(frozen=True, kw_only=True)
class Cells(Component):
    """A cell that forgets to return its state."""

    slot: ClassVar[str] = "architecture.cell"
    name: ClassVar[str] = "cells"

    def build(self, in_channels: int, out_channels: int, kernel: int, constant_channels: int = 0) -> nn.Module:
        class Stateless(nn.Module):
            def forward(self, inputs: Tensor, state: Any = None, *, constant: Any = None, steps: int = 0) -> Any:
                return inputs

        return Stateless()


@dataclass(frozen=True, kw_only=True)
class Term(LossTerm):
    """A term of the loss that gives something else than a number with a gradient."""

    name: ClassVar[str] = "term"
    kind: str = setting("map", "which")

    def compute(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Any:
        error = (prediction_BTCHW - target_BTCHW).square()
        CALLS.append(None)
        found: Mapping[str, Any] = {
            "map": lambda: error,
            "number": lambda: float(error.mean().detach()),
            "nan": lambda: error.mean() * float("nan"),
            "detached": lambda: error.mean().detach(),
            "dice": lambda: error.mean() * random.random(),
            "stateful": lambda: error.mean() * len(CALLS),
        }
        return found[self.kind]()


@dataclass(frozen=True, kw_only=True)
class Augment(Component):
    """An augmentation that does one thing wrong."""

    slot: ClassVar[str] = "data.augment"
    name: ClassVar[str] = "augment"
    inputs_only: ClassVar[bool] = False
    kind: str = setting("dice", "which")

    def apply(self, frames: Tensor, generator: torch.Generator) -> Any:
        found: Mapping[str, Any] = {
            "dice": lambda: frames * torch.rand(()),
            "cut": lambda: frames[:, 1:],
            "nan": lambda: frames * float("nan"),
            "bright": lambda: frames + 3,
            "in place": lambda: frames.mul_(0.5),
        }
        return found[self.kind]()


@dataclass(frozen=True, kw_only=True)
class Horizons(Component):
    """A curriculum without whole numbers."""

    slot: ClassVar[str] = "training.curriculum"
    name: ClassVar[str] = "horizons"

    def horizon(self, progress: float, full: int) -> Any:
        return full * progress


@dataclass(frozen=True, kw_only=True)
class Rates(Component):
    """A schedule that gives a bare number."""

    slot: ClassVar[str] = "training.schedule"
    name: ClassVar[str] = "rates"

    def values(self, step: float, total: float, lr: float) -> Any:
        return lr


@dataclass(frozen=True, kw_only=True)
class Feeds(Component):
    """A feeding that draws from torch's global generator."""

    slot: ClassVar[str] = "training.feeding"
    name: ClassVar[str] = "feeds"

    def draw(self, sequences: int, shown: int, horizon: int, progress: float, generator: torch.Generator) -> Tensor:
        return torch.rand(sequences, shown + horizon - 1) < 0.5


class Hidden(torch.optim.SGD):
    """A rate that falls with steps which its state does not count."""

    taken = 0

    def step(self, closure: Any = None) -> Any:
        self.taken += 1
        for group in self.param_groups:
            group["lr"] /= 1 + self.taken
        return super().step(closure)


@dataclass(frozen=True, kw_only=True)
class Optimizer(Component):
    """An optimizer that does one thing wrong."""

    slot: ClassVar[str] = "training.optimizer"
    name: ClassVar[str] = "optimizer"
    kind: str = setting("hidden", "which")
    lr: float = setting(0.1, "rate")

    def build(self, named_parameters: Iterator[tuple[str, nn.Parameter]]) -> Any:
        parameters = [parameter for _, parameter in named_parameters]
        return {"hidden": lambda: Hidden(parameters, lr=self.lr), "none": lambda: None}[self.kind]()


class ForgetfulAverage:
    """Keeps its weights, but not how often it was updated."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.updates = model, 0
        self.weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def update(self) -> None:
        self.updates += 1
        for name, parameter in self.model.named_parameters():
            self.weights[name].lerp_(parameter.detach(), 1 / (1 + self.updates))

    def state_dict(self) -> dict[str, Tensor]:
        return self.weights

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        self.weights = dict(saved)


@dataclass(frozen=True, kw_only=True)
class Average(Component):
    """An average with state that it does not save."""

    slot: ClassVar[str] = "training.average"
    name: ClassVar[str] = "average"

    def build(self, model: nn.Module) -> ForgetfulAverage:
        return ForgetfulAverage(model)


@dataclass(frozen=True, kw_only=True)
class Score(Metric):
    """A metric that does one thing wrong."""

    name: ClassVar[str] = "score"
    title: ClassVar[str] = "score"
    higher_is_better: ClassVar[bool] = True
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float | None] = None
    convention = "made up"
    kind: str = setting("mean", "which")

    def counts(self, prediction_BTCHW: Tensor, target_BTCHW: Tensor) -> Any:
        error = (prediction_BTCHW - target_BTCHW).abs().mean((2, 3, 4))[..., None].double()
        CALLS.append(None)
        found: Mapping[str, Any] = {
            "mean": lambda: error.mean((1, 2)),
            "number": lambda: float(error.mean()),
            "float32": lambda: error.float(),
            "nan": lambda: error / 0 * 0,
            "dice": lambda: error * torch.rand(()),
            "stateful": lambda: error * len(CALLS),
        }
        return found.get(self.kind, lambda: error)()

    def finish(self, sums: Any) -> Any:
        return "good" if self.kind == "text" else sums[0]


class Spoiled(Source):
    def validation(self, batch_size: int, device: torch.device | str) -> Iterator[Any]:
        found: Mapping[str, Any] = {
            "cut": lambda frames: frames[:, 1:],
            "bytes": lambda frames: (frames * 255).byte(),
            "nan": lambda frames: frames * float("nan"),
        }
        return (found.get(self.data.kind, lambda frames: frames)(one) for one in super().validation(batch_size, device))

    def train_batch(self, *given: Any) -> Any:
        found = super().train_batch(*given)
        CALLS.append(None)
        if self.data.kind == "dice":
            random.random()
        return found * (len(CALLS) % 7) / 7 if self.data.kind == "stateful" else found


@dataclass(frozen=True, kw_only=True)
class Clips(MovingMnist):
    """Sequences with something wrong."""

    name: ClassVar[str] = "clips"
    kind: str = setting("cut", "which")

    def open(self, digits_folder: Path | None = None) -> Source:
        whole = super().open(digits_folder)
        return Spoiled(self, whole._train, whole._validation, whole._test)


@dataclass(frozen=True, kw_only=True)
class Glance(View):
    """A view with one mistake."""

    name: ClassVar[str] = "glance"
    kind: str = "nothing"

    def forward(self, frames: Tensor) -> Tensor:
        if self.kind == "dice":
            return frames + 0 * torch.rand(1)
        return frames[0] if self.kind == "flat" else frames

    def inverse(self, frames: Tensor) -> Tensor:
        return frames[..., :-1] if self.kind == "cut" else frames / 0 if self.kind == "nan" else frames


@dataclass(frozen=True, kw_only=True)
class Oracle(Untrained):
    """A predictor with one mistake."""

    name: ClassVar[str] = "oracle"
    kind: str = "nothing"

    def build(self, shape: Shape) -> Predictor:
        if self.kind == "nothing":
            return None  # type: ignore[return-value]  # the mistake
        if self.kind == "raising":
            return lambda inputs, horizon: inputs[:, 99]
        return lambda inputs, horizon: (
            inputs[:, :2] if self.kind == "short" else inputs[:, -1:].repeat(1, horizon, 1, 1, 1) / 0
        )
