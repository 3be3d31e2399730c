"""`--where`: conditions on rows, such as `variant=attention and (seed<3 or optimizer.lr>=0.01)`. Nothing is evaluated."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from harness.errors import RequestError
from harness.notation import DEEPEST, MOST_CHARACTERS, call_text, shown

Condition = Callable[[Mapping[str, Any]], bool]

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_OPERATOR = re.compile(r"<=|>=|!=|==|=|<|>|~")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def resolve(name: str, known: Collection[str], option: str) -> str:
    """The column or setting of that name: in full, or the end of one path alone (`optimizer.lr`). Raises RequestError."""
    if name in known:
        return name
    ends = sorted(one for one in known if one.endswith(f".{name}"))
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise RequestError(f"{option}: {name!r} may be {' or '.join(ends[:6])}; write more of the path")
    close = difflib.get_close_matches(name, [*known, *(one.rpartition(".")[2] for one in known)], n=1)
    hint = f" did you mean {close[0]!r}?" if close else ""
    columns = ", ".join(one for one in known if "." not in one)
    raise RequestError(
        f"{option}: no column or setting {shown(name)};{hint} columns: {columns}; settings: `harness list settings`"
    )


def short(name: str, known: Collection[str]) -> str:
    """The shortest end of a path that `resolve` takes for it."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        end = ".".join(parts[-count:])
        if end not in known and sum(one.endswith(f".{end}") for one in known) == 1:
            return end
    return name


def parse_where(text: str, known: Collection[str]) -> Condition:
    """Reads a condition: comparisons of a name with a value (`=`, `!=`, `<`, `<=`, `>`, `>=`, `~` for 'contains'), joined by `and`,
    `or`, `not` and parentheses. A value with spaces or commas stands in quotes; `none` is a setting that a run lacks.

    Args:
        known: the columns and paths of settings that rows have.

    Raises RequestError with the position of the first mistake.

    >>> found = parse_where("variant=attention(heads=2) and seed<3", ["variant", "seed"])
    >>> found({"variant": "attention(heads=2)", "seed": 2}), found({"variant": "base", "seed": 0})
    (True, False)
    """
    return _Reader(text, known).whole()


class _Reader:
    def __init__(self, text: str, known: Collection[str]) -> None:
        if len(text) > MOST_CHARACTERS:
            raise RequestError(f"--where has {len(text):,} characters; at most {MOST_CHARACTERS:,} are accepted")
        self.text, self.known, self.at, self.depth = text, known, 0, 0

    def whole(self) -> Condition:
        found = self._any()
        if self._rest():
            raise self._error("expected and, or, or the end")
        return found

    def _rest(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at :]

    def _error(self, wanted: str) -> RequestError:
        rest = self._rest()
        there = repr(rest[:10]) if rest else "the end"
        return RequestError(
            f"--where {shown(self.text)} at character {self.at + 1}: {wanted}, found {there}; write conditions such as "
            '"variant=attention and seed<3"'
        )

    def _word(self, word: str) -> bool:
        found = re.match(rf"{word}(?![\w.=<>!~-])", self._rest())
        self.at += len(word) if found else 0
        return found is not None

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._word("or"):
            parts.append(self._all())
        return lambda row: any(one(row) for one in parts)

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._word("and"):
            parts.append(self._one())
        return lambda row: all(one(row) for one in parts)

    def _one(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            raise RequestError(f"--where nests conditions more than {DEEPEST} deep")
        try:
            if self._word("not"):
                denied = self._one()
                return lambda row: not denied(row)
            if self._rest().startswith("("):
                self.at += 1
                inner = self._any()
                if not self._rest().startswith(")"):
                    raise self._error("expected ')'")
                self.at += 1
                return inner
            return self._comparison()
        finally:
            self.depth -= 1

    def _comparison(self) -> Condition:
        if (name := _NAME.match(self._rest())) is None:
            raise self._error("expected a column or a setting")
        path = resolve(name[0], self.known, "--where")
        self.at += name.end()
        if (sign := _OPERATOR.match(self._rest())) is None:
            raise self._error(f"expected =, !=, <, <=, >, >= or ~ after {name[0]}")
        self.at += sign.end()
        value = self._value()
        if sign[0] in _ORDER:
            return _ordered(path, sign[0], value)
        if sign[0] == "~":
            return lambda row: row.get(path) is not None and value in call_text(row[path])
        return (
            (lambda row: not _equal(row.get(path), value)) if sign[0] == "!=" else lambda row: _equal(row.get(path), value)
        )

    def _value(self) -> str:
        rest = self._rest()
        if rest[:1] in ("'", '"'):
            if (end := rest.find(rest[0], 1)) < 0:
                raise self._error("a quotation without an end")
            self.at += end + 1
            return rest[1:end]
        depth = length = 0
        for one in rest:  # a call such as attention(heads=2) is one value
            depth += (one in "([") - (one in ")]")
            if depth < 0 or (depth == 0 and one.isspace()):
                break
            length += 1
        if not length:
            raise self._error("expected a value")
        self.at += length
        return rest[:length]


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        return None


def _equal(value: object, text: str) -> bool:
    number, given = _number(value), _number(text)
    if number is not None and given is not None and not isinstance(value, str):
        return number == given
    return call_text(value) == text or (isinstance(value, bool) and str(value).lower() == text.lower())


def _ordered(path: str, sign: str, text: str) -> Condition:
    given = _number(text)
    if given is None:
        raise RequestError(f"--where {path}{sign}{shown(text)}: {sign} compares numbers; use = or != for texts")

    def holds(row: Mapping[str, Any]) -> bool:
        value = row.get(path)
        number = None if isinstance(value, str) else _number(value)
        if isinstance(value, str):
            raise RequestError(f"--where {path}{sign}{text}: {path} is text ({shown(value)}); use =, != or ~")
        return number is not None and _ORDER[sign](number, given)

    return holds
