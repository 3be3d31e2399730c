"""A tree of components as a record, in keys, and as a walk over its settings."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from harness.component import TRAINING, Component, Node, hints, is_slot
from harness.errors import RequestError


def record_of(value: object) -> Any:
    """Plain JSON values: a component becomes its name, its revision where that is not 1, and its fields."""
    if isinstance(value, Node):
        record: dict[str, Any] = {}
        if isinstance(value, Component):
            record["name"] = value.name
            if value.revision != 1:
                record["revision"] = value.revision
        for f in dataclasses.fields(value):
            one = getattr(value, f.name)
            many = is_slot(f) and f.metadata["many"]
            record[f.name] = _several(f, [record_of(part) for part in one]) if many else record_of(one)
        return record
    if isinstance(value, tuple):
        return [record_of(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _several(f: dataclasses.Field[Any], records: list[dict[str, Any]]) -> Any:
    """The components of a slot that holds several: by name or, where their order counts, a list."""
    if f.metadata["ordered"]:
        return [one["name"] if one.keys() == {"name"} else one for one in records]
    return {one["name"]: {key: value for key, value in one.items() if key != "name"} for one in records}


def identity_of(value: Node, decides: Iterable[str] = (TRAINING,)) -> dict[str, Any]:
    """What of a node goes into keys: its record without what stands at its neutral value, and with a file's content for its path.

    Args:
        decides: only settings that decide one of these.
    """
    wanted = tuple(decides)
    record: dict[str, Any] = {}
    if isinstance(value, Component):
        record["name"] = value.name
        if value.revision != 1:
            record["revision"] = value.revision
    for f in dataclasses.fields(value):
        one = getattr(value, f.name)
        neutral = f.metadata.get("neutral", MISSING)
        if isinstance(one, Node) and not is_slot(f):
            plain: Any = identity_of(one, wanted)
        elif is_slot(f):
            if f.metadata["many"]:
                plain = _several(f, [identity_of(part, wanted) for part in one])
                if not plain and neutral is not MISSING:
                    continue
            else:
                plain = identity_of(one, wanted) if one is not None else None
                if neutral is not MISSING and plain == (neutral if neutral is None else {"name": neutral}):
                    continue
        elif f.metadata.get("decides", TRAINING) not in wanted or (neutral is not MISSING and one == neutral):
            continue
        else:
            plain = content_digest(one) if isinstance(one, Path) else record_of(one)
        record[f.name] = plain
    return record


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content, which stands for its path in keys. Raises RequestError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def walk(node: Node, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any], Any, Any]]:
    """Every setting and slot below a node, as (path, field, declared type, value), in the order of declaration."""
    for f in dataclasses.fields(node):
        path, value = f"{prefix}{f.name}", getattr(node, f.name)
        yield path, f, hints(type(node))[f.name], value
        if isinstance(value, Node):
            yield from walk(value, f"{path}.")
        elif is_slot(f) and f.metadata["many"]:
            for part in value:
                yield from walk(part, f"{path}.{part.name}.")


def components_in(node: object) -> Iterator[type[Component]]:
    """The types of a component and of all components inside it."""
    if isinstance(node, Component):
        yield type(node)
    if isinstance(node, Node):
        for f in dataclasses.fields(node):
            yield from components_in(getattr(node, f.name))
    elif isinstance(node, tuple):
        for one in node:
            yield from components_in(one)
