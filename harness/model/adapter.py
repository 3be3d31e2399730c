"""Any torch module's class as a component of the slot `architecture`, in one line."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from torch import Tensor, nn

from harness.component import Component, Shape, setting
from harness.errors import RequestError

SHAPE = tuple(f.name for f in dataclasses.fields(Shape))
"""Parameters of a constructor that get what the frames are: channels, height, width, input_frames, horizon."""


class _WithHorizon(nn.Module):
    """Calls a network that always predicts the same number of frames, and gives as many of them as are asked for."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames_BTCHW: Tensor, horizon: int) -> Tensor:
        """(B, T, C, H, W) -> (B, horizon, C, H, W)."""
        found: Tensor = self.network(frames_BTCHW)
        return found[:, :horizon]


def adapted(network: type[nn.Module], name: str, *, revision: int | None = None) -> type[Component]:
    """A component of the slot `architecture` that builds this class of networks. Assign it to a name of your plugin's module.

        Mine = harness.adapted(MyNetwork, "mine")      # --plugin mine.py --set "architecture=mine(hidden=64)"

    Parameters of its constructor that are called channels, height, width, input_frames or horizon get what the frames are; every
    other one has a default (a number, text or a truth value) and becomes a setting. Its `forward` takes frames (B, T, C, H, W) in
    [0, 1] and, where it has a parameter `horizon`, that; it gives (B, horizon, C, H, W), or more frames.

    Args:
        name: what `--set architecture=` calls it.
        revision: to be raised when the class computes something else: its code is in no key. By default the class's own attribute
            `revision`, or 1; a class of a notebook must have one.

    Raises RequestError for a parameter without a default, or with another kind of value.
    """
    parameters = list(inspect.signature(network).parameters.values())
    fields: list[tuple[str, type, Any]] = []
    for one in parameters:
        if one.name in SHAPE or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        if not isinstance(one.default, bool | int | float | str):
            raise RequestError(
                f"{network.__name__} has the parameter {one.name!r}, which is none of {', '.join(SHAPE)} and has no default that "
                "is a number, text or a truth value; give it one, or write a component (docs/ideas.md)"
            )
        fields.append((one.name, type(one.default), setting(one.default, f"{one.name} of {network.__name__}")))
    wanted = [one.name for one in parameters if one.name in SHAPE]
    takes_horizon = "horizon" in inspect.signature(network.forward).parameters

    def build(self: Component, shape: Shape, seed: int) -> nn.Module:
        """The network for frames of this shape."""
        made = network(**self.settings, **{each: getattr(shape, each) for each in wanted})
        return made if takes_horizon else _WithHorizon(made)

    methods: dict[str, Any] = {"slot": "architecture", "name": name, "build": build}
    if (declared := revision or vars(network).get("revision")) is not None:
        methods["revision"] = declared
    kind = dataclasses.make_dataclass(
        network.__name__, fields, bases=(Component,), namespace=methods, frozen=True, kw_only=True
    )
    kind.__module__, kind.__doc__ = network.__module__, inspect.getdoc(network) or f"The network {network.__name__}."
    return kind
