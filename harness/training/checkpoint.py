"""A training's state on disk: one safetensors file with tensors and, in its header, numbers as JSON. Nothing is pickled.

What a checkpoint holds is asked of the objects. Anything with `state_dict` and `load_state_dict`, of tensors and JSON values
by name, has its tensors in the file as `<part>.<key>` and its other values in the header's "values" under the same names:
`model.<name>`, `optimizer.<key>.<parameter>`, `average.<name>`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from harness.component import Shape
from harness.errors import HarnessError
from harness.experiment import Experiment
from harness.model.build import build_model
from harness.store import DamagedRecord, Training
from harness.system import files
from harness.system.devices import keep_freed_memory, out_of_memory
from harness.training.distributed import Distributed

LAST = "last.safetensors"
_UNREADABLE = (SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError)


class Stateful(Protocol):
    """What is saved beside the model and the optimizer, such as an average of the weights."""

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors and JSON values by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any:
        """Restores what `state_dict` returned; tensors are on the host."""
        ...


@dataclass
class State:
    """Where a training stands, besides what its parts keep. Times in seconds.

    `waited` is the part of all seconds in which a step waited for its batch; `scale` is the loss scale of float16; `validated` and
    `last_ssim` are the last validation's step and SSIM; `best_ssim` and `best_selected` are the SSIM and the selecting metric
    (`training.select`) at `best_step`; `steps_here` counts the steps of this process.
    """

    step: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
    sequences_timed: int = 0
    warm_up_seconds: float = 0.0
    waited: float = 0.0
    best_step: int | None = None
    best_ssim: float | None = None
    best_selected: float | None = None
    validations_without_gain: int = 0
    scale: float = 2.0**16
    validated: int = 0
    last_ssim: float | None = None
    steps_here: int = 0

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> State:
        """The state that a checkpoint's header holds. Raises ValueError or TypeError for anything else."""
        state = cls(**saved)
        for name, value in vars(state).items():
            if value is None and name in ("best_step", "best_ssim", "best_selected", "last_ssim"):
                continue
            real = name in ("seconds", "warm_up_seconds", "waited", "best_ssim", "best_selected", "last_ssim", "scale")
            if isinstance(value, bool) or not isinstance(value, int | float if real else int):
                raise TypeError(f"its {name} is not a number")
            lowest = {"best_ssim": -1, "last_ssim": -1, "best_selected": -(2**62)}.get(name, 0)
            if not lowest <= value <= 2**62:  # NaN is not between them either
                raise ValueError(f"its {name} is out of range")
        return state

    @property
    def sequences_per_second(self) -> float | None:
        """Training throughput without warm-up and evaluation."""
        return self.sequences_timed / self.seconds if self.seconds > 0 else None

    def follow(self, distributed: Distributed) -> None:
        """Takes rank 0's state: its clock and its validations count."""
        if distributed.count > 1:
            self.__dict__.update(json.loads(distributed.broadcast(json.dumps(dataclasses.asdict(self)))))


class OptimizerState:
    """An optimizer's state by `<key>.<parameter name>`, and the numbers of its groups as "groups"."""

    def __init__(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        self.optimizer = optimizer
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._names = [names[id(parameter)] for parameter in self._parameters]

    def state_dict(self) -> dict[str, Any]:
        """What the optimizer answers."""
        asked = self.optimizer.state_dict()
        found = {f"{key}.{self._names[at]}": value for at, kept in asked["state"].items() for key, value in kept.items()}
        groups = [_numbers(group) for group in asked["param_groups"]]
        return {**found, "groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Hands the state back to the optimizer. Raises ValueError for parameters or groups that it does not have."""
        at = {name: index for index, name in enumerate(self._names)}
        state: dict[int, dict[str, Any]] = {}
        for path, value in saved.items():
            key, _, name = path.partition(".")
            if path == "groups":
                continue
            if name not in at:
                raise ValueError(f"it has {'optimizer.' + path[:80]!r}, which the network does not have")
            state.setdefault(at[name], {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        for group, values in zip(groups, saved.get("groups", [{}] * len(groups)), strict=True):
            group.update({key: tuple(one) if isinstance(one, list) else one for key, one in _numbers(values).items()})
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        # torch knows where a "step" belongs, but casts all else to the parameter's type, and a text to nonsense.
        for index, kept in state.items():
            parameter = self._parameters[index]
            for key, value in kept.items():
                if isinstance(value, Tensor) and key != "step":
                    like = parameter if value.shape == parameter.shape else value
                    value = torch.empty_like(like, dtype=value.dtype, device=parameter.device).copy_(value)
                if key != "step":
                    self.optimizer.state[parameter][key] = value


def _numbers(group: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers and tuples of numbers among a group's values. Switches belong to the device, not to the state."""

    def numeric(value: object) -> bool:
        if isinstance(value, tuple | list):
            return all(map(numeric, value))
        return isinstance(value, int | float) and not isinstance(value, bool)

    return {key: value for key, value in group.items() if key != "params" and numeric(value)}


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's parameters and buffers by name."""
    return {name: _copy(tensor) for name, tensor in model.state_dict().items()}


def _copy(tensor: Tensor) -> Tensor:
    # safetensors refuses memory that two names share, as tied weights do.
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _parts(model: nn.Module, optimizer: torch.optim.Optimizer, more: Mapping[str, Stateful]) -> dict[str, Stateful]:
    return {"model": model, "optimizer": OptimizerState(optimizer, model), **more}


def best_name(step: int) -> str:
    """The file of the best checkpoint, of a validation at `step`."""
    return f"best-{step:08d}.safetensors"


def write_best(folder: Training, model: nn.Module, step: int) -> None:
    """Writes the weights as the best so far."""
    folder.write_checkpoint(best_name(step), save(weights(model)), {"step": str(step)})


def save_checkpoint(
    folder: Training,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    more: Mapping[str, Stateful] | None = None,
) -> None:
    """Writes last.safetensors: weights, the optimizer's state and `more` by name. One file, so it cannot be half new.

    Raises HarnessError when a part keeps what is neither a tensor nor a JSON value.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for part, holder in _parts(model, optimizer, more or {}).items():
        for key, value in holder.state_dict().items():
            (tensors if isinstance(value, Tensor) else values)[f"{part}.{key}"] = value
    try:
        header = {"state": json.dumps(dataclasses.asdict(state)), "values": json.dumps(values)}
    except (TypeError, ValueError) as error:
        raise HarnessError(
            f"cannot save the training's state: {error}; an optimizer or component may keep tensors, numbers and text by name"
        ) from error
    folder.sync("metrics.jsonl")  # what the state is known to have measured
    content = save({name: _copy(tensor) for name, tensor in tensors.items()})
    folder.write_checkpoint(LAST, content, header)
    # Nobody needs an older best checkpoint from now on.
    files.discard(
        old
        for old in folder.path.glob("best-*.safetensors")
        if state.best_step is None or old.name != best_name(state.best_step)
    )


def resume(
    folder: Training,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    more: Mapping[str, Stateful] | None = None,
) -> State:
    """Restores model, optimizer and `more` from last.safetensors; returns a fresh state when there is none.

    Raises DamagedRecord when the file is truncated, belongs to another training or does not fit.
    """
    path = folder.path / LAST
    if not path.exists():
        return State()
    parts = _parts(model, optimizer, more or {})
    try:
        header = folder.check_checkpoint(path.name)
        saved = json.loads(header["state"])
        state = State.from_dict(
            {"validated": saved["step"], "last_ssim": saved["best_ssim"], "best_selected": saved["best_ssim"]} | saved
        )  # older ones have none of them
        _check_shapes(path, {f"model.{name}": tensor.shape for name, tensor in model.state_dict().items()}, parts)
        found: dict[str, Any] = {**load_file(path), **json.loads(header.get("values", "{}"))}
        for part, holder in parts.items():
            holder.load_state_dict({key: found[f"{part}.{key}"] for key in _keys(found, part)})
        if state.best_step is not None:
            folder.check_checkpoint(best_name(state.best_step))
    except DamagedRecord:
        raise
    except _UNREADABLE as error:
        if out_of_memory(error):  # the file may be whole
            raise
        raise DamagedRecord(
            f"{path} cannot be resumed ({_first_line(error)}); the run's command sets it aside and trains from the start"
        ) from error
    state.steps_here = 0
    return state


def _keys(names: Mapping[str, Any], part: str) -> list[str]:
    return [name.removeprefix(f"{part}.") for name in names if name.startswith(f"{part}.")]


def load_model(experiment: Experiment, shape: Shape, path: Path, device: torch.device) -> nn.Module:
    """The trained network of a checkpoint, in evaluation mode. Raises DamagedRecord when the file does not fit."""
    try:
        with torch.device("meta"):  # an architecture that the file does not hold is not even built
            shapes = build_model(experiment.architecture, shape, 0).state_dict()
        _check_shapes(path, {name: tensor.shape for name, tensor in shapes.items()})
        model = build_model(experiment.architecture, shape, experiment.training.seed)
        model.load_state_dict(load_file(path))
    except _UNREADABLE as error:
        if out_of_memory(error):  # as above
            raise
        raise DamagedRecord(f"{path} does not hold this experiment's network: {_first_line(error)}") from error
    return on_device(model, device).eval()


def on_device(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on the device, in the memory format that is fastest there.

    NHWC on a GPU. On the CPU NCHW, or NHWC where the network has `nhwc_on_cpu = True`: it makes dense convolutions faster, and
    normalisation and depthwise convolutions slower.
    """
    if device.type == "cpu":
        keep_freed_memory()
    model = model.to(device)
    nhwc = device.type == "cuda" or getattr(model, "nhwc_on_cpu", False)
    return model.to(memory_format=torch.channels_last) if nhwc else model  # type: ignore[call-overload]  # torch's stub


def _check_shapes(path: Path, needed: Mapping[str, torch.Size], parts: Mapping[str, Stateful] | None = None) -> None:
    """Compares a checkpoint's table with what is needed of it, before it is read. Raises ValueError, SafetensorError.

    Other tensors are refused, unless they belong to one of the parts, which check what they are given.
    """
    with safe_open(path, framework="pt") as file:
        found = {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping
    for name in needed.keys() - found.keys():
        raise ValueError(f"it has no {name}")
    for name, shape in found.items():
        part = name.partition(".")[0]
        if name not in needed and (part == "model" or part not in (parts or {})):
            raise ValueError(f"it has {name[:80]!r}, which the network does not have")
        if name in needed and shape != needed[name]:
            raise ValueError(f"its {name} is of shape {tuple(shape)}, the network's of {tuple(needed[name])}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
