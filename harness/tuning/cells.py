"""The cells of a study's trials: made from settings and a seed, run as tasks, read from the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.data.source import Source
from harness.executors.protocol import Task
from harness.experiment import Experiment
from harness.runs.job import Job
from harness.runs.request import SEED, Request
from harness.store import Cell, DamagedRecord, Store, validated
from harness.tuning.request import StudyRequest
from harness.variant import Variants


class Subject(Protocol):
    """What the engine needs to know of a trial's cell."""

    @property
    def run_id(self) -> str:
        """The id of its run."""
        ...


class Cells(Protocol):
    """Where trials' cells come from, and what is known of them."""

    def make(self, settings: Mapping[str, object], seed: int) -> Subject:
        """The cell of these settings and this seed. Raises RequestError for settings that cannot be."""
        ...

    def task(self, cell: Any, *, evaluate: bool = False) -> Task:
        """What runs the cell: trains it and, with `evaluate`, tests it."""
        ...

    def summary(self, cell: Any) -> Mapping[str, Any] | None:
        """The summary of its training when that is finished."""
        ...

    def validations(self, cell: Any) -> list[tuple[int, float]]:
        """What its training, maybe under way, has shown so far: (number of the validation from 1, best SSIM so far)."""
        ...

    def tested(self, cell: Any) -> Mapping[str, Any] | None:
        """Its test metrics when it was tested."""
        ...


@dataclass(frozen=True)
class TrialCell:
    """A cell of the store and how it was asked for."""

    cell: Cell
    request: Request

    @property
    def run_id(self) -> str:
        """The id of its run."""
        return self.cell.run_id


@dataclass
class StoreCells:
    """Cells of one variant in a store."""

    asked: StudyRequest
    variant: str
    store: Store
    variants: Variants
    _source: Source | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """What was understood of the user's files; empty for generated sequences, and before the first cell."""
        return "" if self._source is None else self._source.text

    def experiment(self) -> tuple[Experiment, Mapping[str, str]]:
        """What trials start from, resolved, and the identity of its data."""
        cell, self._source = self.asked.request.cell(self.variants, self.variant, None, self._source)
        return cell.experiment, cell.identity

    def make(self, settings: Mapping[str, object], seed: int) -> TrialCell:
        """The cell of the user's request with these settings on top."""
        request = self.asked.request.with_settings({**settings, SEED: seed})
        cell, self._source = request.cell(self.variants, self.variant, seed, self._source)
        return TrialCell(cell, request)

    def task(self, cell: TrialCell, *, evaluate: bool = False) -> Job:
        """The job for a worker."""
        return self.asked.job(
            self.store.root, cell.request, self.variant, cell.cell.seed, evaluate=evaluate, training=cell.cell.training_key
        )

    def summary(self, cell: TrialCell) -> Mapping[str, Any] | None:
        """training.json."""
        try:
            return self.store.training(cell.cell).read_or_none("training.json")
        except DamagedRecord:  # its task sets it aside and repairs it
            return None

    def validations(self, cell: TrialCell) -> list[tuple[int, float]]:
        """From metrics.jsonl."""
        best, found = -math.inf, []
        every = cell.cell.experiment.training.validate_every
        for line in self.store.training(cell.cell).validations():
            ssim = line.get("ssim")
            best = max(best, float(ssim)) if isinstance(ssim, int | float) else best
            if math.isfinite(best):
                found.append((-(-line["step"] // every), best))
        return found

    def tested(self, cell: TrialCell) -> Mapping[str, Any] | None:
        """The metrics of result.json."""
        run = self.store.run(cell.cell)
        try:
            result = run.read_or_none("result.json")
        except DamagedRecord:  # as above
            return None
        if result is None:
            return None
        with validated(run.path / "result.json"):
            return {name: None if value is None else float(value) for name, value in result["metrics"].items()}
