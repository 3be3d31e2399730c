"""Changes of an experiment: paths and texts of the command line, of TOML files and of variants, applied to the tree."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from harness.component import (
    Component,
    Find,
    Node,
    check_component,
    coerce,
    field_of,
    hints,
    in_order,
    is_slot,
    make,
    make_many,
    value_of,
)
from harness.errors import RequestError
from harness.notation import LONGEST_PATH, parse_call, shown

GENERATED = "moving-mnist"

RENAMED = {
    "architecture.forget_bias": "architecture.cell.forget_bias",
    "loss.l1": "loss.mae",
    "loss.ssim_from": "loss.ssim.start",
    "loss.ssim_ramp": "loss.ssim.ramp",
    "training.max_lr": "training.optimizer.lr",
    "training.weight_decay": "training.optimizer.weight_decay",
    "training.pct_start": "training.schedule.pct_start",
}
"""Paths of the first edition that still mean something, and their successors."""


def claim_of(path: str, value: object) -> str:
    """The path that a change of a variant claims: that of today, and of a bare weight the term's weight alone."""
    path = RENAMED.get(path, path)
    bare = isinstance(value, int | float) or (isinstance(value, str) and is_number(value))
    return f"{path}.weight" if path.startswith("loss.") and path.count(".") == 1 and bare else path


def in_todays_paths(path: str, value: object) -> list[tuple[str, object]]:
    """A change of the first edition in today's paths. Raises RequestError for what cannot be a path."""
    if len(path) > LONGEST_PATH or not path.isprintable():
        raise RequestError(f"{shown(path)} is no path of a setting; write one such as training.steps")
    if path == "data.frames":
        return [("data", GENERATED)] if value == GENERATED else [("data", "frames"), ("data.path", value)]
    return [(RENAMED.get(path, path), value)]


def changed(node: Any, prefix: str, changes: Mapping[str, object], find: Find) -> Any:
    """A node with the values at paths below it replaced, all of them at once. Raises RequestError."""
    kind = type(node)
    own: dict[str, object] = {}
    below: dict[str, dict[str, object]] = {}
    for path, value in changes.items():
        name, dot, rest = path.partition(".")
        if dot and not rest:
            inner = hints(kind).get(name)
            raise unknown_setting(f"{prefix}{path}", inner if isinstance(inner, type) and issubclass(inner, Node) else kind)
        if isinstance(node, Component) and path == "name":
            continue  # the component itself was chosen by it, see `_chosen`
        field_of(f"{prefix}{path}", kind, name) if isinstance(node, Component) else check_field(
            f"{prefix}{path}", kind, name
        )
        if rest:
            below.setdefault(name, {})[rest] = value
        else:
            own[name] = value
    made: dict[str, Any] = {}
    for name in dict.fromkeys([*own, *below]):
        f = field_of(f"{prefix}{name}", kind, name)
        path, value = f"{prefix}{name}", getattr(node, name)
        nested = below.get(name, {})
        if is_slot(f) and f.metadata["many"]:
            terms = changed_terms(path, value, own, name, nested, f.metadata["slot"] or path, find)
            made[name] = terms if f.metadata["ordered"] else in_order(terms)
            continue
        if isinstance(value, Node) and not is_slot(f):
            if name in own:
                raise RequestError(
                    f"{path} is a section; set what is in it: {', '.join(x.name for x in dataclasses.fields(value))}"
                )
            made[name] = changed(value, f"{path}.", nested, find)
            continue
        if is_slot(f) and "name" in nested and name not in own:  # a table of a TOML file
            own[name] = nested["name"]
        if name in own:
            given = value_of(path, kind, name, own[name], find)
            value = _shared(value, given, own[name]) if is_slot(f) else given
        if nested:
            if not is_slot(f):
                raise RequestError(f"{path} is a plain setting; {path}.{next(iter(nested))} does not exist")
            if value is None:
                raise RequestError(
                    f"{path} is empty, so {path}.{next(iter(nested))} does not exist; choose a component for it first"
                )
            value = changed(value, f"{path}.", nested, find)
        made[name] = value
    return dataclasses.replace(node, **made) if made else node


def check_field(path: str, kind: type, name: str) -> None:
    """Raises RequestError, with the nearest paths, for a setting that a section does not have."""
    if name in {f.name for f in dataclasses.fields(kind)}:
        return
    raise unknown_setting(path, kind)


def unknown_setting(path: str, kind: type) -> RequestError:
    """The error for a path that does not exist in a section of that type."""
    from harness.registry import components

    sections = [one for one in Node.__subclasses__() if one.where]
    known = [*components().settings(), *(f"{one.where}.{f.name}" for one in sections for f in dataclasses.fields(one))]
    name = path.rpartition(".")[2]
    same = [new for old, new in RENAMED.items() if old.endswith(f".{name}")] or [
        one for one in known if one.endswith(f".{name}")
    ]
    near = difflib.get_close_matches(path, same, n=1, cutoff=0.8) or same
    close = near or difflib.get_close_matches(path, [*known, *RENAMED], n=1)
    found = list(dict.fromkeys(RENAMED.get(one, one) for one in close))[:4]
    hint = f" did you mean {' or '.join(map(repr, found))}?" if found else ""
    names = [f.name for f in dataclasses.fields(kind)]
    return RequestError(f"unknown setting {path!r};{hint} known: {', '.join(names)}; `harness list settings` explains all")


def _shared(old: Any, new: Any, given: object) -> Any:
    """The new component of a slot, with the values that stay whatever stands there."""
    if old is None or new is None or isinstance(given, Component) or type(old) is type(new):
        return new
    named = set()
    if isinstance(given, str) and "(" in given:
        named = set(parse_call(given).arguments)
    theirs = {f.name for f in dataclasses.fields(old) if f.metadata.get("shared")}
    stay = {f.name: getattr(old, f.name) for f in dataclasses.fields(new) if f.name in theirs - named}
    return dataclasses.replace(new, **stay)


def changed_terms(
    path: str,
    terms: tuple[Any, ...],
    own: Mapping[str, object],
    name: str,
    nested: Mapping[str, object],
    wanted: str,
    find: Find,
) -> tuple[Component, ...]:
    """The components of a slot that holds several, changed one by one: `loss.ssim=0.3`, `loss.ssim.start=0.2`, `loss.ssim=none`."""
    if name in own:
        terms = make_many(path, own[name], wanted, find)
    found = {term.name: term for term in terms}
    order = sorted(nested.items(), key=lambda item: item[0].count("."))
    deeper: dict[str, dict[str, object]] = {}
    for key, value in order:
        one, _, rest = key.partition(".")
        if rest:
            deeper.setdefault(one, {})[rest] = value
            continue
        kind = type(value) if isinstance(value, Component) else find(wanted, one)
        short = kind.shorthand
        bare = isinstance(value, int | float) or (isinstance(value, str) and is_number(value))
        if short and bare:
            number = value_of(f"{path}.{one}.{short}", kind, short, value, find)
            made: Component | None = (
                dataclasses.replace(found[one], **{short: number}) if one in found else kind(**{short: number})
            )
        elif isinstance(value, str) and value.lower() not in ("none", "null") and not value.startswith(one):
            raise RequestError(
                f"{path}.{one} is {shown(value)}; give its {short or 'call'}, such as {path}.{one}=0.1, or none"
            )
        else:
            made = make(f"{path}.{one}", value, wanted, find)
        if made is None or (short and getattr(made, short) == 0):
            found.pop(one, None)
        else:
            check_component(f"{path}.{one}", made, wanted)
            found[one] = made
    for one, changes in deeper.items():
        kind = type(found[one]) if one in found else find(wanted, one)
        if one not in found:
            neutral = {f.name: f.metadata.get("neutral") for f in dataclasses.fields(kind)}
            if all(
                key in neutral and coerce(key, value, hints(kind)[key]) == neutral[key] for key, value in changes.items()
            ):
                continue  # what is not there does not start later
            if not kind.shorthand or kind.shorthand not in changes:
                raise RequestError(
                    f"{path}.{one} is not there, so {path}.{one}.{next(iter(changes))} does not exist; add it first, such as "
                    f"{path}.{one}={'0.1' if kind.shorthand else kind.name}"
                )
            found[one] = kind()
        found[one] = changed(found[one], f"{path}.{one}.", changes, find)
        if kind.shorthand and getattr(found[one], kind.shorthand) == 0:
            del found[one]
    return tuple(found.values())


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
