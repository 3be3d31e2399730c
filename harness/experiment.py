"""What is trained and how it is judged: frozen, typed values, documented where they are declared.

An `Experiment` holds everything that can change a result and nothing else: no device, no path of the store, no
progress bar. This module does not import torch, so that `harness list` and cached runs answer at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import operator
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, TypeVar, Union, runtime_checkable

from harness.errors import RequestError, unknown

T = TypeVar("T")

VIEWS = ("identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
GENERATED = "moving-mnist"
SLOTS = {"architecture.skip": "build", "architecture.bottleneck": "build", "training.curriculum": "horizon"}
"""The paths that take a component, and the method that each calls."""
MOST_LAYERS = 16
"""Each layer halves the frame: no frame is large enough for more."""
MOST_SEQUENCE_BYTES = 2**32
"""Memory that one generated sequence may take, float32."""
MOST = 10**9
"""Counts beyond this are a slip of the keyboard."""


@runtime_checkable
class Component(Protocol):
    """A frozen dataclass that a plugin puts at a slot of the configuration; its fields are part of a run's identity.

    `slot` names the path it is made for. At `architecture.skip` and `architecture.bottleneck` it has `build`, which
    returns a torch module; at `training.curriculum` it has `horizon`. A class may carry `revision: ClassVar[int]`, to be
    raised when its numerics change.
    """

    slot: typing.ClassVar[str]


@runtime_checkable
class Curriculum(Component, Protocol):
    """How many frames to predict at a point of the training."""

    def horizon(self, progress: float, full: int) -> int:
        """The horizon in frames, 1..full, at progress 0..1 of the budget; `full` at the end."""
        ...


class SkipConfig(Component, Protocol):
    """Builds the path around one ConvLSTM layer: input (N, in, H, W) -> what is added to the output (N, out, H, W).

    The module must be buildable on torch's meta device too: parameters and operations are counted there.
    """

    def build(self, in_channels: int, out_channels: int) -> Any:
        """The module, a `torch.nn.Module`."""
        ...


class BottleneckConfig(Component, Protocol):
    """Builds the module on the deep features: (B, T, C, H, W) -> the same shape. As for a skip, on the meta device too."""

    def build(self, channels: int) -> Any:
        """The module, a `torch.nn.Module`."""
        ...


def setting(
    default: T,
    doc: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> T:
    """A documented field with its range; the range is checked when a value is made."""
    limits = {"at_least": at_least, "at_most": at_most, "above": above, "choices": choices}
    result: T = field(default=default, metadata={"doc": doc} | limits)
    return result


class _Section:
    """Checks every field against its declared type and range."""

    def __post_init__(self) -> None:
        section = type(self).__name__.lower()
        for f in dataclasses.fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            value = getattr(self, f.name)
            for one in value if isinstance(value, tuple) else (value,):
                _check_range(f"{section}.{f.name}", one, f.metadata)


def _check_range(path: str, value: object, limits: Mapping[str, Any]) -> None:
    if isinstance(value, str) and limits.get("choices") and value not in limits["choices"]:
        raise unknown(f"value of {path}", value, limits["choices"], label="choices")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"{path} is {value}; it must be a finite number")
    for name, word, bad in (
        ("at_least", "at least", operator.lt),
        ("at_most", "at most", operator.gt),
        ("above", "above", operator.le),
    ):
        if (mark := limits.get(name)) is not None and bad(value, mark):
            raise RequestError(f"{path} is {shown(value)}; it must be {word} {mark:g}")


def shown(value: object) -> str:
    """A value in a message: a file may hold one of a million characters, or one that cannot be written in decimals."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 100 else f"{text[:97]}..."


def _check_component(path: str, value: object, method: str) -> None:
    if value is None:
        return
    frozen = dataclasses.is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    if not frozen or getattr(value, "slot", None) != path or not callable(getattr(value, method, None)):
        raise RequestError(
            f"{path} is {shown(value)}; a slot takes a frozen dataclass with `{method}` and the class variable slot = {path!r}, "
            "which a variant's plugin puts there"
        )


@dataclass(frozen=True, kw_only=True)
class Data(_Section):
    """Where sequences come from. The default is Moving MNIST, generated as training goes."""

    frames: str = setting(GENERATED, "training frames: 'moving-mnist' (generated) or a .npy/.npz file of sequences")
    evaluation: str = setting(
        "", "test frames: a .npy/.npz file (mnist_test_seq.npy, say); empty: the held-out part of `frames`"
    )
    layout: str = setting(
        "auto",
        "axes of a 4-D file: NTHW, TNHW, or auto (TNHW for the shape of mnist_test_seq.npy, else NTHW)",
        choices=("auto", "NTHW", "TNHW"),
    )
    canvas: int = setting(64, "height and width of a generated frame, pixels", at_least=8, at_most=4096)
    digit_size: int = setting(28, "height and width of a digit, pixels: 28, or a divisor of 28", at_least=2, at_most=28)
    digits: int = setting(2, "digits in a sequence", at_least=1, at_most=64)
    speed: float = setting(0.1, "distance a frame, as a share of the free canvas", at_least=0, at_most=1)
    input_frames: int = setting(10, "frames shown", at_least=1, at_most=1000)
    horizon: int = setting(10, "frames to predict", at_least=1, at_most=1000)
    flip_horizontal: float = setting(0.5, "probability of a left-right flip of a training sequence", at_least=0, at_most=1)
    flip_vertical: float = setting(0.5, "probability of an up-down flip of a training sequence", at_least=0, at_most=1)
    epoch_sequences: int = setting(10_000, "generated sequences that count as one epoch", at_least=1, at_most=MOST)
    validation_sequences: int = setting(1_000, "sequences to validate on", at_least=1, at_most=MOST)
    test_sequences: int = setting(10_000, "sequences to test on", at_least=1, at_most=MOST)
    test_seed: int = setting(
        2015, "seed of the validation and test sequences, the same for every run", at_least=0, at_most=2**31 - 1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.frames:
            raise RequestError(f"data.frames is empty; it must be {GENERATED} or a .npy or .npz file")
        if 28 % self.digit_size:
            raise RequestError(f"data.digit_size is {self.digit_size}; it must divide 28 (2, 4, 7, 14 or 28)")
        if self.frames == GENERATED and self.canvas < self.digit_size:
            raise RequestError(f"data.canvas is {self.canvas}; a digit of {self.digit_size} pixels does not fit")
        if self.frames == GENERATED and 4 * self.total_frames * self.canvas**2 > MOST_SEQUENCE_BYTES:
            raise RequestError(
                f"a sequence of {self.total_frames} frames of {self.canvas}x{self.canvas} pixels takes more than "
                f"{MOST_SEQUENCE_BYTES >> 30} GiB; lower data.canvas, data.input_frames or data.horizon"
            )

    @property
    def total_frames(self) -> int:
        """Frames in one sequence: shown and to be predicted."""
        return self.input_frames + self.horizon


@dataclass(frozen=True, kw_only=True)
class Architecture(_Section):
    """The encoder-forecaster. `widths` lists the encoder from fine to coarse; the forecaster mirrors all but the last."""

    widths: tuple[int, ...] = setting(
        (64, 128, 256), "ConvLSTM channels of the encoder, fine to coarse", at_least=1, at_most=65536
    )
    kernels: tuple[int, ...] = setting((5, 3, 3), "kernel sizes of the encoder's layers, odd", at_least=1, at_most=31)
    forecaster_kernel: int = setting(3, "kernel size of the forecaster's layers, odd", at_least=1, at_most=31)
    patch: int = setting(1, "side of the pixel blocks folded into channels (space-to-depth)", at_least=1, at_most=64)
    forget_bias: float = setting(0.0, "added to the forget gate's bias at initialisation")
    gain: float = setting(1.0, "factor on the initial weights of all convolutions before the head", above=0, at_most=100)
    skip: Any = setting(None, "slot: a path around every ConvLSTM layer that has a layer before it")
    bottleneck: Any = setting(None, "slot: a module on the deep features that the forecaster reads")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.widths or len(self.widths) != len(self.kernels):
            raise RequestError(
                f"architecture.kernels has {len(self.kernels)} entries for {len(self.widths)} widths; give one kernel a width"
            )
        if len(self.widths) > MOST_LAYERS:
            raise RequestError(f"architecture.widths names {len(self.widths)} layers; at most {MOST_LAYERS} are accepted")
        for kernel in (*self.kernels, self.forecaster_kernel):
            if kernel % 2 == 0:
                raise RequestError(f"architecture kernel {kernel} is even; 'same' padding needs odd kernels")
        for name in ("skip", "bottleneck"):
            _check_component(path := f"architecture.{name}", getattr(self, name), SLOTS[path])

    @property
    def stride(self) -> int:
        """A frame's height and width must be multiples of this."""
        return self.patch << (len(self.widths) - 1)


@dataclass(frozen=True, kw_only=True)
class Loss(_Section):
    """Weights of the training loss: mse * MSE + ssim * (1 - SSIM) + l1 * L1."""

    mse: float = setting(0.7, "weight of the mean squared error", at_least=0, at_most=1e6)
    ssim: float = setting(0.3, "weight of 1 - SSIM (Gaussian 11, sigma 1.5, range 1, valid)", at_least=0, at_most=1e6)
    l1: float = setting(0.0, "weight of the mean absolute error", at_least=0, at_most=1e6)
    ssim_from: float = setting(0.0, "share of the budget before which the SSIM term is off", at_least=0, at_most=1)
    ssim_ramp: float = setting(
        0.0, "share of the budget over which the SSIM term then rises to its weight", at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mse + self.ssim + self.l1 == 0:
            raise RequestError("loss.mse, loss.ssim and loss.l1 are all 0; at least one must be positive")
        if self.mse + self.l1 == 0 and (self.ssim_from or self.ssim_ramp):
            raise RequestError(
                "loss.ssim is the only weight; set loss.ssim_from and loss.ssim_ramp to 0, or nothing is trained"
            )

    def at(self, progress: float) -> Loss:
        """The weights at progress 0..1 of the budget."""
        if progress >= self.ssim_from + self.ssim_ramp:
            return self
        rise = max(0.0, progress - self.ssim_from) / self.ssim_ramp if self.ssim_ramp else 0.0
        return dataclasses.replace(self, ssim=self.ssim * rise, ssim_from=0.0, ssim_ramp=0.0)


@dataclass(frozen=True, kw_only=True)
class Training(_Section):
    """The optimiser, its schedule and its budget. Exactly one of steps, epochs and seconds is set."""

    seed: int = setting(0, "seed of initialisation and of the training sequences", at_least=0, at_most=2**31 - 1)
    batch_size: int = setting(32, "sequences a step", at_least=1, at_most=65536)
    steps: int | None = setting(None, "budget in optimiser steps", at_least=1, at_most=MOST)
    epochs: float | None = setting(None, "budget in passes over data.epoch_sequences", above=0, at_most=1e6)
    seconds: float | None = setting(None, "budget in seconds of training, evaluation not counted", above=0)
    max_lr: float = setting(3e-3, "peak learning rate of OneCycle", above=0, at_most=100)
    pct_start: float = setting(0.3, "share of the budget spent on raising the learning rate", above=0, at_most=0.99)
    weight_decay: float = setting(1e-5, "AdamW's weight decay", at_least=0, at_most=100)
    clip_norm: float = setting(1.0, "largest norm of the gradient; 0 switches clipping off", at_least=0)
    precision: str = setting(
        "auto",
        "arithmetic of the network: float32, bfloat16, float16, or auto (the best 16-bit type of the GPU; float32 on CPU)",
        choices=PRECISIONS,
    )
    validate_every: int = setting(500, "steps between validations", at_least=1, at_most=MOST)
    patience: int = setting(
        0, "validations without a better SSIM before stopping; 0: never stop early", at_least=0, at_most=MOST
    )
    max_skipped: int = setting(
        25, "steps in a row with a non-finite loss or gradient before the run stops", at_least=0, at_most=MOST
    )
    curriculum: Any = setting(None, "slot: the horizon as a function of progress")

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in BUDGETS if getattr(self, name) is not None]
        if len(given) != 1:
            what = "no budget is set" if not given else f"training.{' and training.'.join(given)} are both set"
            raise RequestError(f"{what}; set exactly one of training.steps, training.epochs, training.seconds")
        _check_component("training.curriculum", self.curriculum, SLOTS["training.curriculum"])


BUDGETS = ("steps", "epochs", "seconds")


@dataclass(frozen=True, kw_only=True)
class Inference(_Section):
    """How a prediction is made from a trained model."""

    views: tuple[str, ...] = setting(
        ("identity",), "views of the input whose predictions, transformed back, are averaged", choices=VIEWS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.views or len(set(self.views)) != len(self.views):
            raise RequestError(f"inference.views is {','.join(self.views) or 'empty'}; name each view once, at least one")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that can change a result."""

    data: Data = Data()
    architecture: Architecture = Architecture()
    loss: Loss = Loss()
    training: Training = Training(epochs=50)
    inference: Inference = Inference()

    def replace(self, changes: Mapping[str, object]) -> Experiment:
        """A copy with the values at config paths ('training.max_lr') replaced; all of them at once, then checked.

        Setting one budget (steps, epochs, seconds) clears the others.
        Raises RequestError for an unknown path or a value of the wrong type or range.
        """
        sections: dict[str, dict[str, object]] = {}
        for path, value in changes.items():
            section, name, declared = _resolve(path)
            sections.setdefault(section, {})[name] = _coerce(path, value, declared)
        training = sections.get("training", {})
        if any(training.get(name) is not None for name in BUDGETS):
            sections["training"] = dict.fromkeys(BUDGETS) | training
        parts: dict[str, Any] = {
            section: dataclasses.replace(getattr(self, section), **values) for section, values in sections.items()
        }
        return dataclasses.replace(self, **parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a component becomes its fields with its type's name and revision."""
        return {
            part.name: {f.name: _plain(getattr(section, f.name)) for f in dataclasses.fields(section)}
            for part in dataclasses.fields(self)
            if (section := getattr(self, part.name)) is not None
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], components: Iterable[type] = ()) -> Experiment:
        """The inverse of `to_dict`. Only the given component types are ever made: a record cannot name code to import.

        Raises RequestError when the record does not fit, or needs a component that is not installed.
        """
        if not isinstance(record, Mapping):
            raise RequestError(f"an experiment's record is a mapping of sections, not {type(record).__name__}")
        known = {component_name(kind): kind for kind in components}
        parts: dict[str, Any] = {}
        for part in dataclasses.fields(cls):
            values = record.get(part.name)
            if not isinstance(values, Mapping):
                raise RequestError(f"the record has no section {part.name!r}")
            kind = typing.get_type_hints(cls)[part.name]
            hints = typing.get_type_hints(kind)
            made: dict[str, Any] = {}
            for name, value in values.items():
                if name not in hints:
                    raise _unknown_setting(f"{part.name}.{name}")
                path = f"{part.name}.{name}"
                made[name] = _coerce(path, _revive(path, value, known) if isinstance(value, Mapping) else value, hints[name])
            parts[part.name] = kind(**made)
        return cls(**parts)


def component_name(kind: type) -> str:
    """The name of a component type in records: its module and qualified name."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _revive(path: str, value: Mapping[str, Any], known: Mapping[str, type]) -> object:
    fields = dict(value)
    name = fields.pop("type", None)
    revision = fields.pop("revision", None)
    kind = known.get(name) if isinstance(name, str) else None
    if kind is None:
        raise RequestError(f"{path} needs the component {name!r}, which no installed variant provides; install its plugin")
    if revision != getattr(kind, "revision", None):
        raise RequestError(
            f"{path} was made by revision {revision} of {name}; installed is revision {getattr(kind, 'revision', None)}"
        )

    def made(one: object) -> object:
        if isinstance(one, list):
            return tuple(made(part) for part in one)
        return _revive(path, one, known) if isinstance(one, Mapping) and "type" in one else one

    try:
        return kind(**{key: made(one) for key, one in fields.items()})
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RequestError(f"{path}: the record does not fit {name}: {error}") from None


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        record: dict[str, Any] = {"type": component_name(kind)}
        if hasattr(kind, "revision"):
            record["revision"] = kind.revision
        return record | {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


@cache
def _paths() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in dataclasses.fields(Experiment):
        kind = typing.get_type_hints(Experiment)[part.name]
        hints = typing.get_type_hints(kind)
        found |= {f"{part.name}.{f.name}": hints[f.name] for f in dataclasses.fields(kind)}
    return found


def settings() -> dict[str, tuple[object, str]]:
    """Every config path with its default and its documentation."""
    found: dict[str, tuple[object, str]] = {}
    for part in dataclasses.fields(Experiment):
        kind = typing.get_type_hints(Experiment)[part.name]
        found |= {f"{part.name}.{f.name}": (f.default, str(f.metadata["doc"])) for f in dataclasses.fields(kind)}
    return found


def check_setting(path: str, value: object) -> None:
    """Raises RequestError when there is no such path, or the value is of another type than it takes.

    Ranges are not checked: whether they hold may depend on other settings.
    """
    _, _, declared = _resolve(path)
    coerced = _coerce(path, value, declared)
    if path in SLOTS:
        _check_component(path, coerced, SLOTS[path])


def _resolve(path: str) -> tuple[str, str, Any]:
    declared = _paths().get(path)
    if declared is None:
        raise _unknown_setting(path)
    section, name = path.split(".")
    return section, name, declared


def _unknown_setting(path: str) -> RequestError:
    section, _, name = path.rpartition(".")
    same = [known for known in _paths() if known.endswith(f".{name}")]  # 'max_lr', 'trainig.max_lr'
    close = same or difflib.get_close_matches(path, _paths(), n=1)
    hint = f" did you mean {' or '.join(map(repr, close))}?" if close else ""
    there = [known for known in _paths() if known.startswith(f"{section}.")] or [
        f.name for f in dataclasses.fields(Experiment)
    ]
    return RequestError(
        f"unknown setting {path!r};{hint} known{' sections' if '.' not in there[0] else ''}: {', '.join(there)}; "
        "`harness list settings` explains all"
    )


def _coerce(path: str, value: object, declared: Any) -> object:
    """Brings a value from the command line (text), a TOML file or a record to the declared type, or refuses it."""
    if declared is Any:
        if isinstance(value, str):
            raise RequestError(f"{path} is a slot that a variant fills; choose it with --variant, not with text")
        return value
    if isinstance(declared, types.UnionType) or typing.get_origin(declared) is Union:
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None
        declared = next(kind for kind in typing.get_args(declared) if kind is not type(None))
    if typing.get_origin(declared) is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise RequestError(f"{path} is {shown(value)}; it must be a list, such as 32,64")
        return tuple(_coerce(path, one, typing.get_args(declared)[0]) for one in value)
    if declared is str and isinstance(value, str):
        return value
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        if declared is float:
            return float(value)
        if declared is int:
            if isinstance(value, str):
                value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
            if value != int(value):
                raise ValueError
            return int(value)
    except (ValueError, OverflowError):
        pass
    words = {int: "a whole number", float: "a number", str: "text"}
    raise RequestError(f"{path} is {shown(value)}; it must be {words.get(declared, declared)}")


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, on every machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
