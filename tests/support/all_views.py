"""The views that are built in, by name."""

from __future__ import annotations

from harness.views import (
    HalfTurn,
    HorizontalFlip,
    Identity,
    QuarterTurn,
    ThreeQuarterTurn,
    Transpose,
    VerticalFlip,
    View,
)

VIEWS: dict[str, View] = {
    kind.name: kind()
    for kind in (Identity, HorizontalFlip, VerticalFlip, QuarterTurn, HalfTurn, ThreeQuarterTurn, Transpose)
}


def views_of(*names: str) -> tuple[View, ...]:
    return tuple(VIEWS[name] for name in names)
