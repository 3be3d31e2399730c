"""Runs a plan: skips what the store has, gives the rest to an executor, and reports what is missing."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from harness.ablation.auto import Standing, decide
from harness.ablation.controls import EXPECTED, controls
from harness.ablation.plan import PARAMETERS_WITHIN, REFERENCE, Ablation, Planned, arms, expand
from harness.ablation.question import Question, ask
from harness.ablation.record import RATE, PlanRecord, Row, Tuned
from harness.data.source import Source
from harness.errors import HarnessError, Interrupted, RequestError
from harness.executors.processes import Processes
from harness.executors.protocol import Executors, Task
from harness.executors.work import work
from harness.experiment import BUDGETS
from harness.runs.job import Done, Job
from harness.runs.outcome import finished, question_of
from harness.runs.request import Request
from harness.runs.together import Together
from harness.store import Cell, DamagedRecord, Store, validated
from harness.store.index import MANY
from harness.store.marks import Marks
from harness.system.garbage import uncollected
from harness.system.signals import stop_signals
from harness.variant import Variants


class Runner:
    """Turns a plan's cells into runs of a store. Raises RequestError for unknown variants and conflicts.

    Args:
        note: receives messages to the user.
        executors: makes the executor that runs the cells.
        variants: the variants that the plan may name; the installed ones and those of the plugin files if not given.
        tuned: each arm's learning rate, where it was tuned (see `harness.ablation.tune`).
    """

    def __init__(
        self,
        ablation: Ablation,
        store: Store,
        note: Callable[[str], None],
        executors: Executors = Processes,
        variants: Variants | None = None,
        tuned: Mapping[str, Tuned] = MappingProxyType({}),
    ) -> None:
        self.ablation, self.store, self.note, self.executors = ablation, store, note, executors
        self.variants = variants or Variants(files=ablation.plugins, third_party=ablation.third_party)
        found = arms(ablation.plan, ablation.variants, self.variants.compose)
        self.left_out = found.left_out
        self.names = found.names
        first = ablation.seeds if ablation.rule is None else ablation.seeds[: ablation.rule.looks[0]]
        self.controls = self._controls() if ablation.controls else {}
        names = [*found.names, *(one for one in self.controls.values() if one not in found.names)]
        self.rows = [Row(planned) for planned in expand(ablation.plan, names, first)]
        self.source: Source | None = None
        self._tuned = tuned
        self._values: dict[Planned, float | None] = {}
        self._first: dict[tuple[object, ...], Cell] = {}
        self._marks: Marks | None = None
        self._questions: dict[str, str] = {}
        self._done = 0
        self._saves_again = -math.inf
        self._record = PlanRecord(ablation, store, self.left_out, tuned, self.controls)
        for name, reason in self.left_out.items():
            note(f"left out: {name}: {reason}")

    @property
    def record_name(self) -> str:
        """The name of the plan's file under plans/."""
        return self._record.name

    def _controls(self) -> dict[str, str]:
        """The rows of the controls, by what they are for."""
        base = self.ablation.request.experiment(self.variants, REFERENCE)
        return {role: self.variants.compose(text).name for role, text in controls(base).items()}

    def prepare(self) -> list[Row]:
        """Makes the cells whose budget is known, and marks those that the store has. Trains nothing.

        Raises RequestError when the plan asks for equal parameters and an arm has more or fewer than base.
        """
        if self._marks is None and len(self.rows) >= MANY:
            self._marks = Marks(self.store)
        with uncollected():
            for row in self.rows:
                self._prepare(row)
        if self._marks is not None:
            self._marks.save()
        if self.ablation.match == "parameters":
            self._check_parameters()
        return self.rows

    def _prepare(self, row: Row) -> None:
        if row.cell is None and (request := self._matched(row.planned)) is not None:
            row.cell = self._cell(request, row.planned)
            row.request = request
            if self._finished(row.cell):
                row.status, row.cached = "finished", True
                self._done += 1

    def _cell(self, request: Request, planned: Planned) -> Cell:
        """The cell of a row. Those of one arm and budget differ in their seed alone, so the first of them makes the others."""
        settings = request.settings or {}
        arm = (planned.label, *(settings.get(f"training.{name}") for name in BUDGETS))
        if (first := self._first.get(arm)) is not None:
            return request.reseeded(first, self.variants, planned.seed)
        self._first[arm], self.source = request.cell(self.variants, planned.variant, planned.seed, self.source)
        return self._first[arm]

    def question(self) -> Question | None:
        """What the plan asks; None for A/A plans, which judge nothing. Call `prepare` first."""
        if self.ablation.plan == "a-a":
            return None
        cells = {row.planned.label: row.cell for row in reversed(self.rows) if row.cell is not None}
        wanted = {row: EXPECTED[role] for role, row in self.controls.items()}
        return ask(self.ablation, self.names, {name: cell.experiment for name, cell in cells.items()}, wanted)

    def standing(self) -> Standing | None:
        """What the finished cells decide, with a rule of seeds."""
        rule = self.ablation.rule
        if rule is None:
            return None
        values: dict[str, dict[int, float | None]] = {name: {} for name in self.names}
        for row in self.rows:
            if row.planned.label not in values:
                continue  # a control, which has no verdict by the rule
            if row.status == "finished" and row.cell is not None:
                if row.planned not in self._values:
                    result = self.store.run(row.cell).read("result.json")
                    steps, skipped = (result["training"][name] for name in ("steps", "skipped_steps"))
                    nothing = steps is not None and skipped >= steps  # it skipped all; without a network there are none
                    self._values[row.planned] = None if nothing else result["metrics"].get(rule.metric)
                values[row.planned.label][row.planned.seed] = self._values[row.planned]
            elif row.status == "failed":
                values[row.planned.label][row.planned.seed] = None
        return decide(rule, self.ablation.seeds, values[REFERENCE], {name: values[name] for name in self.names[1:]})

    def grow(self) -> list[Row]:
        """Adds the cells of the next look, of the arms that are open and of base, until some are to be run; returns these.

        Cells of arms that are decided are never made, so no executor gets them.
        """
        while (standing := self.standing()) is not None and standing.look is not None:
            there = {row.planned for row in self.rows}
            wanted = expand(self.ablation.plan, [REFERENCE, *standing.open], self.ablation.seeds[: standing.look])
            more = [Row(planned) for planned in wanted if planned not in there]
            if not more:
                break
            self.rows += more
            self.prepare()
            if todo := [row for row in more if row.status != "finished"]:
                done = [one for one in standing.decisions if one.arm not in standing.open]
                self.note(f"{len(done)} of {len(standing.decisions)} arms decided; the others get {standing.look} seeds")
                return todo
        return []

    def _check_parameters(self) -> None:
        from harness.evaluation.cost import forward_cost

        assert self.source is not None
        seed, shape = self.ablation.seeds[0], self.source.shape
        cells = {row.planned.variant: row.cell for row in self.rows if row.cell and row.planned.seed == seed}
        counts = {name: forward_cost(cell.experiment, shape, 1)[0] for name, cell in cells.items()}
        base = counts[REFERENCE]
        odd = [f"{name} has {count:,} ({count / base - 1:+.0%})" for name, count in counts.items() if _far(count, base)]
        if odd:
            raise RequestError(
                f"--equal parameters: {'; '.join(odd)}; base has {base:,}, and at most {PARAMETERS_WITHIN:.0%} more or less is "
                "accepted. Leave these out with --variants, or give them other sizes by arguments, such as simvp(hidden=24)"
            )

    def _finished(self, cell: Cell) -> bool:
        """Whether the store has all of a cell's result. In a large plan it is read once, until a file changes."""
        asked = (cell.run_id, cell.training_key, self._asked(cell))
        if self._marks is not None and self._marks.has(*asked):
            return True
        said: list[str] = []
        try:
            found = finished(self.store, cell, said.append) is not None
        except DamagedRecord as error:
            found, said = False, [f"damaged: {error}"]
        for text in said:
            self.note(text)
        if self._marks is not None and found and not said:
            self._marks.put(*asked)
        return found

    def _asked(self, cell: Cell) -> str:
        """What a cell's answer must have beside its keys: the same for all seeds of an arm."""
        if cell.variant not in self._questions:
            self._questions[cell.variant] = question_of(cell)
        return self._questions[cell.variant]

    def _matched(self, planned: Planned) -> Request | None:
        """The request with the budget that makes a cell cost what base costs; None while base's cost is not known yet."""
        ablation = self.ablation
        request = replace(ablation.request, arm=self._arm(planned))
        if planned.variant in self.controls.values():  # it has its own budget, whatever --set says
            dose = {path for one in self.variants.compose(planned.variant).variants for path in one.dose}
            return replace(
                request, settings={path: one for path, one in (request.settings or {}).items() if path not in dose}
            )
        if ablation.match in ("steps", "parameters") or planned.variant == REFERENCE:
            return request
        of_base = Planned(REFERENCE, REFERENCE, planned.seed)
        base = self._cell(replace(request, arm=self._arm(of_base)), of_base)
        cell = self._cell(request, planned)
        assert self.source is not None
        if cell.training_key == base.training_key:
            return request  # it shares base's training, such as test-time augmentation
        if ablation.match == "flops":
            from harness.evaluation.cost import training_flops

            if base.experiment.training.steps is None:
                raise RequestError("--equal flops needs a budget in steps or epochs, not in training.seconds")
            shape = self.source.shape
            ratio = training_flops(base.experiment, shape) / training_flops(cell.experiment, shape)
            return request.with_settings({"training.steps": max(1, round(base.experiment.training.steps * ratio))})
        try:
            summary = self.store.training(base).read_or_none("training.json")
        except DamagedRecord:  # its result has the times as well
            summary = self.store.run(base).read("result.json")["training"] if self._finished(base) else None
        if summary is None:
            return None
        with validated(self.store.training(base).path / "training.json"):
            seconds = round(summary["seconds"] + summary["warm_up_seconds"], 3)
            return request.with_settings({"training.seconds": max(0.001, seconds)})

    def _arm(self, planned: Planned) -> dict[str, object]:
        """The settings of a row's own."""
        return {RATE: self._tuned[planned.variant].rate} if planned.variant in self._tuned else {}

    def run(self) -> list[Row]:
        """Runs every cell that is not finished. Returns the rows; a cell that fails is a row with an error.

        Raises Interrupted when the process is told to stop, after the cells under way have saved their state.
        """
        self.prepare()
        self._record.set_aside_damaged(self.note)
        if (question := self.question()) is not None:
            self._record.register(question, self.rows)
            self.note(f"plan {question.record()['digest']}: {question.text} Margin: {question.margin_from}")
        self._save()
        if self.source is not None and self.source.text:
            self.note(self.source.text)
        ends = math.inf if self.ablation.max_hours is None else time.monotonic() + self.ablation.max_hours * 3600
        todo = [row for row in self.rows if row.status != "finished"]
        stopping = False

        def stops() -> bool:
            nonlocal stopping
            if not stopping and (stop.is_set() or time.monotonic() > ends):
                stopping = True
                self.note("stopping: saving the state of the cells under way")
            return stopping

        executor = self.executors(self.ablation.workers)
        with stop_signals() as stop, contextlib.closing(executor):
            for rows, done in work(executor, functools.partial(self._take, todo), stops):
                for row, one in zip(rows, done.parts or [done] * len(rows), strict=True):
                    self._settle(row, one, todo, stopping, again=len(rows) > 1 and not done.parts)
                if time.monotonic() > self._saves_again:
                    self._save()
        _set_status(todo, "stopped")
        self._take_back_lost()
        self._save()
        if stop.is_set():
            raise Interrupted(f"{self._counts()}; run the same command again to continue")
        return self.rows

    def _there(self, cell: Cell) -> bool:
        """Whether the store has what a finished cell wrote."""
        return self.store.run(cell).has("result.json")

    def _take_back_lost(self) -> None:
        """What was deleted from the store while the plan ran is not called finished."""
        for row in self.rows:
            if row.status == "finished" and row.cell is not None and not self._there(row.cell):
                row.status, row.error = "failed", f"its result is no longer in the store {self.store.root}"
                self.note(f"{row.planned.label} seed {row.planned.seed}: {row.error}")

    def _save(self) -> None:
        """Writes the plan's record, which holds every cell. After a cell it is written again only when ten times as long has passed
        as writing took: reports see from the runs themselves which are finished.
        """
        began = time.monotonic()
        self._record.save(self.rows, self.standing())
        if self._marks is not None:
            self._marks.save()
        self._saves_again = time.monotonic() + 10 * (time.monotonic() - began)

    def _take(self, todo: list[Row], under_way: Collection[tuple[Row, ...]]) -> tuple[tuple[Row, ...], Task] | None:
        """Takes the next cell that can start, from the next look's cells when none is left; for a process that trains several
        cells, the next ones.
        """
        if not todo and not under_way:
            todo += self.grow()
        while todo:
            taken: list[Row] = []
            while len(taken) < self.ablation.cells_per_process and not any(map(_alone, taken)):
                busy = [*taken, *(row for rows in under_way for row in rows)]
                if (row := self._next(todo, busy, beside=bool(taken))) is None:
                    break
                taken.append(row)
            if taken:
                for row in taken:
                    row.attempts += 1
                jobs = tuple(map(self._job, taken))
                return tuple(taken), Together(jobs) if len(jobs) > 1 else jobs[0]
            if under_way:
                break
            _set_status(todo, "failed", "base of this seed has not finished, so its budget is unknown")
            todo += self.grow()
        return None

    def _next(self, todo: list[Row], under_way: Collection[Row], beside: bool = False) -> Row | None:
        """The next cell whose budget is known and whose weights no cell under way trains; one for `beside` others if asked."""
        busy = {row.cell.training_key for row in under_way if row.cell}
        at = 0
        while at < len(todo):
            row = todo[at]
            self._prepare(row)
            if row.status == "finished":
                del todo[at]
            elif row.cell is not None and row.cell.training_key not in busy and not (beside and _alone(row)):
                del todo[at]
                return row
            else:
                at += 1
        return None

    def _job(self, row: Row) -> Job:
        assert row.request is not None
        assert row.cell is not None
        where, what = self.store.root, row.planned
        return self.ablation.job(where, row.request, what.variant, what.seed, training=row.cell.training_key)

    def _settle(self, row: Row, done: Done, todo: list[Row], stopping: bool, again: bool) -> None:
        """Notes a cell's answer. `again`: it failed with others, and which of them is to blame is not known."""
        assert row.cell is not None
        what = f"{row.planned.label} seed {row.planned.seed}"
        for text in done.notes:
            self.note(text)
        if done.error is None:
            row.status, row.cached, row.error = "finished", done.cached, None
            self._done += 1
            if self._marks is not None and not done.notes:
                self._marks.put(row.cell.run_id, row.cell.training_key, self._asked(row.cell))
            self.note(f"{what}: finished ({self._done} of {len(self.rows)})")
        elif done.stopped or stopping:
            row.status = "stopped"
        else:
            row.error = done.error
            again = again or row.attempts <= self.ablation.retries
            self.note(f"{what}: failed{', trying again' if again else ''}: {done.error}")
            record = {"variant": row.cell.variant, "seed": row.planned.seed, "error": done.error, "attempts": row.attempts}
            with contextlib.suppress(HarnessError):  # a full disk must not hide the cell's own error
                folder = self.store.run(row.cell)
                folder.write("experiment.json", row.cell.record())  # `harness show` reads what failed
                folder.write("failure.json", record)
            row.status = "waiting" if again else "failed"
            if again:
                todo.append(row)

    def _counts(self) -> str:
        counts = {status: sum(row.status == status for row in self.rows) for status in ("finished", "failed", "stopped")}
        return ", ".join(f"{count} of {len(self.rows)} cells {status}" for status, count in counts.items() if count)


def _far(count: int, base: int) -> bool:
    """Whether an arm has too many or too few parameters to be called equal to base."""
    return abs(count - base) > PARAMETERS_WITHIN * base


def _alone(row: Row) -> bool:
    """Whether a cell gets a process of its own: on a second attempt, and where seconds are its budget or another's measure."""
    return row.attempts > 0 or (row.cell is not None and row.cell.experiment.training.seconds is not None)


def _set_status(todo: list[Row], status: str, error: str | None = None) -> None:
    """Gives up the remaining rows."""
    for row in todo:
        row.status, row.error = status, error
    todo.clear()
