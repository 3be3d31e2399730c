"""A checkpoint holds what its objects say they keep, whatever they are, and gives it back bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.store import DamagedRecord, Training
from harness.training import checkpoint
from harness.training.checkpoint import State, resume, save_checkpoint


class Counted(torch.optim.Optimizer):
    """Third-party-like: state of every kind, tensors that are not float, and a number that it keeps in its group."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1, "betas": (0.9, 0.99), "total": 0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            group["total"] += 1
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state |= {"calls": 0, "size": 1.0, "active": True, "how": "plain", "last": None}
                    state["signs"] = torch.zeros(parameter.shape, dtype=torch.int32)
                    state["precise"] = torch.zeros((), dtype=torch.float64)
                state["calls"] += 1
                state["size"] = state["size"] * 0.9 + parameter.grad.norm().item() / 3
                state["signs"] += parameter.grad.sign().int()
                state["precise"] += parameter.grad.double().mean()
                assert state["how"] == "plain"
                assert state["active"] is True
                scale = group["lr"] * state["size"] / (state["calls"] + group["total"])
                parameter -= scale * (parameter.grad + state["signs"] * state["precise"])


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "sgd-momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5, centered=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, amsgrad=True),
    "nadam": lambda parameters: torch.optim.NAdam(parameters, lr=0.01),
    "adafactor": lambda parameters: torch.optim.Adafactor(parameters, lr=0.01),
    "counted": Counted,
}


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def advance(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.param_groups[0]["lr"] = 0.01 / (step + 1)
        optimizer.step()


@pytest.fixture
def folder(tmp_path: Path) -> Training:
    folder = Training(tmp_path / "trainings" / ("a" * 16))
    folder.write("experiment.json", {})
    folder.append("metrics.jsonl", {})
    return folder


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_any_optimizer_resumes_bit_for_bit(name: str, folder: Training) -> None:
    model = network()
    optimizer = OPTIMIZERS[name](model.parameters())
    advance(model, optimizer, range(4))
    save_checkpoint(folder, model, optimizer, State(step=4))
    saved = optimizer.state_dict()["state"]
    advance(model, optimizer, range(4, 8))

    other = network()
    resumed = OPTIMIZERS[name](other.parameters())
    assert resume(folder, other, resumed).step == 4
    found = resumed.state_dict()["state"]
    assert found.keys() == saved.keys()
    for index in saved:
        assert {key: type(value) for key, value in found[index].items()} == {
            key: type(value) for key, value in saved[index].items()
        }
        for key, value in found[index].items():
            if isinstance(value, Tensor):
                assert value.dtype == saved[index][key].dtype, key
    advance(other, resumed, range(4, 8))
    for (key, one), two in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two), key
    assert b"pickle" not in (folder.path / checkpoint.LAST).read_bytes()


def test_names_are_those_of_the_parameters(folder: Training) -> None:
    model = network()
    optimizer = OPTIMIZERS["adamw"](reversed(list(model.parameters())))  # in an order of its own
    advance(model, optimizer, range(1))
    save_checkpoint(folder, model, optimizer, State(step=1))
    tensors = load_file(folder.path / checkpoint.LAST)
    assert tensors["optimizer.exp_avg.0.weight"].shape == (4, 3)
    assert tensors["optimizer.step.2.bias"].shape == ()


def test_a_checkpoint_of_earlier_versions_resumes(folder: Training) -> None:
    """Without values in its header: AdamW's tensors under the names that they have today."""
    model = network()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    advance(model, optimizer, range(2))
    save_checkpoint(folder, model, optimizer, State(step=2))
    with safe_open(folder.path / checkpoint.LAST, framework="pt") as file:
        header = {"state": file.metadata()["state"]}
    content = (folder.path / checkpoint.LAST).read_bytes()
    folder.write_checkpoint(checkpoint.LAST, content, header)
    advance(model, optimizer, range(2, 4))
    other = network()
    resumed = OPTIMIZERS["adamw"](other.parameters())
    assert resume(folder, other, resumed).step == 2
    advance(other, resumed, range(2, 4))
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), other.parameters(), strict=True))


class Average:
    """Like an average of weights: tensors, and how many were averaged."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.count, self.decay = model, 0, 0.5
        self.mean = {name: torch.zeros_like(one) for name, one in model.named_parameters()}

    def update(self) -> None:
        self.count += 1
        for name, one in self.model.named_parameters():
            self.mean[name] = self.mean[name] * self.decay + one.detach() * (1 - self.decay)

    def state_dict(self) -> Mapping[str, Any]:
        return {**self.mean, "count": self.count}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        self.count = state_dict["count"]
        self.mean = {name: state_dict[name] for name in self.mean}


def test_whatever_keeps_a_state_is_saved_under_its_name(folder: Training) -> None:
    model = network()
    optimizer, average = OPTIMIZERS["sgd"](model.parameters()), Average(model)
    for step in range(3):
        advance(model, optimizer, range(step, step + 1))
        average.update()
    save_checkpoint(folder, model, optimizer, State(step=3), {"average": average})
    assert "average.0.weight" in load_file(folder.path / checkpoint.LAST)
    other = network()
    resumed = Average(other)
    resume(folder, other, OPTIMIZERS["sgd"](other.parameters()), {"average": resumed})
    assert resumed.count == 3
    assert all(torch.equal(average.mean[name], resumed.mean[name]) for name in average.mean)
    with pytest.raises(DamagedRecord, match=r"'average\.0\.bias', which the network does not have"):
        resume(folder, other, OPTIMIZERS["sgd"](other.parameters()))


def test_a_state_that_json_cannot_hold_is_refused_before_anything_is_written(folder: Training) -> None:
    class Odd(Average):
        def state_dict(self) -> Mapping[str, Any]:
            return {"made": object()}

    model = network()
    with pytest.raises(HarnessError, match=r"cannot save the training's state: .*object.*tensors, numbers and text"):
        save_checkpoint(folder, model, OPTIMIZERS["sgd"](model.parameters()), State(), {"average": Odd(model)})
    assert not (folder.path / checkpoint.LAST).exists()


def test_another_optimizers_state_is_refused(folder: Training) -> None:
    model = network()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    advance(model, optimizer, range(1))
    save_checkpoint(folder, model, optimizer, State(step=1))
    split = torch.optim.AdamW([{"params": model[0].parameters()}, {"params": model[2].parameters()}])  # type: ignore[index]
    with pytest.raises(DamagedRecord, match="cannot be resumed"):
        resume(folder, model, split)


def test_the_header_is_json(folder: Training) -> None:
    model = network()
    optimizer = Counted(model.parameters())
    advance(model, optimizer, range(2))
    save_checkpoint(folder, model, optimizer, State(step=2))
    header = folder.check_checkpoint(checkpoint.LAST)
    values = json.loads(header["values"])
    assert values["optimizer.calls.0.weight"] == 2
    assert values["optimizer.groups"] == [{"lr": 0.005, "betas": [0.9, 0.99], "total": 2}]
    assert isinstance(values["optimizer.size.0.weight"], float)
