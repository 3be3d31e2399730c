"""A variant is a delta: config paths and the values that it puts there. Compositions are unions of deltas.

A composition is written as its variants' names joined by '+'. A name may carry arguments, which set fields of the components
that the variant brings, or any other setting by its path: `residual+attention(heads=1)`, `base(training.optimizer.lr=0.001)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType, ModuleType

from harness.changes import RENAMED, claim_of
from harness.component import Component, Find, is_slot, make, value_of
from harness.errors import RequestError, unknown
from harness.experiment import Experiment, check_setting
from harness.notation import Call, argument_text, call_text, parse_calls, shown, split_outside
from harness.registry import Components, Plugin, Plugins, source_digest
from harness.tree import components_in, record_of

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_TOP = [f.name for f in fields(Experiment) if is_slot(f)]
"""The slots whose paths have no dot: data, architecture, loss, metrics."""


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
    `harness.component.Component`) or its text. An empty mapping is the base. `sizes` maps a preset's name to changes that
    replace those of `changes` there: a network has a size for each preset. Plans that name no variants take it when it is
    `by_default`. Raises RequestError for a name that is not
    lower-case letters, digits, '-' and '_' (at most 64). That the paths exist is checked when a plugin is loaded.
    """

    name: str
    summary: str
    source: str
    changes: Mapping[str, object] = field(default_factory=dict)
    sizes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    claim: Claim = Claim()
    citation: str = ""
    by_default: bool = True
    arguments: str = ""
    """Made by `dosed`: what stood in parentheses behind the name, in its one spelling."""
    dose: Mapping[str, object] = field(default_factory=dict)
    """Made by `dosed`: the changes that the arguments mean."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise RequestError(f"variant name {self.name!r}; use lower-case letters, digits, '-' and '_', at most 64")
        object.__setattr__(self, "changes", MappingProxyType(dict(self.changes)))
        object.__setattr__(self, "sizes", MappingProxyType({name: dict(one) for name, one in self.sizes.items()}))
        object.__setattr__(self, "dose", MappingProxyType(dict(self.dose)))

    @property
    def text(self) -> str:
        """Its name with its arguments: 'attention(heads=8)'."""
        return f"{self.name}({self.arguments})" if self.arguments else self.name

    @property
    def is_network(self) -> bool:
        """Whether it replaces the network or its cell: the plan `networks` is made of these, and no other plan by default."""
        return not {"architecture", "architecture.cell"}.isdisjoint(self.changes)

    @property
    def components(self) -> tuple[type[Component], ...]:
        """The component types among the changes, those inside components too, so that records that name them can be read."""
        values = [*self.changes.values(), *(value for one in self.sizes.values() for value in one.values())]
        return tuple(dict.fromkeys(kind for value in values for kind in components_in(value)))

    def check(self) -> None:
        """Raises RequestError when a change's path does not exist, or takes another type of value."""
        for changes in (self.changes, *self.sizes.values()):
            for path, value in changes.items():
                if not isinstance(path, str):
                    raise RequestError(
                        f"a change of {self.name!r} is for {shown(path)}; give a path such as 'training.steps'"
                    )
                check_setting(path, value)

    def at(self, preset: str) -> Mapping[str, object]:
        """The changes that it makes to the preset of that name. At `evening` a network has its size of `cpu` if it has no other."""
        sizes = self.sizes.get("cpu", {}) if preset == "evening" else {}
        return {**self.changes, **self.sizes.get(preset, sizes), **self.dose}


@dataclass(frozen=True)
class Composition:
    """Several variants together. Equal sets are equal compositions, in any order; `base` adds nothing and is dropped."""

    variants: tuple[Variant, ...]

    @property
    def name(self) -> str:
        """The names joined by '+', in alphabetical order; that of the variant without changes when nothing else is there."""
        return "+".join(variant.text for variant in self.variants)

    @property
    def is_network(self) -> bool:
        """Whether one of the variants replaces the network or its cell."""
        return any(variant.is_network for variant in self.variants)

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
    given = {variant.text: variant for variant in variants}
    if not given:
        raise RequestError("no variant given; name at least one, such as base")
    active = {text: variant for text, variant in given.items() if variant.at("")} or dict([min(given.items())])
    owners: dict[str, Variant] = {}
    for _, variant in sorted(active.items()):
        for given_path, value in variant.at("").items():
            path = claim_of(given_path, value)
            for taken, owner in owners.items():
                if owner is variant:
                    continue  # a field of its own component
                if path == taken or path.startswith(taken + ".") or taken.startswith(path + "."):
                    raise CompositionError(
                        f"{owner.text!r} and {variant.text!r} both change {path!r}; run them one at a time, or leave one out"
                    )
            owners[path] = variant
    return Composition(tuple(variant for _, variant in sorted(active.items())))


def dosed(variant: Variant, arguments: Mapping[str, object], find: Find) -> Variant:
    """The variant with its arguments: fields of the components that it brings, or settings by their paths.

    An argument that says what the variant says already is dropped, so that equal variants have equal names. Raises
    RequestError for a field that none of its components has or several have, and for a value of the wrong type or range.
    """
    own = _own_settings(variant, find)
    short: dict[str, list[str]] = {}
    for path in own:
        short.setdefault(path.rpartition(".")[2], []).append(path)
    dose: dict[str, object] = {}
    words: dict[str, str] = {}
    for name, value in arguments.items():
        path = RENAMED.get(name, name)
        if "." not in path and (path in short or path not in _TOP):
            if not (found := short.get(path, [])):
                error = unknown("argument", path, short, label="it takes")
                raise RequestError(f"variant {variant.name!r}: {error}, or any setting by its path (training.batch_size=16)")
            if len(found) > 1:
                raise RequestError(
                    f"variant {variant.name!r}: {path!r} can be {' or '.join(found)}; write one of these paths"
                )
            path = found[0]
        if path in dose:
            raise RequestError(f"variant {variant.name!r}: {path} is given twice; give it once")
        if path not in own:
            dose[path], word = _plain_argument(value), path
            check_setting(path, dose[path])
        else:
            values = [_typed(path, component, value, find) for component, _ in own[path]]
            if all(one == old for one, (_, old) in zip(values, own[path], strict=True)):
                continue
            field_name = path.rpartition(".")[2]
            dose[path], word = values[0], field_name if len(short[field_name]) == 1 else path
        words[word] = call_text(dose[path]) if isinstance(value, Call) else argument_text(record_of(dose[path]))
    return replace(variant, dose=dose, arguments=", ".join(f"{word}={words[word]}" for word in sorted(words)))


def _own_settings(variant: Variant, find: Find) -> dict[str, list[tuple[Component | None, object]]]:
    """The settings that a variant's changes bring: path -> (component, value) in every size; for plain ones, without component."""
    found: dict[str, list[tuple[Component | None, object]]] = {}
    for changes in (variant.changes, *variant.sizes.values()):
        for path, value in changes.items():
            for at, one in _terms(path, value) or [(path, value)]:
                component = one if isinstance(one, Component) else _from_text(path, one, find)
                if component is None:
                    found.setdefault(at, []).append((None, one))
                    continue
                for f in fields(component):
                    found.setdefault(f"{at}.{f.name}", []).append((component, getattr(component, f.name)))
    return found


def _terms(path: str, value: object) -> list[tuple[str, object]]:
    """The components of a list of them, each at its path; none for any other value."""
    parts = [(f"{path}.{one.name}", one) for one in value if isinstance(one, Component)] if isinstance(value, tuple) else []
    return [*parts]


def _from_text(path: str, value: object, find: Find) -> Component | None:
    """The component that a change's text means; None for a plain setting."""
    try:
        return make(path, value, path, find) if isinstance(value, str) else None
    except RequestError:
        return None


def _typed(path: str, component: Component | None, value: object, find: Find) -> object:
    """The value in its declared type, its range checked."""
    if component is None:
        check_setting(path, plain := _plain_argument(value))
        return plain
    name = path.rpartition(".")[2]
    typed = value_of(path, type(component), name, value, find)
    try:
        replace(component, **{name: typed})
    except (TypeError, ValueError) as error:
        raise RequestError(f"{path} is {shown(value)}: {error}") from None
    return typed


def _plain_argument(value: object) -> object:
    """An argument's value as `Experiment.replace` takes it; a number in its shortest spelling, so that 1e-3 is 0.001."""
    if isinstance(value, Call):
        inner = {name: _plain_argument(one) for name, one in value.arguments.items()}
        return call_text({"name": value.name} | inner)
    if isinstance(value, list | tuple):
        return tuple(_plain_argument(one) for one in value)
    try:
        number = float(value) if isinstance(value, str) else None
    except ValueError:
        return value
    if number is None or abs(number) > 1e15 or number != number:
        return value
    return int(number) if number.is_integer() else number


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
        self._given: dict[str, Plugin] = {}
        self._kinds: list[str] = []
        self._composed: dict[str, Composition] = {}

    def add(self, *given: Variant | type[Component]) -> None:
        """Makes variants and component classes of this session known, in place of installed ones of the same name.

        Raises RequestError for one that cannot be used; see `check_session` for classes that no file defines.
        """
        self._composed.clear()
        for one in given:
            kinds = one.components if isinstance(one, Variant) else (one,)
            for kind in kinds:
                self.components.check(kind)
                check_session(kind)
            self.components.add(kinds)
            self._kinds += [kind.name for kind in kinds if _in_session(kind)]
            if isinstance(one, Variant):
                one.check()
                self._given[one.name] = Plugin(one.name, "this session", one)

    @property
    def of_session(self) -> list[str]:
        """The names of what `add` made known."""
        return [*self._given, *self._kinds]

    @property
    def names(self) -> list[str]:
        """All names, of plugins that fail to load too."""
        return sorted({*super().names, *self._given})

    def plugin(self, name: str) -> Plugin:
        """The plugin of that name, loaded. Raises RequestError, with the closest name, when there is none."""
        return self._given.get(name) or super().plugin(name)

    def module(self, name: str) -> str:
        """The module that provides a plugin; '' for one of this session."""
        return "" if name in self._given else super().module(name)

    def check(self, value: Variant) -> None:
        """Raises RequestError when a change of the variant cannot be made."""
        value.check()

    def needs(self, module: ModuleType) -> bool:
        """A file may provide components alone."""
        return not self.components.from_module(module)

    def compose(self, text: str) -> Composition:
        """The composition that 'residual+attention' or 'residual+attention(heads=1)' names, in any order."""
        if text not in self._composed:
            names = split_outside(text, "+")
            if not all(names):
                raise RequestError(f"variant {text!r}; name variants joined by '+', such as residual+attention")
            self._composed[text] = compose(self.named(name) for name in names)
        return self._composed[text]

    def named(self, text: str) -> Variant:
        """The variant that 'attention' or 'attention(heads=8)' names."""
        if "(" not in text:
            found: Variant = self.get(text)
            return found
        (call,) = parse_calls(text, most=1)
        return dosed(self.get(call.name), call.arguments, self.components.find)

    def sources(self, text: str, experiment: Experiment) -> dict[str, str]:
        """Digests of the source of other packages' variants and components that take part in an experiment, by name.

        A variant without changes takes part too: its module may change behaviour when it is imported.
        """
        modules = {one.name: self.module(one.name) for one in map(self.named, split_outside(text, "+"))}
        modules |= {f"{kind.slot}.{kind.name}": kind.__module__ for kind in components_in(experiment)}
        found = {name: source_digest(module) for name, module in modules.items() if not _own(module)}
        return {name: digest for name, digest in found.items() if digest is not None}

    def _components(self) -> Iterable[type[Component]]:
        return [kind for plugin in self if plugin.error is None for kind in plugin.value.components]


def check_session(kind: type[Component]) -> None:
    """Refuses a class of a notebook or a prompt that declares no revision: nobody could tell results of its versions apart.

    The code of such a class is in no file that a digest could follow.
    """
    if _in_session(kind) and "revision" not in vars(kind):
        raise RequestError(
            f"component {kind.name!r} is defined in this session, so changes of its code cannot be seen; add "
            f"`revision: ClassVar[int] = 1` to the class {kind.__name__}, and raise it whenever you change what it computes"
        )


def _in_session(kind: type[Component]) -> bool:
    """Whether no other process could import the class, nor a digest follow its code."""
    return kind.__module__ == "__main__" or source_digest(kind.__module__) is None


def _own(module: str) -> bool:
    """Whether a module belongs to this project, whose revisions say when its code changes a number."""
    return module.partition(".")[0] in ("harness", "variants")
