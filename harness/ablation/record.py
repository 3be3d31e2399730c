"""A plan's record in the store: the report reads there which runs belong together and which are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from harness.ablation.auto import Standing
from harness.ablation.plan import REFERENCE, Ablation, Planned
from harness.ablation.question import Question
from harness.runs.request import Request
from harness.store import Cell, DamagedRecord, Folder, Store, key_of

RATE = "training.optimizer.lr"


@dataclass(frozen=True)
class Trial:
    """A learning rate that was tried, and the selected metric on validation that it gave; None where it failed."""

    rate: float
    value: float | None
    run_id: str | None


@dataclass(frozen=True)
class Tuned:
    """An arm's learning rate, its own before that, and the trials on `seed` that chose it."""

    rate: float
    own: float
    seed: int
    trials: tuple[Trial, ...]


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

    def __init__(
        self,
        ablation: Ablation,
        store: Store,
        left_out: Mapping[str, str] = MappingProxyType({}),
        tuned: Mapping[str, Tuned] = MappingProxyType({}),
        controls: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._facts: dict[str, Any] = {"reference": REFERENCE, "command": ablation.command, "left_out": dict(left_out)}
        if tuned:
            self._facts["tuned"] = {name: asdict(one) for name, one in tuned.items()}
        if controls:
            self._facts["controls"] = dict(controls)
        request = ablation.request
        settings = {**(request.config or {}), **(request.settings or {})}
        self._store, self._folder = store, Folder(store.part("plans"))
        self._spec: dict[str, Any] = {
            "plan": ablation.plan,
            "match": ablation.match,
            "preset": request.preset,
            "variants": list(ablation.variants),
            "seeds": list(ablation.seeds),
            "settings": {path: str(value) for path, value in settings.items()},
        }
        if ablation.tune:
            self._spec["tune"] = ablation.tune
        if ablation.controls:
            self._spec["with_controls"] = True
        if ablation.rule is not None:
            self._spec["seed_rule"] = ablation.rule.record()
        self._name = f"{key_of(self._spec)}.json"

    @property
    def name(self) -> str:
        """The file's name."""
        return self._name

    def set_aside_damaged(self, note: Callable[[str], None]) -> None:
        """Moves an earlier record that is damaged to quarantine. Raises NewerFormat for one of a newer version."""
        try:
            self._folder.read_or_none(self._name)
        except DamagedRecord as error:
            aside = self._store.quarantine(self._folder.path / self._name, str(error))
            note(f"damaged: {error}. It is kept in {aside} and written again")

    def register(self, question: Question, rows: Sequence[Row]) -> None:
        """Puts the question into the record before the first run. What was asked first stays; another question is a departure.

        Arms that were finished before are counted: whoever asked could have known their results.
        """
        asked = question.record()
        before = self._folder.read_or_none(self._name) or {}
        if (first := before.get("question")) is None:
            known = sum(row.status == "finished" and row.planned.label != REFERENCE for row in rows)
            self._facts |= {"question": asked, "known_before": known, "departures": []}
            return
        self._facts |= {name: before[name] for name in ("question", "known_before", "departures")}
        if asked["digest"] != first["digest"]:
            changed = [name for name in asked if name not in ("digest", "question") and asked[name] != first.get(name)]
            said = f"asked again with another {', '.join(changed)} (digest {asked['digest']})"
            self._facts["departures"] = list(dict.fromkeys([*before["departures"], said]))

    def save(self, rows: Sequence[Row], standing: Standing | None = None) -> None:
        """Writes the record; with a rule of seeds, where the plan stands."""
        cells = [row.record() for row in rows]
        facts = dict(self._facts)
        if standing is not None:
            facts["decisions"] = [asdict(one) for one in standing.decisions]
        self._folder.write(self._name, self._spec | facts | {"cells": cells})
