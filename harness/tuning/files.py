"""What a study leaves in the store for others: the chosen setting as TOML."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping

from harness.changes import claim_of
from harness.errors import HarnessError

_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(settings: Mapping[str, object], comments: Iterable[str] = ()) -> str:
    """Settings by path ('loss.mse') as TOML with their sections; numbers, text, flags and lists of them."""
    sections: dict[str, dict[str, object]] = {}
    paths = {claim_of(path, value): value for path, value in settings.items()}  # a table cannot be a number as well
    for path, value in paths.items():
        if any(other.startswith(f"{path}.") for other in paths):
            path = f"{path}.name"
        section, _, name = path.rpartition(".")
        if not all(_KEY.fullmatch(part) for part in path.split(".")):
            raise HarnessError(f"{path!r} is no path of a setting")
        sections.setdefault(section, {})[name] = value
    lines = ["# " + "".join(one if one.isprintable() else " " for one in comment) for comment in comments]
    for section, values in sorted(
        sections.items(), key=lambda item: item[0] != ""
    ):  # a table would take what stands below it
        lines += [
            "",
            *([f"[{section}]"] if section else []),
            *(f"{name} = {_literal(f'{section}.{name}', value)}" for name, value in values.items()),
        ]
    return "\n".join(lines).lstrip("\n") + "\n"


def _literal(path: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(path, one) for one in value) + "]"
    raise HarnessError(f"{path} is {value!r}, which a TOML file cannot hold")
