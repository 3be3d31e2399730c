"""A learning rate of its own for every arm of a plan, found by an equal number of trials before the plan is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.ablation.plan import Ablation, Planned
from harness.ablation.record import RATE, Row, Trial, Tuned
from harness.ablation.runner import Runner
from harness.errors import HarnessError, RequestError
from harness.evaluation.conventions import metric_named
from harness.executors.processes import Processes
from harness.executors.protocol import Executors
from harness.runs.job import Job
from harness.store import Cell, DamagedRecord, Store
from harness.variant import Variants

STEP = 10**0.5
"""Between two rates that are tried."""


def rates(own: float, count: int) -> list[float]:
    """The rates of `count` trials: the arm's own, then further and further away on either side, in half decades.

    >>> rates(0.001, 4)
    [0.001, 0.00316, 0.000316, 0.01]
    """

    powers = [0, *(sign * power for power in range(1, count) for sign in (1, -1))]
    return [float(f"{own * STEP**power:.3g}") if power else own for power in powers[:count]]


class Tuner(Runner):
    """Runs the trials of a plan's arms: trained, never tested, on a seed that the plan does not judge.

    Every trial has the budget that the plan's `--equal` gives its arm beside base at base's own rate. Raises RequestError for an
    arm that has no learning rate, or sets it.
    """

    def __init__(
        self,
        ablation: Ablation,
        store: Store,
        note: Callable[[str], None],
        executors: Executors = Processes,
        variants: Variants | None = None,
    ) -> None:
        super().__init__(
            replace(ablation, seeds=(max(ablation.seeds) + 1,), rule=None), store, lambda text: None, executors, variants
        )
        self.note, (self.seed,) = note, self.ablation.seeds
        self._own: dict[str, float] = {}
        self._rate: dict[str, float] = {}  # a trial's label -> its rate
        arms = list(dict.fromkeys(row.planned.variant for row in self.rows))
        self.rows = [Row(self._trial(name, rate)) for name in arms for rate in rates(self._own_rate(name), ablation.tune)]

    def _own_rate(self, name: str) -> float:
        if any(RATE in one.dose for one in self.variants.compose(name).variants):
            raise RequestError(f"--tune searches {RATE}, which the arm {name!r} sets; leave one of them out")
        experiment = self.ablation.request.experiment(self.variants, name, self.seed)
        if experiment.inference.predictor is not None:
            raise RequestError(f"--tune searches {RATE}, and the arm {name!r} trains nothing; leave that arm out")
        own = experiment.get(RATE)
        if not isinstance(own, float):
            raise RequestError(f"--tune searches {RATE}, which the optimizer of {name!r} does not have; leave that arm out")
        self._own[name] = own
        return own

    def _trial(self, name: str, rate: float) -> Planned:
        label = f"{name}, rate {rate:g}"
        self._rate[label] = rate
        return Planned(label, name, self.seed)

    def tuned(self) -> dict[str, Tuned]:
        """The best rate of each arm of whose trials one has finished."""
        chosen = {}
        for name, own in self._own.items():
            rows = [row for row in self.rows if row.planned.variant == name]
            trials = tuple(
                Trial(self._rate[row.planned.label], self._value(row), row.cell.run_id if row.cell else None) for row in rows
            )
            finished = {one.rate: one.value for one in trials if one.value is not None}
            if finished:
                better = max if self._metric(name).higher_is_better else min
                chosen[name] = Tuned(better(finished, key=finished.__getitem__), own, self.seed, trials)
        return chosen

    def tune(self) -> dict[str, Tuned]:
        """Runs the trials that the store does not have. Raises HarnessError when all of an arm's trials failed."""
        self.run()
        chosen = self.tuned()
        for name, own in self._own.items():
            if name not in chosen:
                errors = [row.error or row.status for row in self.rows if row.planned.variant == name]
                raise HarnessError(
                    f"no trial of the learning rate of {name} finished ({errors[-1]}); call again to continue"
                )
            rate, tried = chosen[name].rate, sorted(one.rate for one in chosen[name].trials)
            edge = "; the best is at the edge of what was tried" if len(tried) > 1 and rate in (tried[0], tried[-1]) else ""
            self.note(f"{name}: learning rate {rate:g} of {', '.join(f'{one:g}' for one in tried)} (own: {own:g}){edge}")
        return chosen

    def question(self) -> None:
        """Trials of a rate choose, and judge nothing."""

    def _there(self, cell: Cell) -> bool:
        return self.store.training(cell).has("training.json")

    def _metric(self, name: str) -> Any:
        experiment = self.ablation.request.experiment(self.variants, name, self.seed)
        return metric_named(experiment.training.select, experiment.metrics)

    def _value(self, row: Row) -> float | None:
        if row.cell is None or row.status != "finished":
            return None
        summary = self._summary(row.cell)
        value = summary and summary.get(f"validation_{row.cell.experiment.training.select}")
        return float(value) if isinstance(value, int | float) else None

    def _summary(self, cell: Cell) -> Mapping[str, Any] | None:
        try:
            return self.store.training(cell).read_or_none("training.json")
        except DamagedRecord as error:
            self.note(f"damaged: {error}")
            return None

    # --- what differs from a plan

    def _arm(self, planned: Planned) -> dict[str, object]:
        return {RATE: self._rate.get(planned.label, self._own[planned.variant])}

    def _finished(self, cell: Cell) -> bool:
        return self._summary(cell) is not None

    def _job(self, row: Row) -> Job:
        return replace(super()._job(row), evaluate=False)

    def _save(self) -> None:
        """Trials are in the record of the plan that they are for."""
