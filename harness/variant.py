"""A variant is a delta: config paths and the values that it puts there. Compositions are unions of deltas."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from harness.errors import RequestError
from harness.experiment import Experiment, check_setting

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class CompositionError(RequestError):
    """Two variants claim the same path, or one claims a path inside the other's."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a source says an idea brings. Shown beside the measured figures, never used in their place."""

    parameters: str = ""
    relative_time: str = ""
    ssim: str = ""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One idea: a name, a line, a source, and the changes that it makes to an experiment.

    `changes` maps config paths ('architecture.skip') to values: plain ones, or a component (see
    `harness.experiment.Component`). An empty mapping is the base. Raises RequestError for a name that is not lower-case
    letters, digits, '-' and '_' (at most 64). That the paths exist is checked when a plugin is loaded.
    """

    name: str
    summary: str
    source: str
    changes: Mapping[str, object] = field(default_factory=dict)
    claim: Claim = Claim()
    citation: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RequestError(f"variant name {self.name!r}; use lower-case letters, digits, '-' and '_', at most 64")
        object.__setattr__(self, "changes", MappingProxyType(dict(self.changes)))

    @property
    def components(self) -> tuple[type, ...]:
        """The component types among the changes, those inside components too, so that records that name them can be read."""
        return tuple(dict.fromkeys(kind for value in self.changes.values() for kind in _dataclasses(value)))

    def check(self) -> None:
        """Raises RequestError when a change's path does not exist, or takes another type of value."""
        for path, value in self.changes.items():
            check_setting(path, value)


def _dataclasses(value: object) -> Iterator[type]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        for part in dataclasses.fields(value):
            yield from _dataclasses(getattr(value, part.name))
    elif isinstance(value, tuple):
        for one in value:
            yield from _dataclasses(one)


@dataclass(frozen=True)
class Composition:
    """Several variants together. Equal sets are equal compositions, in any order; `base` adds nothing and is dropped."""

    variants: tuple[Variant, ...]

    @property
    def name(self) -> str:
        """The names joined by '+', in alphabetical order; that of the variant without changes when nothing else is there."""
        return "+".join(variant.name for variant in self.variants)

    @property
    def changes(self) -> dict[str, object]:
        """The union of all changes."""
        return {path: value for variant in self.variants for path, value in variant.changes.items()}

    def apply(self, experiment: Experiment) -> Experiment:
        """The experiment with all changes made."""
        return experiment.replace(self.changes)


def compose(variants: Iterable[Variant]) -> Composition:
    """Collects the claims of all variants, refuses conflicts, and only then builds the composition.

    Raises CompositionError naming both variants when they claim equal or nested paths.
    """
    given = {variant.name: variant for variant in variants}
    if not given:
        raise RequestError("no variant given; name at least one, such as base")
    active = {name: variant for name, variant in given.items() if variant.changes} or dict([min(given.items())])
    owners: dict[str, Variant] = {}
    for _, variant in sorted(active.items()):
        for path in variant.changes:
            for taken, owner in owners.items():
                if path == taken or path.startswith(taken + ".") or taken.startswith(path + "."):
                    raise CompositionError(
                        f"{owner.name!r} and {variant.name!r} both change {path!r}; run them one at a time, or leave one out"
                    )
            owners[path] = variant
    return Composition(tuple(variant for _, variant in sorted(active.items())))


def describe(variant: Variant) -> dict[str, object]:
    """The variant as plain values, for `harness list`."""
    return {
        "name": variant.name,
        "summary": variant.summary,
        "source": variant.source,
        "changes": {path: _as_json(value) for path, value in variant.changes.items()},
    }


def _as_json(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_as_json(one) for one in value]
    return value if value is None or isinstance(value, str | int | float) else repr(value)
