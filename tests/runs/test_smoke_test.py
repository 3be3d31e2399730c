"""The rehearsal finds what does not fit before a cell is trained, at the experiment's own length, and names the component."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trainings import cell_of, train

from harness.component import Component, Shape, setting
from harness.data.moving_mnist import MovingMnist
from harness.data.source import Source
from harness.errors import RequestError
from harness.evaluation.metrics import Metric
from harness.runs.cell import run_cell
from harness.runs.job import Job
from harness.runs.request import Request
from harness.runs.smoke_test import smoke_test
from harness.store import Store
from harness.training.terms import LossTerm

SEEN: list[tuple[int, ...]] = []
CALLS: list[None] = []


class Looks(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        SEEN.append(tuple(features.shape[:2]))
        if features.shape[1] > 4:
            raise RequestError("this component takes at most 4 frames")
        return features


@dataclass(frozen=True, kw_only=True)
class Looking(Component):
    """Sees how many frames there are."""

    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "looking"

    def build(self, channels: int) -> nn.Module:
        return Looks()


def test_it_rehearses_with_the_real_number_of_frames() -> None:
    cell, source = cell_of({"architecture.bottleneck": Looking(), "data.input_frames": 5, "data.horizon": 4})
    SEEN.clear()
    smoke_test(cell.experiment, source)
    assert set(SEEN) == {(1, 4)}


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    cell, source = cell_of({"architecture.bottleneck": Looking(), "data.horizon": 5})
    with pytest.raises(RequestError, match="at most 4 frames"):
        run_cell(cell, Store(tmp_path), source)
    assert not list(tmp_path.rglob("*.json"))


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


SEQUENCES: dict[str, Any] = {"canvas": 16, "digit_size": 7, "input_frames": 3, "horizon": 3, "test_sequences": 4}

ARCHITECTURE = "architecture=broken"
CASES: list[tuple[Component, str, str, str]] = [
    (Broken(kind="Short"), ARCHITECTURE, r"float32 tensor of shape \(1, 2, 1, 16, 16\)", r"wanted.*\(1, 3, 1, 16, 16\)"),
    (Broken(kind="Listing"), ARCHITECTURE, "a list", r"wanted.*\(1, 3, 1, 16, 16\)"),
    (Broken(kind="Half"), ARCHITECTURE, "a float16 tensor", "wanted: a float32 tensor"),
    (Broken(kind="NotFinite"), ARCHITECTURE, "is not finite", "wanted: finite"),
    (Broken(kind="NoGradient"), ARCHITECTURE, "the gradient of factor is not finite", "wanted: finite"),
    (Broken(kind="Counting"), ARCHITECTURE, "state that a checkpoint does not have", "wanted.*register_buffer"),
    (Broken(kind="Remembering"), ARCHITECTURE, "state that a checkpoint does not have", "wanted.*register_buffer"),
    (Broken(kind="PythonDice"), ARCHITECTURE, "drew from python's random", "wanted: draws from a generator"),
    (Broken(kind="NumpyDice"), ARCHITECTURE, "drew from numpy's global generator", "wanted: draws from a generator"),
    (Broken(kind="TorchDice"), ARCHITECTURE, "evaluation mode drew from torch's global generator", "wanted: draws"),
    (Broken(kind="Raising"), ARCHITECTURE, "IndexError: no such layer", ""),
    (Broken(kind="OnTheHost"), ARCHITECTURE, "build on the meta device failed with RuntimeError", ""),
    (Broken(kind="nothing"), ARCHITECTURE, "build gave a NoneType", "wanted: a torch.nn.Module"),
    (Broken(kind="dice"), ARCHITECTURE, "build.* drew from python's random", "wanted: draws from torch's generator"),
    (Wider(), "architecture.bottleneck=wider", r"gave \(1, 3, 8, 4, 8\)", r"wanted.*\(1, 3, 8, 4, 4\)"),
    (NotFiniteInside(), "architecture.bottleneck=logs", "is not finite", "wanted: finite"),
    (Paths(), "architecture.skip=paths", r"gave \(3, 5, 8, 8\)", r"wanted.*\(3, 4, 8, 8\)"),
    (Headless(), "architecture.head=headless", "gave a list", r"wanted.*\(3, 1, 4, 8, 8\)"),
    (Cells(), "architecture.cell=cells", "gave a Tensor", "wanted a tuple"),
    (Term(kind="map"), "loss=term", r"a float32 tensor of shape \(2, 3, 1, 16, 16\)", "wanted: a tensor with one number"),
    (Term(kind="number"), "loss=term", "a float", "wanted: a tensor with one number"),
    (Term(kind="nan"), "loss=term", "gave nan", "wanted: a finite number"),
    (Term(kind="detached"), "loss=term", "without a gradient", "wanted: one that trains"),
    (Term(kind="dice"), "loss=term", "drew from python's random", "wanted: draws"),
    (Term(kind="stateful"), "loss=term", "other values for the same arguments", "wanted: a function"),
    (Augment(kind="dice"), "data.augment=augment", "drew from torch's global generator", "wanted: draws"),
    (Augment(kind="cut"), "data.augment=augment", r"\(2, 5, 1, 16, 16\)", r"wanted.*\(2, 6, 1, 16, 16\)"),
    (Augment(kind="nan"), "data.augment=augment", "not finite", "wanted: intensities of 0 to 1"),
    (Augment(kind="bright"), "data.augment=augment", "intensities of 3 to", "wanted: 0 to 1"),
    (Augment(kind="in place"), "data.augment=augment", "changed the frames", "wanted: a tensor of its own"),
    (Score(kind="mean"), "metrics=score", r"a float64 tensor of shape \(2,\)", r"wanted.*\(2, 3, counts\)"),
    (Score(kind="number"), "metrics=score", "counts gave a float", r"wanted: a float64 tensor"),
    (Score(kind="float32"), "metrics=score", "counts gave a float32 tensor", r"wanted: a float64 tensor"),
    (Score(kind="nan"), "metrics=score", "finite frames are not finite", "wanted: finite numbers"),
    (Score(kind="dice"), "metrics=score", "drew from torch's global generator", "wanted: draws"),
    (Score(kind="stateful"), "metrics=score", "other values for the same arguments", "wanted: a function"),
    (Score(kind="text"), "metrics=score", r"finish gave a str \('good'\)", "wanted: a number"),
    (Clips(kind="cut", **SEQUENCES), "data=clips", r"\(1, 5, 1, 16, 16\)", r"wanted.*\(1, 6, 1, 16, 16\)"),
    (Clips(kind="bytes", **SEQUENCES), "data=clips", "a uint8 tensor", "wanted: a float32 tensor"),
    (Clips(kind="nan", **SEQUENCES), "data=clips", "not finite", "wanted: intensities of 0 to 1"),
    (Clips(kind="stateful", **SEQUENCES), "data=clips", "other values for the same arguments", "wanted: a function"),
    (Clips(kind="dice", **SEQUENCES), "data=clips", "drew from python's random", "wanted: draws"),
    (Horizons(), "training.curriculum=horizons", r"gave 0\.0", "wanted: a whole number of frames, 1 to 3"),
    (Rates(), "training.schedule=rates", "gave 1.0", "wanted: finite numbers by name"),
    (Feeds(), "training.feeding=feeds", "drew from torch's global generator", "wanted: draws"),
    (Optimizer(kind="hidden"), "training.optimizer=optimizer", "a step after resuming differs", "wanted: all of it there"),
    (Optimizer(kind="none"), "training.optimizer=optimizer", "build gave a NoneType", "wanted: a torch.optim.Optimizer"),
    (Average(), "training.average=average", "an update after resuming differs", "wanted: all state in state_dict"),
]


@pytest.mark.parametrize(("component", "name", "came", "wanted"), CASES, ids=lambda one: getattr(one, "kind", None))
def test_a_broken_component_is_named_with_what_it_gave_and_what_is_wanted(
    component: Component, name: str, came: str, wanted: str, tmp_path: Path
) -> None:
    many = component.slot in ("loss", "data.augment", "metrics")
    path = f"{component.slot}.{component.name}" if many else component.slot
    cell, source = cell_of({path: component})
    with pytest.raises(RequestError) as caught:
        run_cell(cell, Store(tmp_path), source)
    text = str(caught.value)
    assert "\n" not in text
    assert name in text

    assert re.search(came, text), text
    assert re.search(wanted, text), text
    assert not list(tmp_path.rglob("*.json"))


def test_what_draws_in_training_mode_alone_passes() -> None:
    smoke_test(*_of(cell_of({"architecture": Broken(kind="Dropping")})))


def _of(pair: Any) -> tuple[Any, Any]:
    return pair[0].experiment, pair[1]


def test_it_changes_no_random_state_and_no_result(tmp_path: Path) -> None:
    cell, source = cell_of()
    before = random.getstate(), np.random.get_state(legacy=True)[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    smoke_test(cell.experiment, source)
    after = random.getstate(), np.random.get_state(legacy=True)[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    assert after == before
    rehearsed, _ = train(cell, source, tmp_path / "one")
    cell, source = cell_of()
    plain, _ = train(cell, source, tmp_path / "two")
    assert rehearsed["checkpoint_sha256"] == plain["checkpoint_sha256"]


@pytest.mark.parametrize(
    "settings",
    [
        {"training.optimizer": "muon", "training.average": "ema", "data.augment": "noise,rotate,flip"},
        {"architecture": "predrnn-v2(layers=2,hidden=4,kernel=3,patch=2)", "training.feeding": "scheduled-sampling"},
        {"architecture": "simvp(hidden=4,translator_width=16,blocks=2,expansion=2)", "training.optimizer": "lion"},
        {"architecture.cell": "convgru", "training.optimizer": "sgd", "loss": "bce,temporal-difference", "loss.mae": 1},
        {"training.freeze": "encoder.*", "training.curriculum": "growing-horizon", "training.batch_size": 1},
    ],
    ids=lambda one: next(iter(one.values())),
)
def test_built_in_components_pass(settings: dict[str, object]) -> None:
    smoke_test(*_of(cell_of(settings)))


PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from harness.component import Component
from harness.variant import Variant

@dataclass(frozen=True, kw_only=True)
class Mine(Component):
    """Divides by zero."""
    slot: ClassVar[str] = "architecture.bottleneck"
    name: ClassVar[str] = "mine"

    def build(self, channels):
        return 1 / 0

MINE = Variant(name="mine", summary="wrong", source="made up", changes={"architecture.bottleneck": Mine()})
'''


def test_a_broken_plugin_is_named_by_its_file_and_stops_no_other(tmp_path: Path, quick: None) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN)
    request = Request(preset="tiny")
    jobs = [Job(request=request, variant=one, seed=0, store=tmp_path / "s", plugins=(plugin,)) for one in ("mine", "base")]
    broken, fine = (job.run() for job in jobs)
    assert broken.error is not None
    assert broken.error.startswith(f"architecture.bottleneck=mine ({plugin})")
    assert "ZeroDivisionError" in broken.error
    assert fine.error is None
