"""Which rows of a table are doses of one thing: equal but for one number."""

from __future__ import annotations

from collections import defaultdict

from harness.notation import split_outside
from reports.analysis.groups import Group, Method

Curves = dict[str, dict[float, Method]]
"""Composition without the varying argument -> its value -> row."""

NAMES = ("training.data_order", "training.seed", "data.test_seed")
"""Numbers that name a draw: 1 is no more of anything than 0."""


def doses(group: Group) -> dict[str, Curves]:
    """Setting -> curves: the compositions that the table has with at least two values of that setting.

    The row of the composition without the argument is a dose as well: its value is the default.
    """
    plain = {method.variant: method for method in group.methods}
    found: dict[str, Curves] = defaultdict(lambda: defaultdict(dict))
    for method in group.methods:
        for rest, argument in _without_one(method.variant):
            path = next((one for one in method.first.changes if one == argument or one.endswith(f".{argument}")), argument)
            for row in (method, plain.get(rest)) if path not in NAMES else ():
                value = row.first.settings.get(path) if row else None
                if row is not None and isinstance(value, int | float) and not isinstance(value, bool):
                    found[path][rest][float(value)] = row
    curves = {
        path: {rest: dict(sorted(points.items())) for rest, points in sorted(one.items()) if len(points) > 1}
        for path, one in sorted(found.items())
    }
    return {path: one for path, one in curves.items() if one}


def _without_one(composition: str) -> list[tuple[str, str]]:
    """The composition without one of its arguments, and that argument's name, for each argument.

    >>> _without_one("attention(blocks=1, heads=8)+tta")
    [('attention(heads=8)+tta', 'blocks'), ('attention(blocks=1)+tta', 'heads')]
    """
    parts = split_outside(composition, "+")
    found = []
    for index, part in enumerate(parts):
        name, opened, inner = part.partition("(")
        arguments = split_outside(inner[:-1], ",") if opened else []
        for number, argument in enumerate(arguments):
            others = ", ".join([*arguments[:number], *arguments[number + 1 :]])
            rest = [*parts[:index], f"{name}({others})" if others else name, *parts[index + 1 :]]
            kept = [one for one in rest if one != "base"] or ["base"]
            found.append(("+".join(sorted(kept)), argument.partition("=")[0]))
    return found
