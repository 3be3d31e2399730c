"""Texts and numbers from records, shortened to what a page can show."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

from harness.notation import split_outside

MOST_SHOWN = 120
"""Characters of a value that are shown where it differs."""
MOST_LISTED = 20
LABEL_LENGTH = 34
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def distinct(values: Iterable[str]) -> list[str]:
    """The different values, in the order of their first appearance."""
    return list(dict.fromkeys(values))


def shorten(text: str, most: int = MOST_SHOWN) -> str:
    """The text on one line, its middle left out where it is long."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    end = f"... ({len(line):,} characters)"
    return f"{line[: most - max(21, len(end))]}{end}"


def label(text: str, most: int = LABEL_LENGTH) -> str:
    """A name that can be drawn: on one line, printable, its middle left out where it is long: arms of a sweep differ in the end."""
    line = "".join(character if character.isprintable() else "?" for character in shorten(text, 10_000))
    start = (most - 3) // 3
    return line if len(line) <= most else f"{line[:start]}...{line[start + 3 - most :]}"


def compact(value: object) -> str:
    """A value as JSON text; a text as it is."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    plain = type(value) is int or (type(value) is float and math.isfinite(value))
    return repr(value) if plain else _JSON.encode(value)


def number(value: object) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else f"{value}"
    return shorten(compact(value))


def real(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def percent(value: object) -> str:
    """A share in [0, 1]; '0%' for anything that is no number."""
    return f"{real(value) or 0:.0%}"


def listed(values: Sequence[int], most: int = MOST_LISTED) -> str:
    """Numbers, the first `most` of them."""
    return ", ".join(map(str, values[:most])) + (f" and {len(values) - most} more" if len(values) > most else "")


def counted(count: int, noun: str) -> str:
    """'1 seed', '2 seeds'."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def names_in(composition: str) -> list[str]:
    """The names of a composition's variants, without their arguments."""
    return [part.partition("(")[0] for part in split_outside(composition, "+")]
