"""The loop of a study: asks for trials, has an executor train their cells, tells what came out.

One process asks and tells for all its workers; any number of such processes, here or on other machines, may share a study
through its storage. Cells are in the store, so whatever is lost on the way costs no training:

- A trial belongs to the process that asked for it. When that is gone, another one queues the trial again with its parameters
  (`leftovers`), and its cell resumes from its checkpoint. The old number is no trial any more: it is listed and counted under
  its new one.
- Told to stop, a process saves the cells that it runs and queues their trials again in the same manner.
- Finished and pruned trials count; failed ones do not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, Interrupted
from harness.executors.protocol import Executor
from harness.experiment import Experiment
from harness.runs.job import Done
from harness.store import Store
from harness.studies import Params, Scalar, Study
from harness.system.secrets import redact
from harness.system.signals import stop_signals
from harness.tuning import leftovers, samplers
from harness.tuning.bound import BoundStudy
from harness.tuning.cells import Cells
from harness.tuning.record import StudyRecord, counts
from harness.tuning.request import StudyRequest
from harness.tuning.storage import Patience, Storage, experiments
from harness.tuning.trials import COUNTED, MARK, LiveTrial, Trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

CRASHES = 2
"""How often a cell whose process died is started again within its trial."""
WATCH_SECONDS = 0.5
SAVE_SECONDS = 2.0
STOP_SECONDS = 60.0


class Next(Enum):
    """What came of the wish to start a trial."""

    STARTED = auto()
    NONE_NOW = auto()
    ENOUGH = auto()


class Search:
    """Runs one study of one composition.

    Args:
        start: what trials start from, resolved, and the identity of its data.
        note: prints a line for the user.
    """

    def __init__(
        self,
        asked: StudyRequest,
        study: Study,
        store: Store,
        storage: Storage,
        cells: Cells,
        start: tuple[Experiment, Mapping[str, str]],
        note: Callable[[str], None],
    ) -> None:
        self.asked, self.storage, self.cells, self.note = asked, storage, cells, note
        self.bound = BoundStudy(asked, study, *start)
        self.patiently = Patience(storage, note)
        self.written = StudyRecord(self.bound, store, storage.shown, note)
        self.trials = Trials(self.bound, store, storage, self.patiently, note)
        self.leftovers = leftovers.Leftovers(self.trials)
        if self.written.known_trials and not self.trials.all():
            note(f"the storage {storage.shown} knows no trial of the study {self.id!r}, which has a record: it starts again")
        self._live: list[LiveTrial] = []
        self._failures: list[str] = []
        self._told_waiting = False
        self._saved = self._beaten = self._watched = -math.inf

    @property
    def id(self) -> str:
        """The study's identity."""
        return self.bound.id

    def record(self) -> dict[str, Any]:
        """The study's record; see `harness.studies`."""
        return self.written.make(self.trials.standing())

    def save(self, *, newest: bool = True) -> dict[str, Any]:
        """Writes the record and the best setting's TOML file; `newest`: as best.toml too. Returns the record."""
        return self.written.save(self.trials.standing(), newest=newest)

    def state(self) -> str:
        """How far the study is, in words."""
        found = counts(self.trials.standing())
        parts = [f"{found[name]} {name}" for name in ("complete", "pruned", "failed") if found[name] or name == "complete"]
        return f"study {self.id}: {', '.join(parts)} of {self.asked.trials} trials"

    # --- the loop ---

    def run(self, executor: Executor) -> None:
        """Runs until enough trials are finished. The record is written as trials end.

        Raises:
            Interrupted: told to stop; what was under way is saved and queued.
            HarnessError: too many trials in a row failed, or the storage stayed away.
        """
        started = time.monotonic()
        with self.leftovers.alive(), stop_signals() as stop:
            try:
                with self.trials.exclusive():
                    self._adopt()
                    self._queue_arms()
                while not (why := self._why_to_stop(stop.is_set(), time.monotonic() - started)):
                    next_one = self._start_one(executor) if len(self._live) < executor.slots else Next.NONE_NOW
                    if next_one is Next.ENOUGH and not self._live:
                        break
                    if self._live:
                        wait = 0.0 if next_one is Next.STARTED else WATCH_SECONDS
                        for ticket, done in executor.done(wait):
                            self._settle(next(one for one in self._live if one.ticket == ticket), done, executor)
                    elif next_one is not Next.STARTED:
                        time.sleep(WATCH_SECONDS)
                    self._tend(executor)
                if why and self._live:
                    self.note("stopping: the state of the cells under way is being saved")
                    self._stop_cells(executor)
                    for live in list(self._live):
                        self._requeue(live)
            except BaseException:  # the storage is away, or a second signal came: others find the trials by their owner
                self._stop_cells(executor)
                raise
            self._write()
        if why == "signal":
            raise Interrupted(f"{self.state()}; run the same command again to continue")
        if why == "failures":
            raise HarnessError(
                f"{len(self._failures)} trials in a row failed, the last one because: {self._failures[-1]} "
                f"({self.state()}, all kept; when the cause is fixed, the same command continues)"
            )
        if why == "timeout":
            self.note(f"the time is over: {self.state()}; run the same command again to continue")

    def _why_to_stop(self, told: bool, seconds: float) -> str:
        if told:
            return "signal"
        if len(self._failures) >= self.asked.max_failures:
            return "failures"
        return "timeout" if self.asked.timeout is not None and seconds > self.asked.timeout else ""

    def _tend(self, executor: Executor) -> None:
        """What is due: watching trainings for the pruner, the beat, trials of processes that died, the record."""
        now = time.monotonic()
        if now - self._watched >= WATCH_SECONDS:
            self._watched = now
            for live in self._live:
                if live.ticket is None or live.pruned:
                    continue
                if self._report_validations(live, prune=True):
                    live.pruned = True
                    executor.stop(live.ticket)
        if now - self._beaten >= leftovers.HEARTBEAT_SECONDS:
            self._beaten = now
            self.leftovers.beat()
            with self.trials.exclusive():
                self._adopt()
        if now - self._saved >= SAVE_SECONDS:
            self._write()

    def _report_validations(self, live: LiveTrial, *, prune: bool) -> bool:
        """Reports what the training has shown since the last call; returns whether the trial is given up."""
        if self.bound.pruner is None or len(live.cells) > 1:
            return False
        for step, ssim in self.cells.validations(live.cell):
            if step > live.reported:
                live.reported = step
                if self.trials.report(live, ssim, step) and prune:
                    return True
        return False

    def _adopt(self) -> None:
        self.leftovers.adopt({live.number for live in self._live})

    def _write(self) -> None:
        self._saved = time.monotonic()
        self.written.write(self.trials.standing())

    def _stop_cells(self, executor: Executor) -> None:
        """Has the cells under way save their state, and waits for that."""
        for live in self._live:
            if live.ticket is not None:
                executor.stop(live.ticket)
        deadline = time.monotonic() + STOP_SECONDS
        while any(live.ticket is not None for live in self._live) and time.monotonic() < deadline:
            for ticket, _ in executor.done(WATCH_SECONDS):
                next(one for one in self._live if one.ticket == ticket).ticket = None

    # --- a trial begins ---

    def _queue_arms(self) -> None:
        """Queues the fixed settings that no trial stands for; one that failed before gets another chance."""
        standing = self.trials.standing()
        held = {one.user_attrs["arm"] for one in standing if "arm" in one.user_attrs and one.state.name != "FAIL"}
        for arm in self.bound.arms:
            if arm.name not in held:
                self.trials.queue(arm.params, {"arm": arm.name})

    def _start_one(self, executor: Executor) -> Next:
        """Starts a trial unless enough are finished or under way."""
        with self.trials.exclusive():
            every = self.trials.all()
            standing = self.trials.standing(every)
            counted = sum(one.state.name in COUNTED for one in standing)
            running = sum(one.state.name == "RUNNING" for one in standing)
            if counted >= self.asked.trials:
                return Next.ENOUGH
            if counted + running >= self.asked.trials:
                if not self._live and not self._told_waiting:
                    self._told_waiting = True
                    self.note(f"waiting for {running} trials that other processes have under way")
                return Next.NONE_NOW
            live = self._ask(every, standing)
        if live is not None:
            self._advance(live, executor)
        return Next.STARTED

    def _ask(self, every: list[FrozenTrial], standing: list[FrozenTrial]) -> LiveTrial | None:
        """The next trial, with its cells; None when it came to nothing. `standing`: those of `every` that stand."""
        before = sum(one.state.name != "WAITING" for one in standing)
        with experiments():
            sampler = samplers.make_sampler(self.asked.sampler, self.id, before)
        params: Params = {}
        cells: list[Any] = []
        error: str | None = None
        queued = self.trials.available(every)
        if not queued:  # proposed in memory: the storage would be read several times for it
            known = every if self.asked.pruner == "hyperband" else standing  # hyperband sorts trials by their numbers
            space = self.bound.distributions
            params = self.patiently(lambda: samplers.propose(sampler, self.trials.study, space, known))
            cells, error = self._cells_of(params)
            self.trials.queue(params, {MARK: self.trials.mark(cells)})
        if (trial := self.trials.ask(sampler, every)) is None:
            return None
        if trial.params != params:
            cells, error = self._cells_of(trial.params)
        if queued or trial.user_attrs.get(MARK) != self.trials.mark(cells):
            self.trials.annotate(trial, MARK, self.trials.mark(cells) | {"number": trial.number})
        live = LiveTrial(trial, trial.user_attrs.get("arm"), cells)
        if error is not None:
            self._fail(live, error)
            return None
        if self._surplus(live):
            return None
        self._live.append(live)
        return live

    def _cells_of(self, params: Params) -> tuple[list[Any], str | None]:
        """The cells of a trial with these parameters, one a seed; none, and why, when it cannot have them."""
        try:
            settings = self.bound.settings(dict(params))
            return [self.cells.make(settings, seed) for seed in self.bound.seeds], None
        except HarnessError as error:
            return [], str(error)

    def _surplus(self, live: LiveTrial) -> bool:
        """Gives a trial back that another process's trial made one too many, at the end or of an arm."""
        if self.storage.local:
            return False  # the lock around asking has seen to it
        if live.arm is None and live.number < self.asked.trials:
            return False  # numbers have no gaps: fewer than are wanted came before it
        earlier = [one for one in self.trials.standing() if one.number < live.number]
        standing = [one for one in earlier if one.state.name in (*COUNTED, "RUNNING")]
        twin = live.arm is not None and any(one.user_attrs.get("arm") == live.arm for one in standing)
        if not twin and len(standing) < self.asked.trials:
            return False
        if twin or live.arm is None:
            self.trials.give_back(live.trial)
        else:
            self._requeue(live)
        return True

    # --- a trial proceeds ---

    def _advance(self, live: LiveTrial, executor: Executor) -> None:
        """Takes what the store has of a trial, and has the next missing cell trained."""
        while len(live.values) < len(live.cells):
            try:
                summary = self.cells.summary(live.cell)
                if summary is None:
                    live.ticket = executor.submit(self.cells.task(live.cell))
                    return
                value = self.bound.value(summary, live.cell.run_id)
            except HarnessError as error:
                self._fail(live, str(error))
                return
            self._report_validations(live, prune=False)
            live.values.append(value)
            live.seconds.append(float(summary.get("seconds") or 0.0) + float(summary.get("warm_up_seconds") or 0.0))
            if len(live.cells) > 1 and self.trials.report(live, value, len(live.values)):
                live.pruned = True
                break
        self._finish(live)

    def _settle(self, live: LiveTrial, done: Done, executor: Executor) -> None:
        """Takes the answer of a trial's cell."""
        live.ticket = None
        for text in done.notes:
            self.note(f"trial {live.number}: {text}")
        if live.pruned and self.cells.summary(live.cell) is None:
            self._end(live, "PRUNED")
            self._failures.clear()
            self.note(f"trial {live.number}: pruned at validation {live.reported} of {self.bound.validations}")
        elif done.error is None or live.pruned:  # the cell may have ended before it could be stopped
            live.pruned = False
            self._advance(live, executor)
        elif done.stopped:
            self._requeue(live)
        elif not done.run_id and live.crashes < CRASHES:  # the process died; the cell resumes from its checkpoint
            live.crashes += 1
            self.note(f"trial {live.number}: {done.error}; trying again")
            self._advance(live, executor)
        else:
            self._fail(live, done.error)

    # --- a trial ends ---

    def _finish(self, live: LiveTrial) -> None:
        values = [math.fsum(live.values) / len(live.values)]
        if "seconds" in self.asked.objectives:
            values.append(math.fsum(live.seconds) / len(live.seconds))
        if len(live.cells) > 1:
            self.trials.annotate(live.trial, "seed_values", live.values)
        if live.pruned:
            self._end(live, "PRUNED")
        else:
            self._end(live, "COMPLETE", values)
        self._failures.clear()
        what = live.arm or ", ".join(f"{name} {_short(value)}" for name, value in live.trial.params.items())
        self.note(f"trial {live.number} ({what}): {'pruned' if live.pruned else f'validation SSIM {values[0]:.4f}'}")

    def _fail(self, live: LiveTrial, reason: str) -> None:
        self._failures.append(reason)
        self.note(f"trial {live.number}: failed: {reason}")
        self.trials.annotate(live.trial, "error", redact(reason)[:1000])
        self._end(live, "FAIL")

    def _end(self, live: LiveTrial, state: str, values: list[float] | None = None) -> None:
        if live in self._live:
            self._live.remove(live)
        self.trials.tell(live.trial, state, values)

    def _requeue(self, live: LiveTrial) -> None:
        if live in self._live:
            self._live.remove(live)
        self.trials.requeue(self.trials.all()[live.number])


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
