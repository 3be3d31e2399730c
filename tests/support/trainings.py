"""Trainings at preset tiny that tests watch, disturb and compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.component import Component
from harness.data.source import Source
from harness.options import RunOptions
from harness.runs.request import Request
from harness.store import Cell, Store, Training
from harness.system.progress import Silent, Status
from harness.training import loop
from harness.variant import Variants

CPU = torch.device("cpu")
INSTALLED = Variants(third_party=False)


def cell_of(
    changes: dict[str, object] | None = None, variant: str = "base", source: Source | None = None
) -> tuple[Cell, Source]:
    return Request(preset="tiny", settings=changes).cell(INSTALLED, variant, source=source)


@dataclass
class Watched(Silent):
    """Keeps what a training tells; may act on it."""

    act: Callable[[Status], None] = lambda status: None
    statuses: list[Status] = field(default_factory=list)

    def update(self, status: Status) -> None:
        self.statuses.append(status)
        self.act(status)


@dataclass
class Notes(Silent):
    """Keeps what the user is told."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


def train(cell: Cell, source: Source, root: Path, **options: Any) -> tuple[dict[str, Any], Training]:
    folder = Store(root).training(cell)
    folder.write("experiment.json", cell.record())
    progress = options.pop("progress", Silent())
    return loop.fit(cell.experiment, source, folder, CPU, progress, RunOptions(**options)), folder


class Data:
    """A source whose training batches can be looked at and replaced."""

    def __init__(self, source: Source, on_batch: Callable[[int, int, Tensor], Tensor | None]) -> None:
        self._source, self._on_batch = source, on_batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def train_batch(self, seed: int, step: int, batch_size: int, horizon: int, device: torch.device) -> Tensor:
        batch = self._source.train_batch(seed, step, batch_size, horizon, device)
        changed = self._on_batch(step, horizon, batch)
        return batch if changed is None else changed


@dataclass(frozen=True, kw_only=True)
class Noisy(Component):
    """A component that draws as it runs, counts as it runs, and ties weights."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "noisy"

    def build(self, channels: int) -> nn.Module:
        return NoisyModule(channels)


class NoisyModule(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.second.weight = self.first.weight
        self.norm, self.drop = nn.BatchNorm2d(channels), nn.Dropout(0.3)

    def forward(self, features: Tensor) -> Tensor:
        mixed = self.second(self.first(features.movedim(2, -1)).tanh()).movedim(-1, 2)
        return features + self.drop(self.norm(mixed.flatten(0, 1))).view_as(features)


def essence(folder: Training) -> tuple[dict[str, Tensor], dict[int, Any], dict[str, Any]]:
    """All that a training leaves apart from times: tensors of both checkpoints, validations by step, the state."""
    tensors = {f"{path.name}/{name}": t for path in folder.path.glob("*.safetensors") for name, t in load_file(path).items()}
    validations = {line["step"]: line["validation"] for line in folder.lines("metrics.jsonl") if "validation" in line}
    with safe_open(folder.path / "last.safetensors", framework="pt") as file:
        state = json.loads(file.metadata()["state"])
    timing = ("seconds", "warm_up_seconds", "waited", "sequences_timed", "steps_here")
    return tensors, validations, {key: value for key, value in state.items() if key not in timing}


def assert_same_training(one: Training, other: Training) -> None:
    (tensors, validations, state), (other_tensors, other_validations, other_state) = essence(one), essence(other)
    assert tensors.keys() == other_tensors.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], other_tensors[name])] == []
    assert validations == other_validations
    assert state == other_state


def poison(*steps: int) -> Callable[[int, int, Tensor], Tensor | None]:
    return lambda step, horizon, batch: batch * float("nan") if step in steps else None


class PowerCut(Exception):
    """Nothing of the process is left."""


def cut_at(step: int, source: Source) -> Any:
    def on_batch(now: int, horizon: int, batch: Tensor) -> None:
        if now == step:
            raise PowerCut

    return Data(source, on_batch)


@dataclass
class Taken:
    """One step that the optimizer took."""

    rate: float
    beta1: float
    gradient_norm: float
    before: list[Tensor]
    after: list[Tensor]


def switches() -> tuple[Any, ...]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.mkldnn.matmul.fp32_precision,
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    )
