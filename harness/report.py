"""What a report is to the engine: a named thing that rebuilds pages from a store. The reports are plugins (`harness.reports`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.registry import Variants
from harness.store import Store


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report: `build(store, variants, out)` writes its files into the folder `out` and returns their paths."""

    name: str
    summary: str
    build: Callable[[Store, Variants, Path], list[Path]]
