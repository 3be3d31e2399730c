"""A plan's record in the store: the report reads there which runs belong together and which are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.ablation.plan import REFERENCE, Ablation, Planned
from harness.runs.request import Request
from harness.store import Cell, DamagedRecord, Folder, Store, key_of


@dataclass
class Row:
    """A planned cell and its status: 'waiting', 'finished', 'failed' or 'stopped'."""

    planned: Planned
    status: str = "waiting"
    cell: Cell | None = None
    request: Request | None = None
    cached: bool = False
    attempts: int = 0
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """Plain values for the plan's record and for --json."""
        return {
            "label": self.planned.label,
            "variant": self.planned.variant,
            "seed": self.planned.seed,
            "run_id": self.cell.run_id if self.cell else None,
            "training_key": self.cell.training_key if self.cell else None,
            "status": self.status,
            "cached": self.cached,
            "attempts": self.attempts,
            "error": self.error,
        }


class PlanRecord:
    """The file of one plan under plans/, named by the digest of what makes it a different plan."""

    def __init__(self, ablation: Ablation, store: Store, left_out: Mapping[str, str] = MappingProxyType({})) -> None:
        self._left_out = dict(left_out)
        request = ablation.request
        settings = {**(request.config or {}), **(request.settings or {})}
        self._store, self._folder, self._command = store, Folder(store.part("plans")), ablation.command
        self._spec = {
            "plan": ablation.plan,
            "match": ablation.match,
            "preset": request.preset,
            "variants": list(ablation.variants),
            "seeds": list(ablation.seeds),
            "settings": {path: str(value) for path, value in settings.items()},
        }
        self._name = f"{key_of(self._spec)}.json"

    def set_aside_damaged(self, note: Callable[[str], None]) -> None:
        """Moves an earlier record that is damaged to quarantine. Raises NewerFormat for one of a newer version."""
        try:
            self._folder.read_or_none(self._name)
        except DamagedRecord as error:
            aside = self._store.quarantine(self._folder.path / self._name, str(error))
            note(f"damaged: {error}. It is kept in {aside} and written again")

    def save(self, rows: Sequence[Row]) -> None:
        """Writes the record."""
        cells = [row.record() for row in rows]
        facts = {"reference": REFERENCE, "command": self._command, "left_out": self._left_out}
        self._folder.write(self._name, self._spec | facts | {"cells": cells})
