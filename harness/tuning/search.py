"""A study under way: asks Optuna for settings, has their cells trained by an executor, tells what came out.

One process asks and tells for all its workers; any number of such processes, here or on other machines, may share a study
through its storage. Cells are in the store, so whatever is lost on the way costs no training:

- A trial belongs to the process that asked for it, which holds a lock for as long as it lives. When it is gone (noticed at
  once on the same machine, by the heartbeats from another one), the trial is queued anew with its parameters, and its cell
  goes on from its checkpoint. The old number is then no trial any more: it is listed and counted under its new one.
- Told to stop, a process saves the cells under way and queues their trials anew in the same manner.
- Finished and pruned trials count; failed ones do not.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from harness import REVISIONS
from harness.errors import HarnessError, Interrupted, RequestError
from harness.executors.protocol import Executor
from harness.experiment import Experiment
from harness.runs.job import Done
from harness.runs.request import Request
from harness.store import DamagedRecord, Folder, Store, key_of
from harness.study import Arm, Params, Scalar, Space, Study, validation_ssim
from harness.system.secrets import redact
from harness.system.signals import stop_signals
from harness.tuning import samplers as proposing
from harness.tuning.cells import Cells
from harness.tuning.database import FOLDER
from harness.tuning.files import to_toml
from harness.tuning.storage import GRACE_SECONDS, HEARTBEAT_SECONDS, Patience, Storage, experiments

if TYPE_CHECKING:
    import optuna

T = TypeVar("T")

MARK = "harness"
"""The user attribute of a trial that says whose it is and what it runs."""
COUNTED = ("COMPLETE", "PRUNED")
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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of a study.

    Args:
        trials: finished and pruned trials in all, however often the study was interrupted.
        timeout: seconds after which it stops cleanly; None for no limit.
        seeds_per_trial: a trial's value is the mean over so many seeds.
        max_failures: trials that fail in a row before it stops.
        study_name: the study's identity, instead of one made from what its trials have in common.
        command: the command line, without secrets.
    """

    study: Study
    variant: str
    request: Request
    trials: int = 20
    timeout: float | None = None
    seeds_per_trial: int = 1
    sampler: str = "tpe"
    pruner: str = "median"
    objectives: tuple[str, ...] = ("ssim",)
    options: frozenset[str] = frozenset()
    max_failures: int = 5
    study_name: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise RequestError(f"--trials {self.trials}; at least 1 trial is needed")
        if self.seeds_per_trial < 1 or self.max_failures < 1:
            raise RequestError("--seeds-per-trial and --max-failures are at least 1")
        if self.timeout is not None and not self.timeout > 0:
            raise RequestError(f"--timeout {self.timeout:g}; give seconds above 0")
        for option in self.options:
            if option not in self.study.options:
                known = ", ".join(self.study.options) or "none"
                raise RequestError(f"study {self.study.name!r} has no option {option!r}; its options: {known}")


@dataclass
class Live:
    """A trial of this process that is under way: one cell a seed, one after the other. `id`: its key in Optuna's storage."""

    id: int
    number: int
    params: Params
    arm: str | None
    cells: list[Any]
    values: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ticket: int = -1
    reported: int = 0
    shown: float | None = None
    beaten: bool = False
    crashes: int = 0
    pruned: bool = False

    @property
    def cell(self) -> Any:
        """The cell whose turn it is."""
        return self.cells[len(self.values)]


class Search:
    """Runs one study of one composition.

    Args:
        start: what trials start from, resolved, and the identity of its data.
        note: prints a line for the user.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        storage: Storage,
        cells: Cells,
        start: tuple[Experiment, Mapping[str, str]],
        note: Callable[[str], None],
    ) -> None:
        self.plan, self.store, self.storage, self.cells, self.note = plan, store, storage, cells, note
        self.experiment, identity = start
        study = plan.study
        self.space: Space = self._ask_study("space", lambda: dict(study.space(self.experiment, plan.options)))
        self.arms: tuple[Arm, ...] = self._ask_study("arms", lambda: tuple(study.arms(self.experiment, plan.options)))
        self._check_plan()
        first = self.experiment.training.seed
        self.seeds = tuple(range(first, first + plan.seeds_per_trial))
        self.spec: dict[str, Any] = {
            "study": study.name,
            "variant": plan.variant,
            "preset": plan.request.preset,
            "experiment": self.experiment.to_dict(),
            "data": dict(identity),
            "numerics": REVISIONS,
            "objectives": list(plan.objectives),
            "seeds": list(self.seeds),
            "options": sorted(plan.options),
        }
        self.id = plan.study_name or f"{study.name}.{plan.variant[:60]}.{plan.request.preset}.{key_of(self.spec)[:8]}"
        training = self.experiment.training
        self.validations = -(-training.steps // training.validate_every) if training.steps else 0
        self.pruner: optuna.pruners.BasePruner | None = None
        self.patiently = Patience(storage, note)
        self.confirmed: dict[str, Any] | None = None
        record: dict[str, Any] = {}
        try:
            record = self.folder.read_or_none(f"{self.id}.json") or {}
            self.confirmed = record.get("confirm")
        except DamagedRecord as error:  # the trials are in the storage, their results in the store
            aside = store.quarantine(self.folder.path / f"{self.id}.json", str(error))
            note(f"damaged: {error}. It is kept in {aside} and written anew")
        self._live: list[Live] = []
        self._owner = f"study-{uuid.uuid4().hex}"
        self._failures: list[str] = []
        self._told_waiting = False
        self._vouched: set[int] = set()
        self._saved = self._beaten = self._watched = -math.inf
        self._optuna = self._open()
        self._storage = storage.optuna
        if record.get("trials") and not self.patiently(lambda: self._optuna.get_trials(deepcopy=False)):
            note(f"the storage {storage.shown} knows no trial of the study {self.id!r}, which has a record: it begins anew")
        self._study_id = self.patiently(lambda: self._storage.get_study_id_from_name(self.id))

    # --- what was asked for ---

    def _ask_study(self, part: str, call: Callable[[], T]) -> T:
        """Calls the study's own code. Whatever it raises becomes one clear line."""
        try:
            return call()
        except HarnessError as error:
            raise type(error)(f"study {self.plan.study.name!r}, {part}: {error}") from error
        except Exception as error:  # a third party's code may raise anything; one clear line names the study
            raise HarnessError(
                f"study {self.plan.study.name!r} raised in its {part}: {type(error).__name__}: {error}"
            ) from error

    def _check_plan(self) -> None:
        plan, study = self.plan, self.plan.study
        if not self.space:
            raise RequestError(f"study {study.name!r} has an empty search space")
        proposing.check(plan.sampler, plan.pruner, plan.objectives, self.space)
        given = {**(plan.request.config or {}), **(plan.request.settings or {})}
        for path in study.owns:
            if path in given:
                raise RequestError(f"{path} is what the study {study.name!r} searches; leave it out of --set and --config")
        for arm in self.arms:
            for name in {*arm.params, *self.space}:
                parameter = self.space.get(name)
                if parameter is None or name not in arm.params or not parameter.holds(arm.params[name]):
                    raise RequestError(
                        f"study {study.name!r}: arm {arm.name!r} has {name} = {arm.params.get(name)}, "
                        f"but its space is {parameter.record() if parameter else 'without it'}"
                    )

    def settings(self, params: Params) -> dict[str, object]:
        """The settings of a set of parameters."""
        study = self.plan.study
        return self._ask_study("to_settings", lambda: dict(study.to_settings(params, self.experiment)))

    # --- Optuna's study ---

    def _open(self) -> optuna.Study:
        import optuna

        directions = [proposing.OBJECTIVES[name] for name in self.plan.objectives]
        with experiments():
            self.pruner = proposing.make_pruner(
                self.plan.pruner, self.validations, self.plan.seeds_per_trial, self.plan.objectives
            )
            if self.plan.study.objective is not validation_ssim and self.plan.seeds_per_trial == 1:
                self.pruner = None  # what is seen in mid-training is another measure than the study's own

        def create() -> optuna.Study:
            return optuna.create_study(
                storage=self.storage.optuna,
                study_name=self.id,
                directions=directions,
                load_if_exists=True,
                pruner=self.pruner or optuna.pruners.NopPruner(),
            )

        with self.store.lock(f"study-{key_of(self.id)}"):
            study = self.patiently(create)
            mine = {"spec": self.spec, "space": {name: one.record() for name, one in self.space.items()}}
            found = self.patiently(lambda: study.user_attrs).get(MARK)
            if found is None:
                if self.patiently(lambda: study.get_trials(deepcopy=False)):
                    raise RequestError(
                        f"the storage has a study {self.id!r} of another program; choose another name with --study-name"
                    )
                self.patiently(lambda: study.set_user_attr(MARK, mine))
            elif found != mine:
                raise RequestError(
                    f"the study {self.id!r} exists with {_difference(found, mine)}; its trials cannot be compared with new "
                    "ones. Begin another with --study-name NAME, or ask for what it was"
                )
        return study

    def _all_trials(self) -> list[optuna.trial.FrozenTrial]:
        """Every trial of the storage, by number."""

        def read() -> list[optuna.trial.FrozenTrial]:
            trials = self._optuna.get_trials(deepcopy=False)
            for one in trials:
                _check_trial(one)
            return trials

        return self.patiently(read)

    def _trials(self, every: list[optuna.trial.FrozenTrial] | None = None) -> list[optuna.trial.FrozenTrial]:
        """The trials but those that stand for nothing: superseded by a retry, or given back."""
        found = self._all_trials() if every is None else every
        gone = self.patiently(lambda: {number for trial in found for number in _history(trial)})
        return [one for one in found if one.number not in gone and not one.user_attrs.get("given_back")]

    def _queue_arms(self) -> None:
        """Queues the fixed settings that no trial stands for; one that failed before gets another chance."""
        held = {one.user_attrs["arm"] for one in self._trials() if "arm" in one.user_attrs and one.state.name != "FAIL"}
        for arm in self.arms:
            if arm.name not in held:
                params = dict(arm.params)
                self.patiently(lambda: self._optuna.enqueue_trial(params, user_attrs={"arm": arm.name}))  # noqa: B023  # called at once

    # --- the loop ---

    def run(self, executor: Executor) -> None:
        """Runs until enough trials are finished. The record is written as trials end.

        Raises:
            Interrupted: told to stop; what was under way is saved and queued.
            HarnessError: too many trials in a row failed, or the storage stayed away.
        """
        started = time.monotonic()
        with self.store.lock(self._owner), stop_signals() as stop:
            try:
                with self._exclusive():
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
                        self._queue_anew(live)
            except BaseException:  # the storage is away, or a second signal came: the trials are found again by their owner
                self._stop_cells(executor)
                raise
            self._save()
        with contextlib.suppress(OSError):
            (self.store.root / "locks" / f"{self._owner}.lock").unlink()
        if why == "signal":
            raise Interrupted(f"{self.state()}; run the same command again to go on")
        if why == "failures":
            raise HarnessError(
                f"{len(self._failures)} trials in a row failed, the last one because: {self._failures[-1]} "
                f"({self.state()}, all kept; when the cause is fixed, the same command continues)"
            )
        if why == "timeout":
            self.note(f"the time is over: {self.state()}; run the same command again to go on")

    def _why_to_stop(self, told: bool, seconds: float) -> str:
        if told:
            return "signal"
        if len(self._failures) >= self.plan.max_failures:
            return "failures"
        return "timeout" if self.plan.timeout is not None and seconds > self.plan.timeout else ""

    def _start_one(self, executor: Executor) -> Next:
        """Starts a trial unless enough are finished or under way."""
        with self._exclusive():
            every = self._all_trials()
            trials = self._trials(every)
            counted = sum(one.state.name in COUNTED for one in trials)
            running = sum(one.state.name == "RUNNING" for one in trials)
            if counted >= self.plan.trials:
                return Next.ENOUGH
            if counted + running >= self.plan.trials:
                if not self._live and not self._told_waiting:
                    self._told_waiting = True
                    self.note(f"waiting for {running} trials that other processes have under way")
                return Next.NONE_NOW
            live = self._ask(every, trials)
        if live is not None:
            self._advance(live, executor)
        return Next.STARTED

    def _ask(self, every: list[optuna.trial.FrozenTrial], trials: list[optuna.trial.FrozenTrial]) -> Live | None:
        """The next trial, with its cells; None when it came to nothing. `trials`: those of `every` that stand."""
        import optuna

        before = sum(one.state.name != "WAITING" for one in trials)
        space = proposing.distributions(self.space)
        with experiments():
            sampler = proposing.make_sampler(self.plan.sampler, self.id, before)
        if any(one.state.name == "WAITING" for one in every):  # a fixed setting, or a trial that was interrupted
            self._optuna.sampler = sampler
            trial = self.patiently(lambda: self._optuna.ask(space))
            number, params, arm = trial.number, dict(trial.params), trial.user_attrs.get("arm")
            cells, error = self._cells_of(params)
            self.patiently(lambda: trial.set_user_attr(MARK, self._mark(cells) | {"number": number}))
            key = self._id_of(number)
        else:
            # Thought out in memory and written whole, signature and all, in one transaction: were the storage asked for a new
            # trial, it would be read five times for it, and a process that died in between would leave half a trial.
            known = every if self.plan.pruner == "hyperband" else trials  # hyperband sorts trials by their numbers
            params = self.patiently(lambda: proposing.propose(sampler, self._optuna, space, known))
            arm, (cells, error) = None, self._cells_of(params)
            made = optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=params,
                distributions=space,
                user_attrs={MARK: self._mark(cells)},
            )
            key = self.patiently(lambda: self._storage.create_new_trial(self._study_id, made))
            number = self.patiently(lambda: self._storage.get_trial(key).number)
        live = Live(key, number, params, arm, cells)
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
            settings = self.settings(dict(params))
            return [self.cells.make(settings, seed) for seed in self.seeds], None
        except HarnessError as error:
            return [], str(error)

    def _mark(self, cells: list[Any]) -> dict[str, Any]:
        return {"owner": self._owner, "run_ids": [cell.run_id for cell in cells]}

    def _surplus(self, live: Live) -> bool:
        """Gives a trial back that another process's trial made one too many, at the end or of an arm."""
        if self.storage.local:
            return False  # the lock around asking has seen to it
        if live.arm is None and live.number < self.plan.trials:
            return False  # numbers have no gaps: fewer than are wanted came before it
        earlier = [one for one in self._trials() if one.number < live.number]
        standing = [one for one in earlier if one.state.name in (*COUNTED, "RUNNING")]
        twin = live.arm is not None and any(one.user_attrs.get("arm") == live.arm for one in standing)
        if not twin and len(standing) < self.plan.trials:
            return False
        if twin or live.arm is None:
            self._give_back(live.id)
        else:
            self._queue_anew(live)
        return True

    def _give_back(self, key: int) -> None:
        """Ends a trial that stands for nothing."""
        import optuna

        self._write(lambda: self._storage.set_trial_user_attr(key, "given_back", True))
        self._write(lambda: self._storage.set_trial_state_values(key, optuna.trial.TrialState.FAIL))

    def _write(self, operation: Callable[[], object]) -> None:
        """Changes a trial, unless another process took it for dead and ended it: `_tell` sees that."""
        import optuna

        def write() -> None:
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                operation()

        self.patiently(write)

    def _id_of(self, number: int) -> int:
        """The key in Optuna's storage of the trial of that number."""
        return self.patiently(lambda: self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number))

    def _advance(self, live: Live, executor: Executor) -> None:
        """Goes on with a trial: takes what the store has, and has the next missing cell trained."""
        while len(live.values) < len(live.cells):
            try:
                summary = self.cells.summary(live.cell)
                if summary is None:
                    live.ticket = executor.submit(self.cells.task(live.cell))
                    return
                value = self._ask_study("objective", lambda: self.plan.study.objective(summary))  # noqa: B023  # called at once
                if value is None or isinstance(value, bool) or not math.isfinite(value):
                    raise HarnessError(
                        f"the objective is {value}: the training of run {live.cell.run_id} gave no finite number"
                    )
            except HarnessError as error:
                self._fail(live, str(error))
                return
            except (TypeError, ValueError) as error:
                self._fail(live, f"the objective of study {self.plan.study.name!r} is no number: {error}")
                return
            self._report_validations(live, prune=False)
            live.values.append(float(value))
            live.seconds.append(float(summary.get("seconds") or 0.0) + float(summary.get("warm_up_seconds") or 0.0))
            if len(live.cells) > 1 and self._worse(live, float(value), len(live.values)):
                live.pruned = True
                break
        self._finish(live)

    def _worse(self, live: Live, value: float, step: int) -> bool:
        """Reports a value at a step; whether the pruner gives the trial up."""
        if len(self.plan.objectives) > 1:
            return False
        live.shown = value
        self._write(lambda: self._storage.set_trial_intermediate_value(live.id, step, value))
        if (pruner := self.pruner) is None or live.arm is not None:
            return False
        return self.patiently(lambda: pruner.prune(self._optuna, self._storage.get_trial(live.id)))

    def _report_validations(self, live: Live, *, prune: bool) -> bool:
        """Reports what the training has shown since the last time; whether the trial is given up."""
        if self.pruner is None or len(live.cells) > 1:
            return False
        for step, ssim in self.cells.validations(live.cell):
            if step > live.reported:
                live.reported = step
                if self._worse(live, ssim, step) and prune:
                    return True
        return False

    def _finish(self, live: Live) -> None:
        values = [math.fsum(live.values) / len(live.values)]
        if "seconds" in self.plan.objectives:
            values.append(math.fsum(live.seconds) / len(live.seconds))
        if len(live.cells) > 1:
            self._note_on(live, "seed_values", live.values)
        self._tell(live, values=values, state="PRUNED" if live.pruned else "COMPLETE")
        self._failures.clear()
        what = live.arm or ", ".join(f"{name} {_short(value)}" for name, value in live.params.items())
        outcome = "pruned" if live.pruned else f"validation SSIM {values[0]:.4f}"
        self.note(f"trial {live.number} ({what}): {outcome}")

    def _fail(self, live: Live, reason: str) -> None:
        self._failures.append(reason)
        self.note(f"trial {live.number}: failed: {reason}")
        self._note_on(live, "error", redact(reason)[:1000])
        self._tell(live, state="FAIL")

    def _note_on(self, live: Live, name: str, value: Any) -> None:
        self._write(lambda: self._storage.set_trial_user_attr(live.id, name, value))

    def _tell(self, live: Live, *, state: str, values: list[float] | None = None) -> None:
        """Ends a trial. When another process took it for dead and queued it anew, its retry finds the cell in the store."""
        import optuna

        def tell() -> None:
            try:
                self._storage.set_trial_state_values(live.id, optuna.trial.TrialState[state], values)
            except optuna.exceptions.UpdateFinishedTrialError:
                if self._storage.get_trial(live.id).state.name != state:
                    self.note(f"trial {live.number} was taken over by another process")

        if live in self._live:
            self._live.remove(live)
        self.patiently(tell)

    def _settle(self, live: Live, done: Done, executor: Executor) -> None:
        live.ticket = -1
        if done.error is None:
            self._advance(live, executor)
        elif live.pruned:
            if self.cells.summary(live.cell) is not None:  # it ended before it could be stopped
                live.pruned = False
                self._advance(live, executor)
            else:
                self._finish_pruned(live)
        elif done.stopped:
            self._queue_anew(live)
        elif not done.run_id and live.crashes < CRASHES:  # the process died; the cell goes on from its checkpoint
            live.crashes += 1
            self.note(f"trial {live.number}: {done.error}; trying again")
            self._advance(live, executor)
        else:
            self._fail(live, done.error)

    def _finish_pruned(self, live: Live) -> None:
        self._tell(live, values=None if live.shown is None else [live.shown], state="PRUNED")
        self._failures.clear()
        self.note(f"trial {live.number}: pruned at validation {live.reported} of {self.validations}")

    # --- between trials ---

    def _tend(self, executor: Executor) -> None:
        """What is due: watching trainings for the pruner, heartbeats, trials of processes that died, the record."""
        now = time.monotonic()
        if now - self._watched >= WATCH_SECONDS:
            self._watched = now
            for live in list(self._live):
                if not live.beaten:
                    live.beaten = True
                    self._beat(live.id)
                if live.ticket >= 0 and not live.pruned and self._report_validations(live, prune=True):
                    live.pruned = True
                    executor.stop(live.ticket)
        if now - self._beaten >= HEARTBEAT_SECONDS:
            self._beaten = now
            for live in self._live:
                self._beat(live.id)
            with self._exclusive():
                self._adopt()
        if now - self._saved >= SAVE_SECONDS:
            self._save()

    def _beat(self, trial: int) -> None:
        if (rdb := self.storage.rdb) is not None:
            self.patiently(lambda: rdb.record_heartbeat(trial))

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Where all share this store, one process at a time asks for trials and looks after lost ones.

        Elsewhere nothing can be locked: two processes may ask for one trial too many, which `_surplus` gives back.
        """
        with self.store.lock(f"study-{key_of(self.id)}") if self.storage.local else contextlib.nullcontext():
            yield

    def _adopt(self) -> None:
        """Queues anew what belongs to processes that are gone."""
        import optuna

        if self.storage.rdb is not None:
            self.patiently(lambda: optuna.storages.fail_stale_trials(self._optuna))
        mine = {live.number for live in self._live}
        others = [one for one in self._trials() if one.state.name == "RUNNING" and one.number not in mine]
        for trial in others:
            if (
                self._signed(trial) and trial.user_attrs[MARK]["owner"] == self._owner
            ):  # made twice, for the first answer was lost on its way
                self._give_back(self._id_of(trial.number))
            elif self._orphan(trial):
                self.note(f"trial {trial.number} was left behind; it is queued again and goes on from its checkpoint")
                self._requeue(trial)
        if not self._live and not self.storage.local:
            # A trial without a heartbeat is never stale. One whose machine died before the first would be waited for for ever:
            # who waits beats each heart once.
            fresh = next((one.number for one in others if one.number not in self._vouched), None)
            if fresh is not None:
                self._vouched.add(fresh)
                self._beat(self._id_of(fresh))

    def _signed(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether the process that runs a trial has put its mark on it; a trial queued anew has the mark of its first."""
        mark = trial.user_attrs.get(MARK)
        with experiments():
            return mark is not None and (not _history(trial) or mark.get("number") == trial.number)

    def _orphan(self, trial: optuna.trial.FrozenTrial) -> bool:
        if not self._signed(trial):  # its process died before it could sign, or is about to sign
            since = trial.datetime_start or datetime.now()
            return self.storage.local or datetime.now() - since > timedelta(seconds=GRACE_SECONDS)
        mark = trial.user_attrs[MARK]
        if not (self.store.root / "locks" / f"{mark['owner']}.lock").exists():
            return self.storage.local  # it has ended, or shares no store with this one
        with self.store.lock(mark["owner"], wait=False) as gone:
            return gone is not None

    def _requeue(self, trial: optuna.trial.FrozenTrial) -> None:
        import optuna

        def requeue() -> None:
            # Queued before it is ended: a crash in between leaves both, and the old one stands for nothing then.
            if not any(trial.number in _history(one) for one in self._optuna.get_trials(deepcopy=False)):
                optuna.storages.RetryHeartbeatStaleTrialCallback()(self._optuna, trial)
            with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):
                self._optuna.tell(trial.number, state=optuna.trial.TrialState.FAIL)

        self.patiently(requeue)

    def _queue_anew(self, live: Live) -> None:
        if live in self._live:
            self._live.remove(live)
        self._requeue(self._all_trials()[live.number])

    def _stop_cells(self, executor: Executor) -> None:
        """Has the cells under way save their state, and waits for that."""
        for live in self._live:
            if live.ticket >= 0:
                executor.stop(live.ticket)
        deadline = time.monotonic() + STOP_SECONDS
        while any(live.ticket >= 0 for live in self._live) and time.monotonic() < deadline:
            for ticket, _ in executor.done(WATCH_SECONDS):
                next(one for one in self._live if one.ticket == ticket).ticket = -1

    # --- what came out ---

    def state(self) -> str:
        """How far it is, in words."""
        counts = self.counts(self._trials())
        parts = [f"{counts[name]} {name}" for name in ("complete", "pruned", "failed") if counts[name] or name == "complete"]
        return f"study {self.id}: {', '.join(parts)} of {self.plan.trials} trials"

    @staticmethod
    def counts(trials: list[optuna.trial.FrozenTrial]) -> dict[str, int]:
        """Trials by state."""
        names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING", "waiting": "WAITING"}
        return {name: sum(one.state.name == state for one in trials) for name, state in names.items()}

    def _row(self, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        params: dict[str, Scalar] = dict(trial.params)
        if not params:  # still queued
            params = dict(trial.system_attrs.get("fixed_params", {}))
        settings: dict[str, object] = {}
        if set(params) == set(self.space):
            with contextlib.suppress(HarnessError):
                settings = self.settings(params)
        values = list(trial.values) if trial.state.name in COUNTED and trial.values else None
        seed_values = trial.user_attrs.get("seed_values")
        if values and not seed_values and trial.state.name == "COMPLETE":
            seed_values = values[:1]
        mark = trial.user_attrs.get(MARK)
        return {
            "number": trial.number,
            "state": trial.state.name,
            "arm": trial.user_attrs.get("arm"),
            "params": params,
            "settings": settings,
            "value": values[0] if values else None,
            "values": values,
            "seed_values": seed_values,
            "run_ids": mark["run_ids"] if mark else [],
            "error": trial.user_attrs.get("error"),
        }

    def record(self) -> dict[str, Any]:
        """The study's record; see `harness.study`."""
        plan = self.plan
        trials = self._trials()
        rows = [self._row(trial) for trial in trials]
        complete = [row for row in rows if row["state"] == "COMPLETE"]
        front = self._front(complete) if len(plan.objectives) > 1 else []
        best = max(complete, key=lambda row: (row["value"], -row["number"]), default=None)
        given = {**(plan.request.config or {}), **(plan.request.settings or {})}
        return {
            "study": plan.study.name,
            "id": self.id,
            "variant": plan.variant,
            "preset": plan.request.preset,
            "options": sorted(plan.options),
            "settings": proposing.settings_text(given),
            "command": plan.command,
            "storage": self.storage.shown,
            "experiment": self.spec["experiment"],
            "space": {name: one.record() for name, one in self.space.items()},
            "owns": list(plan.study.owns),
            "objectives": list(plan.objectives),
            "directions": [proposing.OBJECTIVES[name] for name in plan.objectives],
            "seeds": list(self.seeds),
            "sampler": plan.sampler,
            "pruner": type(self.pruner).__name__ if self.pruner else "none",
            "wanted": plan.trials,
            "counts": self.counts(trials),
            "trials": rows,
            "arms": [self._arm(arm, rows) for arm in self.arms],
            "best": best and {name: best[name] for name in ("number", "params", "settings", "value", "values", "arm")},
            "front": [row["number"] for row in front],
            "confirm": self.confirmed
            if best and self.confirmed and self.confirmed["settings"] == best["settings"]
            else None,
        }

    @staticmethod
    def _front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The trials that no other beats in both SSIM and seconds."""

        def beaten(row: dict[str, Any]) -> bool:
            ssim, seconds = row["values"]
            return any(
                one["values"][0] >= ssim and one["values"][1] <= seconds and one["values"] != row["values"] for one in rows
            )

        return [row for row in rows if not beaten(row)]

    def _arm(self, arm: Arm, rows: list[dict[str, Any]]) -> dict[str, Any]:
        row = next((row for row in reversed(rows) if row["arm"] == arm.name), None)
        blank = dict.fromkeys(("number", "state", "settings", "value", "values", "seed_values", "run_ids", "error"))
        found = {name: row[name] for name in blank} if row else blank
        return {"name": arm.name, "reference": arm is self.reference, "note": arm.note, "params": dict(arm.params)} | found

    @property
    def reference(self) -> Arm | None:
        """The arm that others are compared with."""
        return next((arm for arm in self.arms if arm.reference), self.arms[0] if self.arms else None)

    @property
    def folder(self) -> Folder:
        """Where studies' records are."""
        return Folder(self.store.part(FOLDER))

    def _save(self) -> None:
        self._saved = time.monotonic()
        self.folder.write(f"{self.id}.json", self.record())

    def save(self, *, newest: bool = True) -> dict[str, Any]:
        """Writes the record and, when there is a best setting, its TOML file; returns the record.

        Args:
            newest: whether the file is also written as best.toml.
        """
        record = self.record()
        if (best := record["best"]) is not None:
            folder = Folder(self.folder.path / self.plan.study.name)
            path = folder.path / f"{self.id}.toml"
            text = redact(to_toml(best["settings"], self._comments(best, path)))
            folder.write_bytes(path.name, text.encode())
            if newest:
                path = folder.path / "best.toml"
                folder.write_bytes(path.name, text.encode())
            best["config"] = str(path)
        self.folder.write(f"{self.id}.json", record)
        return record

    def _comments(self, best: Mapping[str, Any], path: Any) -> list[str]:
        import shlex

        plan = self.plan
        given = proposing.settings_text({**(plan.request.config or {}), **(plan.request.settings or {})})
        others = {name: value for name, value in given.items() if name not in best["settings"]}
        words = ["harness", "run", "--variant", plan.variant, "--preset", plan.request.preset, "--config", str(path)]
        words += [word for name, value in others.items() for word in ("--set", f"{name}={value}")]
        return [
            f"Chosen by the study {self.id}, trial {best['number']}: validation SSIM {best['value']:.4f}, "
            f"the best of {plan.trials} trials, so a little flattering",
            shlex.join(words),
        ]


_OWNER = re.compile(r"study-[0-9a-f]{32}")


def _check_trial(trial: optuna.trial.FrozenTrial) -> None:
    """What trials of a storage say may be anyone's words. Raises ValueError for what this program did not write."""
    attributes = trial.user_attrs
    mark = attributes.get(MARK, {"owner": f"study-{0:032}", "run_ids": []})
    sound = (
        isinstance(mark, dict)
        and isinstance(mark.get("owner"), str)
        and _OWNER.fullmatch(mark["owner"])  # it names a lock file
        and isinstance(mark.get("number", 0), int)
        and isinstance(mark.get("run_ids"), list)
        and all(isinstance(one, str) for one in mark["run_ids"])
        and all(isinstance(attributes.get(name), str | None) for name in ("arm", "error"))
        and _are_numbers(attributes.get("seed_values") or [])
        and isinstance(trial.system_attrs.get("fixed_params", {}), dict)
        and (trial.state.name != "COMPLETE" or all(map(math.isfinite, trial.values or [math.nan])))
    )
    if not sound:
        raise ValueError(f"trial {trial.number} is not one that this program began")


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(one, int | float) and math.isfinite(one) for one in values)


def _history(trial: optuna.trial.FrozenTrial) -> list[int]:
    """The numbers that a trial had before it was queued anew."""
    import optuna

    return optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(trial)


def _difference(found: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """What two studies of one name do not share, in words."""
    old, new = found.get("space", {}), mine["space"]
    if old != new:
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        return f"another search space ({', '.join(f'{name}: {old.get(name)}, now {new.get(name)}' for name in names)})"
    spec, now = found.get("spec", {}), mine["spec"]
    return "another " + ", ".join(sorted(name for name in {*spec, *now} if spec.get(name) != now.get(name)))


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
