"""Components: frozen, typed, documented dataclasses that stand at the slots of an experiment.

    @dataclass(frozen=True, kw_only=True)
    class SpatialAttention(Component):
        '''What it does, and where it comes from.'''

        slot: ClassVar[str] = "architecture.bottleneck"
        name: ClassVar[str] = "attention"
        heads: int = setting(4, "attention heads; must divide the channels", at_least=1)

        def build(self, channels: int) -> nn.Module: ...

A component is chosen by its name (`--set architecture.bottleneck=attention`), its fields are set through the dotted path
(`--set architecture.bottleneck.heads=8`) or in its call (`--set "architecture.bottleneck=attention(heads=8)"`), and its fields
may be slots themselves. This module does not import torch, so that `harness list` and cached runs answer at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar, Union

from harness.errors import RequestError, unknown
from harness.notation import Call, parse_call, parse_calls, shown

T = TypeVar("T")

TRAINING, EVALUATION, CONTENT = "training", "evaluation", "content"
"""What a setting decides: the weights, the test alone, or the content of the data, which has a digest of its own."""


@dataclass(frozen=True)
class Shape:
    """The frames that a network is built for: what it is shown, and what it must predict."""

    channels: int
    height: int
    width: int
    input_frames: int
    horizon: int


def setting(
    default: T,
    doc: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
    neutral: object = MISSING,
    decides: str = TRAINING,
    shared: bool = False,
) -> T:
    """A documented field with its range, which is checked when a value is made.

    Args:
        neutral: the value at which the program does what it did before the setting existed. It is left out of keys, so that a new
            setting leaves the key of every stored run as it was.
        decides: 'training' (the weights), 'evaluation' (the test alone) or 'content' (a path whose content has its own digest).
        shared: the value stays when another component that has the same field takes the slot.
    """
    limits = {"at_least": at_least, "at_most": at_most, "above": above, "choices": choices}
    result: T = field(
        default=default, metadata={"doc": doc, "neutral": neutral, "decides": decides, "shared": shared} | limits
    )
    return result


def slot_field(
    default: T,
    doc: str,
    *,
    takes: str = "",
    many: bool = False,
    ordered: bool = False,
    neutral: object = MISSING,
    shared: bool = False,
) -> T:
    """A field that holds a component (or None), or with `many` a tuple of components of different names.

    Args:
        takes: the slot that its components are made for; the field's own path if not given.
        ordered: with `many`: they stay in the order given, and records hold a list instead of a mapping by name.
        neutral: as for `setting`: None, or the name of a component all of whose fields stand at their neutral values.
        shared: as for `setting`.
    """
    metadata = {"doc": doc, "neutral": neutral, "decides": TRAINING, "shared": shared}
    metadata |= {"slot": takes, "many": many, "ordered": ordered}
    result: T = field(default=default, metadata=metadata)
    return result


@dataclass(frozen=True, kw_only=True)
class Node:
    """A frozen dataclass of settings and slots: checks every field's range when it is made."""

    where: ClassVar[str] = ""
    """The path of a section in the experiment."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            path = f"{self._path}.{f.name}".lstrip(".")
            if is_slot(f):
                _check_slot(path, value, f)
                continue
            for one in value if isinstance(value, tuple) else (value,):
                _check_range(path, one, f.metadata)

    @property
    def _path(self) -> str:
        return self.where


@dataclass(frozen=True, kw_only=True)
class Component(Node):
    """What stands at a slot; see the module's docstring. Its fields are part of a run's identity."""

    slot: ClassVar[str]
    """The path of the slot that it is made for."""
    name: ClassVar[str]
    """Its registered name: lower-case letters, digits, '-' and '_'."""
    revision: ClassVar[int] = 1
    """To be raised when its numerics change: results of the old code are then no longer answers."""
    shorthand: ClassVar[str] = ""
    """The field that a bare number sets where several components share a slot (`loss.ssim=0.3`)."""

    @property
    def settings(self) -> dict[str, Any]:
        """Its fields by name, for a module that takes them as keywords."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @property
    def _path(self) -> str:
        return f"{self.slot}.{self.name}" if self.shorthand else self.slot


def is_slot(f: dataclasses.Field[Any]) -> bool:
    """Whether a field holds a component."""
    return "slot" in f.metadata


def _check_slot(path: str, value: object, f: dataclasses.Field[Any]) -> None:
    wanted = f.metadata["slot"] or path
    if f.metadata["many"]:
        if not isinstance(value, tuple) or len({getattr(one, "name", None) for one in value}) != len(value):
            raise RequestError(f"{path} is {shown(value)}; it takes a tuple of components of different names")
        for one in value:
            check_component(f"{path}.{getattr(one, 'name', '?')}", one, wanted)
    elif value is not None:
        check_component(path, value, wanted)


def check_component(path: str, value: object, wanted: str) -> None:
    """Raises RequestError unless the value is a frozen component that is made for the slot `wanted`."""
    usable = isinstance(value, Component) and "__dataclass_params__" in vars(type(value))
    if not usable or getattr(value, "slot", None) != wanted or not getattr(value, "name", ""):
        raise RequestError(
            f"{path} is {shown(value)}; a slot takes a frozen dataclass derived from harness.component.Component, with the class "
            f"variables slot = {wanted!r} and a name"
        )


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
            raise RequestError(f"{path} is {shown(value)}; it must be {word} {_limit(mark)}")


def _limit(mark: float) -> str:
    """To the last digit: '2,147,483,647', not '2.14748e+09'."""
    return f"{int(mark):,}" if mark == int(mark) and abs(mark) < 1e15 else f"{mark:g}"


def limits_text(f: dataclasses.Field[Any]) -> str:
    """A field's range in words: 'at least 1, at most 64', or its choices; empty where there is none."""
    words = {"at_least": "at least", "above": "above", "at_most": "at most"}
    parts = [f"{word} {_limit(f.metadata[name])}" for name, word in words.items() if f.metadata.get(name) is not None]
    return ", ".join(parts) or ", ".join(f.metadata.get("choices") or ())


# --- from text to values


def coerce(path: str, value: object, declared: Any) -> object:
    """Brings a value from the command line (text), a TOML file or a record to the declared type. Raises RequestError."""
    if isinstance(declared, types.UnionType) or typing.get_origin(declared) is Union:
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None
        declared = next(kind for kind in typing.get_args(declared) if kind is not type(None))
    if typing.get_origin(declared) is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise RequestError(f"{path} is {shown(value)}; it must be a list, such as 32,64")
        return tuple(coerce(path, one, typing.get_args(declared)[0]) for one in value)
    if declared is str and isinstance(value, str):
        return value
    if declared is Path and isinstance(value, str | Path) and str(value):
        return Path(value)
    try:
        if declared is bool:
            if isinstance(value, str) and value.lower() in ("true", "false", "yes", "no"):
                return value.lower() in ("true", "yes")
            if isinstance(value, bool):
                return value
            raise ValueError
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
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
    raise RequestError(f"{path} is {shown(value)}; it must be {words.get(declared, declared)}")


_hints: dict[Any, dict[str, Any]] = {}


def hints(kind: Any) -> dict[str, Any]:
    """The declared types of a dataclass's fields, by name."""
    if kind not in _hints:
        found = typing.get_type_hints(kind)
        _hints[kind] = {f.name: found[f.name] for f in dataclasses.fields(kind)}
    return _hints[kind]


Find = Callable[[str, str], type[Component]]
"""(slot, name) -> the component's class; raises RequestError for an unknown one."""


def make(path: str, value: object, wanted: str, find: Find) -> Component | None:
    """The component that a value means: one already, its text, a call, a record, or None.

    Raises RequestError for an unknown name or field, or a value out of range.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null")):
        return None
    if isinstance(value, Component):
        return value
    if isinstance(value, str):
        value = parse_call(value)
    if isinstance(value, Mapping):
        return _from_record(path, value, wanted, find)
    if not isinstance(value, Call):
        raise RequestError(f"{path} is {shown(value)}; it takes a component, such as name or name(field=value)")
    return build(path, find(wanted, value.name), value.arguments, find)


def _from_record(path: str, record: Mapping[str, Any], wanted: str, find: Find) -> Component:
    fields = dict(record)
    name, revision = fields.pop("name", None), fields.pop("revision", 1)
    if not isinstance(name, str):
        raise RequestError(f"{path} is {shown(record)}; a component's record has a name")
    try:
        kind = find(wanted, name)
    except RequestError as error:
        raise RequestError(
            f"{path} needs the component {name!r}; install its plugin, or name it with --plugin ({error})"
        ) from None
    if revision != kind.revision:
        raise RequestError(f"{path} was made by revision {revision} of {name}; installed is revision {kind.revision}")
    return build(path, kind, fields, find)


def build(path: str, kind: type[Component], arguments: Mapping[str, Any], find: Find) -> Component:
    """The component with these fields. Raises RequestError for an unknown field, or a value of the wrong type or range."""
    first = next((f.name for f in dataclasses.fields(kind)), "")
    given = {name or first: value for name, value in arguments.items()}
    values = {name: value_of(f"{path}.{name}", kind, name, value, find) for name, value in given.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RequestError(f"{path}: {kind.name} cannot be made: {error}") from None


def value_of(path: str, kind: type, name: str, value: object, find: Find) -> Any:
    """The value of one field in its declared type. Raises RequestError."""
    f = field_of(path, kind, name)
    if not is_slot(f):
        if isinstance(value, Call):
            raise RequestError(f"{path} is a plain setting; it takes a value, not a component")
        return coerce(path, value, hints(kind)[name])
    wanted = f.metadata["slot"] or path
    if not f.metadata["many"]:
        return make(path, value, wanted, find)
    made = make_many(path, value, wanted, find)
    return made if f.metadata["ordered"] else in_order(made)


def make_many(path: str, value: object, wanted: str, find: Find) -> tuple[Component, ...]:
    """The components that a value means, in its order: texts separated by commas, a mapping by name, or a sequence.

    Raises RequestError as `make` does.
    """
    if isinstance(value, str):
        text = value.strip()
        text = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        value = [] if text.strip().lower() in ("", "none") else parse_calls(text)
    if isinstance(value, Component):
        value = [value]
    if isinstance(value, Mapping):
        value = [
            {"name": key} | dict(one) if isinstance(one, Mapping) else one for key, one in value.items() if one is not None
        ]
    if not isinstance(value, list | tuple):
        raise RequestError(f"{path} is {shown(value)}; it takes components separated by commas")
    made = [make(f"{path}.{getattr(one, 'name', '')}".rstrip("."), one, wanted, find) for one in value]
    found = tuple(one for one in made if one is not None)
    for one, other in itertools.pairwise(in_order(found)):
        if one.name == other.name:
            raise RequestError(f"{path} names {one.name} twice; name it once")
    return found


def in_order(components: Iterable[Component]) -> tuple[Component, ...]:
    """Components of one slot in the order of their names: equal sets are equal tuples."""
    return tuple(sorted(components, key=lambda one: one.name))


def field_of(path: str, kind: type, name: str) -> dataclasses.Field[Any]:
    """The field of a section or component. Raises RequestError, with what exists, for one that it does not have."""
    for f in dataclasses.fields(kind):
        if f.name == name:
            return f
    names = [f.name for f in dataclasses.fields(kind)]
    what = f"{kind.name!r} has no setting" if issubclass(kind, Component) else "unknown setting"
    error = unknown("setting", name, names)
    _, _, rest = str(error).partition(";")
    raise RequestError(f"{path}: {what} {name!r};{rest or ' it has none'}")
