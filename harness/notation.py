"""How components are written: `name(field=value, ...)` as text, and a record's tree as dotted paths. Nothing is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import RequestError

MOST_CHARACTERS = 4096
"""Of the text of one component."""
LONGEST_PATH = 200
"""Characters of a setting's path, or of a name."""
DEEPEST = 16
"""Components inside components."""


def shown(value: object) -> str:
    """A value in a message: a file may hold one of a million characters, or one that cannot be written in decimals."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 100 else f"{text[:97]}..."


@dataclass(frozen=True)
class Call:
    """`name(field=value, ...)` as it was written: values are text, lists or calls."""

    name: str
    arguments: Mapping[str, Any]


def parse_call(text: str) -> Call:
    """Reads `name`, `name(field=value, ...)` or `name:VALUE`, which is the first field's.

    Values are texts, 'quoted texts', [lists] or calls; nothing is evaluated.

    Raises RequestError with the position of the first mistake.

    >>> parse_call("muon(lr=0.02, others=adamw(lr=5e-3))").arguments["others"]
    Call(name='adamw', arguments={'lr': '5e-3'})
    """
    name, colon, rest = text.strip().partition(":")
    if colon and rest and name.replace("-", "").isalnum() and len(text) <= MOST_CHARACTERS:
        return Call(name, {"": rest.strip()})
    (call,) = parse_calls(text, most=1)
    return call


def parse_calls(text: str, *, most: int = 64) -> list[Call]:
    """Reads several components, separated by commas. Raises RequestError."""
    return _Reader(text).calls(most)


def split_outside(text: str, separator: str) -> list[str]:
    """The parts between separators that stand outside parentheses, brackets and quotes, without surrounding spaces.

    >>> split_outside("base, attention(heads=2, blocks=1)", ",")
    ['base', 'attention(heads=2, blocks=1)']
    """
    parts, depth, quote, start = [], 0, "", 0
    for at, one in enumerate(text):
        if quote:
            quote = "" if one == quote else quote
        elif depth and one in "'\"":
            quote = one
        elif one in "([":
            depth += 1
        elif one in ")]":
            depth -= 1
        elif one == separator and depth <= 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]


class _Reader:
    def __init__(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            raise RequestError(f"a component of {len(text):,} characters; at most {MOST_CHARACTERS:,} are accepted")
        self.text, self.at = text, 0

    def calls(self, most: int) -> list[Call]:
        found = [self._call(0)]
        while self._next() == ",":
            self.at += 1
            found.append(self._call(0))
        if self._next():
            raise self._error("expected the end")
        if len(found) > most:
            raise RequestError(f"{shown(self.text)} names {len(found)} components; {most} at most")
        return found

    def _next(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def _error(self, wanted: str) -> RequestError:
        there = f"{self.text[self.at : self.at + 10]!r}" if self.at < len(self.text) else "the end"
        return RequestError(
            f"{shown(self.text)} at character {self.at + 1}: {wanted}, found {there}; write name(field=value, ...), such as "
            "attention(heads=8)"
        )

    def _word(self, stops: str) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in stops:
            self.at += 1
        return self.text[start : self.at].strip()

    def _call(self, depth: int) -> Call:
        self._next()
        name = self._word("(),=[]'\" \t\n")
        if not 0 < len(name) <= LONGEST_PATH or not all(one.isalnum() or one in "-_" for one in name):
            raise self._error("expected a component's name")
        return Call(name, self._arguments(depth) if self._next() == "(" else {})

    def _arguments(self, depth: int) -> dict[str, Any]:
        if depth >= DEEPEST:
            raise RequestError(f"{shown(self.text)} nests components more than {DEEPEST} deep")
        self.at += 1
        found: dict[str, Any] = {}
        while self._next() != ")":
            name = self._word("(),=[]'\" \t\n")
            known = len(name) <= LONGEST_PATH and all(part.isidentifier() for part in name.split("."))
            if not known or self._next() != "=":
                raise self._error("expected field=value")
            if name in found:
                raise RequestError(f"{shown(self.text)} gives {name} twice; give it once")
            self.at += 1
            found[name] = self._value(depth)
            if self._next() == ",":
                self.at += 1
            elif self._next() != ")":
                raise self._error("expected ',' or ')'")
        self.at += 1
        return found

    def _value(self, depth: int) -> Any:
        first = self._next()
        if first in ("'", '"') and first:
            end = self.text.find(first, self.at + 1)
            if end < 0:
                raise self._error("a quotation without an end")
            found, self.at = self.text[self.at + 1 : end], end + 1
            return found
        if first == "[":
            self.at += 1
            values = []
            while self._next() != "]":
                values.append(self._value(depth))
                if self._next() == ",":
                    self.at += 1
                elif self._next() != "]":
                    raise self._error("expected ',' or ']'")
            self.at += 1
            return values
        start = self.at
        text = self._word("(),=[]'\"")
        if not text:
            raise self._error("expected a value")
        if self._next() == "(":
            self.at = start
            return self._call(depth + 1)
        return text


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A record's settings by dotted path; at a slot's own path stands the component's name.

    >>> flatten({"training": {"seed": 0, "optimizer": {"name": "adamw", "lr": 0.1}}})
    {'training.seed': 0, 'training.optimizer': 'adamw', 'training.optimizer.lr': 0.1}
    """
    found: dict[str, Any] = {}
    _flatten(tree, prefix, found)
    return found


def _flatten(tree: Mapping[str, Any], prefix: str, found: dict[str, Any]) -> None:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if not isinstance(value, dict):  # a Mapping of any kind takes ten times as long to tell
            found[path] = value
        elif "name" in value:
            found[path] = value["name"]
            _flatten({name: one for name, one in value.items() if name != "name"}, f"{path}.", found)
        else:
            _flatten(value, f"{path}.", found)


def unflatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`: a path with others below it holds the name of the component there."""
    tree: dict[str, Any] = {}
    inner = {path.rpartition(".")[0] for path in settings}
    for path in sorted(settings):
        at = tree
        *above, last = path.split(".")
        for part in above:
            at = at.setdefault(part, {})
        if path in inner:
            at.setdefault(last, {})["name"] = settings[path]
        else:
            at[last] = settings[path]
    return tree


def call_text(value: Any) -> str:
    """A value of a record as `--set` takes it: a component as its call, a list in brackets, None as none."""
    if isinstance(value, Mapping) and "name" not in value:  # several components by name
        return f"[{', '.join(call_text({'name': name} | dict(one)) for name, one in value.items())}]"
    if isinstance(value, Mapping):
        fields = ", ".join(f"{key}={argument_text(one)}" for key, one in value.items() if key not in ("name", "revision"))
        return f"{value['name']}({fields})" if fields else str(value["name"])
    if isinstance(value, list | tuple):
        return ",".join(map(call_text, value))
    return "none" if value is None else str(value)


def argument_text(value: Any) -> str:
    """A value of a record as it stands in a call."""
    text = call_text(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(argument_text, value))}]"
    if isinstance(value, str) and (not text or any(one in "(),=[]'\" " for one in text)):
        return f'"{text}"' if '"' not in text else f"'{text}'"
    return text


def differences(record: Any, start: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The settings (path, text) that turn the record `start` into `record`."""
    if isinstance(record, Mapping) and isinstance(start, Mapping) and record.get("name") == start.get("name"):
        for key in dict.fromkeys([*record, *start]):
            below = f"{path}.{key}".lstrip(".")
            gone = "name" not in record and isinstance(start.get(key), Mapping)  # a term; fields belong to other versions
            if key in record or gone:
                yield from differences(record.get(key), start.get(key), below)
    elif isinstance(record, Mapping) and "name" not in record:  # a term that was added
        yield from ((f"{path}.{key}", call_text(value)) for key, value in record.items())
    elif record != start and not _alike(record, start) and not _alike(start, record):
        yield path, call_text(record)


def _alike(flat: Any, tree: Any) -> bool:
    """Whether a value says of a tree what `flatten` leaves of it: a component without fields is its name, no terms are nothing."""
    return {"name": flat} == tree or (flat is None and tree == {})
