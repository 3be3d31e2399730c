"""A variant is a delta: config paths and the values that it puts there. Compositions are unions of deltas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType

from harness.changes import claim_of
from harness.component import Component, Find
from harness.errors import RequestError
from harness.experiment import Experiment, check_setting
from harness.registry import Components, Plugins, source_digest
from harness.tree import components_in, record_of

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

    `changes` maps config paths ('architecture.skip') to values: plain ones, a component (see `harness.component.Component`) or its
    text. An empty mapping is the base. `sizes` maps a preset's name to changes that replace those of `changes` there: a network has
    a size for each preset. That the paths exist is checked when a plugin is loaded.

    Raises RequestError for a name that is not lower-case letters, digits, '-' and '_' (at most 64).
    """

    name: str
    summary: str
    source: str
    changes: Mapping[str, object] = field(default_factory=dict)
    sizes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    claim: Claim = Claim()
    citation: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RequestError(f"variant name {self.name!r}; use lower-case letters, digits, '-' and '_', at most 64")
        object.__setattr__(self, "changes", MappingProxyType(dict(self.changes)))
        object.__setattr__(self, "sizes", MappingProxyType({name: dict(one) for name, one in self.sizes.items()}))

    @property
    def components(self) -> tuple[type[Component], ...]:
        """The component types among the changes, those inside components too, so that records that name them can be read."""
        values = [*self.changes.values(), *(value for one in self.sizes.values() for value in one.values())]
        return tuple(dict.fromkeys(kind for value in values for kind in components_in(value)))

    def check(self) -> None:
        """Raises RequestError when a change's path does not exist, or takes another type of value."""
        for changes in (self.changes, *self.sizes.values()):
            for path, value in changes.items():
                check_setting(path, value)

    def at(self, preset: str) -> Mapping[str, object]:
        """The changes that it makes to the preset of that name."""
        return {**self.changes, **self.sizes.get(preset, {})}


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
        return self.at("")

    def at(self, preset: str) -> dict[str, object]:
        """The union of all changes to the preset of that name."""
        return {path: value for variant in self.variants for path, value in variant.at(preset).items()}

    def apply(self, experiment: Experiment, preset: str = "", find: Find | None = None) -> Experiment:
        """The experiment, of the preset of that name, with all changes made."""
        return experiment.replace(self.at(preset), find)


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
        for given_path, value in variant.changes.items():
            path = claim_of(given_path, value)
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
        "changes": {path: _plain(value) for path, value in variant.changes.items()},
    }


def _plain(value: object) -> object:
    return (
        record_of(value) if value is None or isinstance(value, Component | tuple | list | str | int | float) else repr(value)
    )


class Variants(Plugins):
    """The installed variants, and the components that can be named beside them."""

    def __init__(self, *, files: Iterable[Path] = (), third_party: bool = True) -> None:
        super().__init__("harness.variants", Variant, files=files, third_party=third_party)
        self.components = Components(files=self.files, third_party=third_party)
        self.components.more = self._components

    def check(self, value: Variant) -> None:
        """Raises RequestError when a change of the variant cannot be made."""
        value.check()

    def needs(self, module: ModuleType) -> bool:
        """A file may provide components alone."""
        return not self.components.from_module(module)

    def compose(self, text: str) -> Composition:
        """The composition that 'residual+attention' names, in any order."""
        names = [name.strip() for name in text.split("+")]
        if not all(names):
            raise RequestError(f"variant {text!r}; name variants joined by '+', such as residual+attention")
        return compose(self.get(name) for name in names)

    def sources(self, composition: Composition, experiment: Experiment) -> dict[str, str]:
        """Digests of the source of other packages' variants and components that take part in an experiment, by name."""
        modules = {one.name: self.module(one.name) for one in composition.variants}
        modules |= {f"{kind.slot}.{kind.name}": kind.__module__ for kind in components_in(experiment)}
        found = {name: source_digest(module) for name, module in modules.items() if not _own(module)}
        return {name: digest for name, digest in found.items() if digest is not None}

    def _components(self) -> Iterable[type[Component]]:
        return [kind for plugin in self if plugin.error is None for kind in plugin.value.components]


def _own(module: str) -> bool:
    """Whether a module belongs to this project, whose revisions say when its code changes a number."""
    return module.partition(".")[0] in ("harness", "variants")
