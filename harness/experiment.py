"""What is trained and how it is judged: a tree of named components, documented where they are declared.

An `Experiment` holds everything that can change a result and nothing else: no device, no path of the store, no
progress bar. This module does not import torch, so that `harness list` and cached runs answer at once.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.changes import RENAMED, changed, changed_terms, check_field, in_todays_paths, unknown_setting
from harness.component import (
    EVALUATION,
    Component,
    Find,
    Node,
    check_component,
    coerce,
    field_of,
    hints,
    is_slot,
    setting,
    slot_field,
    value_of,
)
from harness.errors import RequestError
from harness.notation import shown
from harness.tree import identity_of, record_of
from harness.views import PLAIN

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
MOST = 10**9
"""Counts beyond this are a slip of the keyboard."""
BUDGETS = ("steps", "epochs", "seconds")


@dataclass(frozen=True, kw_only=True)
class Training(Node):
    """The optimizer, its schedule and its budget. Exactly one of steps, epochs and seconds is set."""

    where: ClassVar[str] = "training"
    seed: int = setting(0, "seed of initialisation and of the training sequences", at_least=0, at_most=2**31 - 1)
    data_order: int = setting(
        0, "another number: the same initialisation, other training sequences", at_least=0, at_most=2**31 - 1, neutral=0
    )
    batch_size: int = setting(32, "sequences a step", at_least=1, at_most=65536)
    steps: int | None = setting(None, "budget in optimizer steps", at_least=1, at_most=MOST)
    epochs: float | None = setting(None, "budget in passes over the training sequences", above=0, at_most=1e6)
    seconds: float | None = setting(None, "budget in seconds of training, evaluation not counted", above=0)
    clip_norm: float = setting(1.0, "largest norm of the gradient; 0 switches clipping off", at_least=0)
    precision: str = setting(
        "auto",
        "arithmetic of the network: float32, bfloat16, float16, or auto (16 bits where the device has instructions for it)",
        choices=PRECISIONS,
    )
    validate_every: int = setting(500, "steps between validations", at_least=1, at_most=MOST)
    patience: int = setting(
        0, "validations without a better selected metric before stopping; 0: never stop early", at_least=0, at_most=MOST
    )
    select: str = setting(
        "ssim", "the metric that selects the checkpoint: a built-in one, or one of metrics", neutral="ssim"
    )
    max_skipped: int = setting(
        25, "steps in a row with a non-finite loss or gradient before the run stops", at_least=0, at_most=MOST
    )
    optimizer: Any = slot_field(None, "slot: makes the optimizer of the network's parameters")
    schedule: Any = slot_field(None, "slot: the learning rate over the budget")
    average: Any = slot_field(None, "slot: an average of the weights, which is validated and tested", neutral=None)
    curriculum: Any = slot_field(None, "slot: the horizon as a function of progress", neutral=None)
    feeding: Any = slot_field(None, "slot: whether truth or prediction is fed, for networks that feed back", neutral=None)
    start: Any = slot_field(None, "slot: where the initial weights come from", neutral=None)
    freeze: tuple[str, ...] = setting(
        (), "patterns of parameters that are not trained, such as encoder.*; empty: none", neutral=()
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            what = "no budget is set" if not given else f"training.{' and training.'.join(given)} are both set"
            raise RequestError(f"{what}; set exactly one of training.steps, training.epochs, training.seconds")
        for name in ("optimizer", "schedule"):
            if getattr(self, name) is None:
                raise RequestError(f"training.{name} is empty; choose one, see `harness list components`")


@dataclass(frozen=True, kw_only=True)
class Inference(Node):
    """How a prediction is made from a trained model."""

    where: ClassVar[str] = "inference"
    views: tuple[Any, ...] = slot_field(
        PLAIN, "slots: views of the input whose predictions, transformed back, are averaged", many=True, ordered=True
    )
    predictor: Any = slot_field(None, "slot: what predicts in place of the network; nothing is trained then", neutral=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.views:
            raise RequestError("inference.views is empty; name at least one view, such as identity")
        if self.predictor is not None and self.views != PLAIN:
            raise RequestError(
                "inference.views are of the network, which inference.predictor replaces; leave one of them out"
            )


NEUTRAL: dict[str, Any] = {
    f"{section.where}.{f.name}": record_of(f.metadata["neutral"])
    for section in (Training, Inference)
    for f in dataclasses.fields(section)
    if f.metadata["neutral"] is not dataclasses.MISSING
}
"""Settings that records from before them lack, at the value that changes nothing, as records have it."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Node):
    """Everything that can change a result."""

    data: Any = slot_field(None, "slot: where sequences come from")
    architecture: Any = slot_field(None, "slot: the network")
    loss: tuple[Any, ...] = slot_field((), "slots: the terms of the training loss, which add up", many=True)
    training: Training
    inference: Inference = Inference()
    metrics: tuple[Any, ...] = slot_field((), "slots: metrics beside the built-in ones", many=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("data", "architecture"):
            if getattr(self, name) is None:
                raise RequestError(f"{name} is empty; choose one, see `harness list components`")
        if not self.loss:
            raise RequestError("the loss has no term with a weight; set at least one, such as loss.mse=1")
        if all(term.start or term.ramp for term in self.loss):
            raise RequestError(
                f"every term of the loss ({', '.join(term.name for term in self.loss)}) starts later or rises from 0, so nothing "
                "is trained at first; set start and ramp of one term to 0"
            )

    def replace(self, changes: Mapping[str, object], find: Find | None = None) -> Experiment:
        """A copy with the values at config paths ('training.optimizer.lr') replaced; all of them at once, then checked.

        Values are plain ones, components or their text. Setting one budget (steps, epochs, seconds) clears the others.

        Args:
            find: (slot, name) -> the component's class; the installed ones if not given.

        Raises RequestError for an unknown path, component or field, or a value of the wrong type or range.

        >>> from harness.presets import preset
        >>> changed = preset("tiny").replace({"architecture.bottleneck": "attention(heads=2)", "loss.ssim": 0.5})
        >>> changed.get("architecture.bottleneck.heads"), changed.get("loss.ssim.weight"), changed.get("data.canvas")
        (2, 0.5, 16)
        """
        if find is None:
            from harness.registry import components

            find = components().find
        current: dict[str, object] = {}
        for path, value in changes.items():
            for new, one in in_todays_paths(path, value):
                if new in current:
                    raise RequestError(f"{path} sets {new}, which is set as well; give one of them")
                current[new] = one
        if any(current.get(f"training.{name}") is not None for name in BUDGETS):
            current = {f"training.{name}": None for name in BUDGETS} | current
        made: Experiment = changed(self, "", current, find)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; see `harness.component.record_of`."""
        return dict(record_of(self))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], find: Find | None = None) -> Experiment:
        """The inverse of `to_dict`. Only registered components are ever made: a record cannot name code to import.

        Raises RequestError when the record does not fit, or needs a component that is not installed.
        """
        if find is None:
            from harness.registry import components

            find = components().find
        if not isinstance(record, Mapping):
            raise RequestError(f"an experiment's record is a mapping of sections, not {type(record).__name__}")
        parts: dict[str, Any] = {}
        for f in dataclasses.fields(cls):
            value = record.get(f.name)
            kind = hints(cls)[f.name]
            if f.name not in record:
                raise RequestError(f"the record has no section {f.name!r}")
            if is_slot(f):
                parts[f.name] = value_of(f.name, cls, f.name, value, find)
            elif isinstance(value, Mapping):
                parts[f.name] = kind(
                    **{key: value_of(f"{f.name}.{key}", kind, key, one, find) for key, one in value.items()}
                )
            else:
                raise RequestError(f"the record's section {f.name!r} is {shown(value)}")
        return cls(**parts)

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a config path, such as 'loss.ssim.weight'; `default` where this experiment has no such setting."""
        value: Any = self
        for name in RENAMED.get(path, path).split("."):
            if isinstance(value, tuple):
                value = next((one for one in value if getattr(one, "name", None) == name), None)
            else:
                value = getattr(value, name, None) if isinstance(value, Node) and name in hints(type(value)) else None
            if value is None:
                return default
        return value

    @property
    def identity(self) -> dict[str, Any]:
        """What of the experiment decides the weights, without what stands at its neutral value.

        With a predictor in the network's place: that and the seed, which its random numbers follow from.
        """
        if self.inference.predictor is not None:
            return {"predictor": identity_of(self.inference.predictor), "training": {"seed": self.training.seed}}
        found = {name: value for name, value in identity_of(self).items() if name not in ("inference", "metrics")}
        for one in self.metrics:  # of the metrics, only the one that selects the checkpoint decides
            if one.name == self.training.select:
                found["training"]["select"] = identity_of(one)
        return found

    @property
    def evaluation_identity(self) -> dict[str, Any]:
        """What decides the test alone: how predictions are made, and how much data is tested."""
        data = identity_of(self.data, (EVALUATION,))
        return {
            "inference": identity_of(self.inference),
            "data": {k: v for k, v in data.items() if k not in ("name", "revision")},
        }


def check_setting(path: str, value: object) -> None:
    """Raises RequestError when no experiment can have such a path, or a component is not made for it.

    Which component stands at a slot, and ranges that depend on other settings, are checked when a change is made.
    """
    from harness.registry import components

    path = RENAMED.get(path, path)
    name, _, rest = path.partition(".")
    check_field(path, Experiment, name)
    f = field_of(path, Experiment, name)
    if is_slot(f) and f.metadata["many"] and rest and "." not in rest and not isinstance(value, Component):
        changed_terms(name, (), {}, name, {rest: value}, name, components().find)
    if path in {kind.slot for kind in components().classes()} and not isinstance(value, str | Mapping | None):
        for one in value if isinstance(value, tuple | list) else (value,):
            if not isinstance(one, str | Mapping):
                check_component(path, one, path)
    known = components().settings()
    below_slot = rest and not isinstance(value, Component) and name in ("data", "architecture")
    if below_slot and not any(path == one or path.startswith(f"{one}.") for one in known):
        raise unknown_setting(path, Experiment)
    section = {"training": Training, "inference": Inference}.get(name)
    if section is not None and rest:
        name, _, below = rest.partition(".")
        check_field(path, section, name)
        f = field_of(path, section, name)
        if not below and not is_slot(f):
            coerce(path, value, hints(section)[name])
    if isinstance(value, Component) and not (value.slot == path or f"{value.slot}.{value.name}" == path):
        raise RequestError(f"{path} is {shown(value)}, which is made for the slot {value.slot!r}")


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, on every machine."""
    return _CANONICAL.encode(value)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False)
