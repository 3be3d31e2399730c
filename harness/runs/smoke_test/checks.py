"""What is tried, and the checks that every part of it shares."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.component import Component
from harness.data.source import Source
from harness.errors import RequestError
from harness.experiment import Experiment
from harness.notation import shown
from harness.runs.blame import calling, who
from harness.system.seeds import derived_seed
from harness.training.checkpoint import Stateful

SEQUENCES = 2
"""In the batch that is tried, or as many as a batch has. A network gets one, or two where it normalises by batch."""


class Setup:
    """The experiment, its data, and the sizes at which it is tried."""

    def __init__(self, experiment: Experiment, source: Source) -> None:
        self.experiment, self.source, self.training = experiment, source, experiment.training
        self.architecture: Component = experiment.architecture
        self.shown, self.horizon = experiment.data.input_frames, experiment.data.horizon
        self.size = min(SEQUENCES, self.training.batch_size)

    def filled(self, frames: Tensor) -> Tensor:
        """The frames with what stands for missing values."""
        return frames if self.source.fill is None else self.source.fill(frames)

    def draw_feeding(self) -> Any:
        """What the feeding draws for a batch of this size at the beginning of the budget."""
        generator = torch.Generator().manual_seed(derived_seed(self.training.seed, "feeding/0"))
        return self.training.feeding.draw(self.size, self.shown, self.horizon, 0.0, generator)

    def fed(self, frames: Tensor) -> Tensor | None:
        """Which frames of the truth the network reads; None without feeding."""
        return None if self.training.feeding is None else self.draw_feeding()[: len(frames)]


def same_twice(experiment: Experiment, component: Component, method: str, call: Callable[[], Any]) -> Any:
    """What a call gives. Raises RequestError when it gives something else the second time."""
    with calling(experiment, component, method):
        first, second = call(), call()
    if not same({"": first}, {"": second}):
        raise RequestError(
            f"{who(component)}: {method} gave other values for the same arguments; wanted: a function of its arguments alone"
        )
    return first


def kept(component: Component, holder: Stateful | nn.Module) -> dict[str, Any]:
    """What a checkpoint would hold of it."""
    state = holder.state_dict()
    tensors = {name: value.detach().clone() for name, value in state.items() if isinstance(value, Tensor)}
    try:
        values = json.loads(json.dumps({name: value for name, value in state.items() if not isinstance(value, Tensor)}))
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"{who(component)}: its state cannot be saved ({error}); wanted: tensors and JSON values"
        ) from None
    return {**tensors, **values}


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether all of it is equal, bit for bit; what is missing (NaN) counts as 0."""

    def equal(one: Any, other: Any) -> bool:
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return one.dtype == other.dtype and torch.equal(one.nan_to_num(), other.nan_to_num())
        return bool(one == other)

    return first.keys() == second.keys() and all(equal(first[name], second[name]) for name in first)


def check_frames(component: Component, what: str, frames: object, wanted: tuple[int, ...]) -> None:
    """Raises RequestError for anything but finite float32 frames of that shape."""
    check_kind(component, what, frames, wanted)
    if isinstance(frames, Tensor) and not frames.isfinite().all():
        raise RequestError(f"{who(component)}: {what} has values that are not finite; wanted: intensities of 0 to 1")


def check_kind(component: Component, what: str, found: object, wanted: tuple[int, ...]) -> None:
    """Raises RequestError for anything but a float32 tensor of that shape."""
    if not isinstance(found, Tensor) or tuple(found.shape) != wanted or found.dtype != torch.float32:
        raise RequestError(f"{who(component)}: {what} gave {described(found)}; wanted: a float32 tensor of shape {wanted}")


def described(value: object) -> str:
    """What was given, in words."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    kind = type(value).__name__
    return f"a {kind} ({shown(value)})" if isinstance(value, int | float | str) else f"a {kind}"


def finite_number(value: object) -> bool:
    """Whether it is one; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
