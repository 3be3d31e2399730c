"""The trials of one study in Optuna's storage: queued whole, asked for, told, queued again.

Optuna's public interfaces are enough. A trial is added to the queue with its parameters and its mark in one transaction, and
only then asked for, so a process that dies in between leaves a whole trial that waits for the next one.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import RequestError
from harness.notation import flatten
from harness.store import Store, key_of
from harness.studies import Params
from harness.tuning.bound import BoundStudy
from harness.tuning.storage import Patience, Storage, experiments

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

MARK = "harness"
"""The user attribute of a trial that says which process runs it, and the ids of its runs; of a study, what it is."""
COUNTED = ("COMPLETE", "PRUNED")
_OWNER = re.compile(r"study-[0-9a-f]{32}")


@dataclass
class LiveTrial:
    """A trial that this process runs: one cell a seed, one after the other."""

    trial: optuna.Trial
    arm: str | None
    cells: list[Any]
    values: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ticket: int | None = None
    reported: int = 0
    crashes: int = 0
    pruned: bool = False

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.trial.number

    @property
    def cell(self) -> Any:
        """The cell whose turn it is."""
        return self.cells[len(self.values)]


class Trials:
    """The trials of a study in a storage. Raises RequestError when the storage has another study of that name.

    Args:
        note: prints a line for the user.
    """

    def __init__(
        self, bound: BoundStudy, store: Store, storage: Storage, patiently: Patience, note: Callable[[str], None]
    ) -> None:
        self.bound, self.store, self.storage, self.patiently, self.note = bound, store, storage, patiently, note
        self.owner = f"study-{uuid.uuid4().hex}"
        self.study = self._open()

    def _open(self) -> optuna.Study:
        import optuna

        def create() -> optuna.Study:
            return optuna.create_study(
                storage=self.storage.optuna,
                study_name=self.bound.id,
                directions=self.bound.directions,
                load_if_exists=True,
                pruner=self.bound.pruner or optuna.pruners.NopPruner(),
            )

        with self.store.lock(self._lock):
            study = self.patiently(create)
            mine = {"spec": self.bound.spec, "space": {name: one.record() for name, one in self.bound.space.items()}}
            found = self.patiently(lambda: study.user_attrs).get(MARK)
            if found is None:
                if self.patiently(lambda: study.get_trials(deepcopy=False)):
                    raise RequestError(
                        f"the storage has a study {self.bound.id!r} of another program; choose another name with --study-name"
                    )
                self.patiently(lambda: study.set_user_attr(MARK, mine))
            elif found != mine:
                raise RequestError(
                    f"the study {self.bound.id!r} exists with {_difference(found, mine)}; its trials cannot be compared with "
                    "new ones. Begin another study with --study-name NAME, or repeat the request that it was made with"
                )
        return study

    @property
    def _lock(self) -> str:
        return f"study-{key_of(self.bound.id)}"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Where all share this store, one process at a time asks for trials and looks after lost ones.

        Elsewhere nothing can be locked: two processes may ask for one trial too many, which is given back.
        """
        with self.store.lock(self._lock) if self.storage.local else contextlib.nullcontext():
            yield

    def all(self) -> list[FrozenTrial]:
        """Every trial of the storage, by number."""

        def read() -> list[FrozenTrial]:
            trials = self.study.get_trials(deepcopy=False)
            for one in trials:
                _check(one)
            return trials

        return self.patiently(read)

    def standing(self, every: list[FrozenTrial] | None = None) -> list[FrozenTrial]:
        """The trials except those that stand for nothing: superseded by a retry, or given back."""
        found = self.all() if every is None else every
        gone = self.patiently(lambda: {number for trial in found for number in history(trial)})
        return [one for one in found if one.number not in gone and not one.user_attrs.get("given_back")]

    # --- beginning ---

    def available(self, every: list[FrozenTrial]) -> bool:
        """Whether a trial waits that no live process has just queued for itself: an arm, or one that was interrupted."""
        with experiments():
            return any(
                self.storage.local or history(one) or one.user_attrs.get(MARK, {}).get("owner") in (None, self.owner)
                for one in every
                if one.state.name == "WAITING"
            )

    def queue(self, params: Params, attributes: Mapping[str, Any]) -> None:
        """Queues a trial, written whole in one transaction."""
        import optuna

        made = optuna.trial.create_trial(
            state=optuna.trial.TrialState.WAITING,
            params=dict(params),
            distributions=self.bound.distributions,
            user_attrs=dict(attributes),
        )
        attempts = itertools.count()

        def add() -> None:
            waiting = self.study.get_trials(deepcopy=False) if next(attempts) else []  # was only the answer lost?
            if not any(one.state.name == "WAITING" and one.user_attrs == made.user_attrs for one in waiting):
                self.study.add_trial(made)

        self.patiently(add)

    def ask(self, sampler: BaseSampler, every: list[FrozenTrial]) -> optuna.Trial | None:
        """Takes the first waiting trial; None when another process was faster. `every`: the trials as last read."""
        space = self.bound.distributions
        whole = all(one.params.keys() == space.keys() for one in every if one.state.name == "WAITING")
        self.study.sampler = sampler
        # A trial that another program queued by `enqueue_trial` has no parameters until they are asked for.
        trial = self.patiently(lambda: self.study.ask(None if whole else space))
        if trial.params.keys() == space.keys():
            return trial
        self.give_back(trial)
        return None

    def mark(self, cells: list[Any]) -> dict[str, Any]:
        """The mark of this process for a trial with these cells. That of a trial which another one queued has its number too."""
        return {"owner": self.owner, "run_ids": [cell.run_id for cell in cells]}

    # --- ending ---

    def write(self, operation: Callable[[], object]) -> None:
        """Changes a trial, unless another process took it for dead and ended it: `tell` notices that."""
        import optuna

        def attempt() -> None:
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                operation()

        self.patiently(attempt)

    def annotate(self, trial: optuna.Trial, name: str, value: Any) -> None:
        """Sets a user attribute of a trial."""
        self.write(lambda: trial.set_user_attr(name, value))

    def tell(self, trial: optuna.Trial, state: str, values: list[float] | None = None) -> None:
        """Ends a trial. When another process took it for dead and queued it again, its retry finds the cell in the store."""
        import optuna

        def tell() -> None:
            try:
                self.study.tell(trial, values, optuna.trial.TrialState[state])
            except (ValueError, optuna.exceptions.UpdateFinishedTrialError):  # it has ended: by an attempt whose answer was
                found = self.study.get_trials(deepcopy=False)[trial.number].state  # lost, or by another process
                if not found.is_finished():
                    raise
                if found.name != state:
                    self.note(f"trial {trial.number} was taken over by another process")

        self.patiently(tell)

    def report(self, live: LiveTrial, value: float, step: int) -> bool:
        """Reports a value at a step; returns whether the pruner gives the trial up. Fixed arms and two objectives never do."""
        if len(self.bound.asked.objectives) > 1:
            return False
        self.write(lambda: live.trial.report(value, step))
        return self.bound.pruner is not None and live.arm is None and self.patiently(live.trial.should_prune)

    def give_back(self, trial: optuna.Trial) -> None:
        """Ends a trial that stands for nothing."""
        self.annotate(trial, "given_back", True)
        self.tell(trial, "FAIL")

    def requeue(self, trial: FrozenTrial, most: int | None = None) -> None:
        """Ends a trial and queues it again, at most `most` times."""
        import optuna

        def requeue() -> None:
            # Queued before it is ended: a crash in between leaves both, and the old one stands for nothing then.
            if not any(trial.number in history(one) for one in self.study.get_trials(deepcopy=False)):
                again = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=most)
                again(self.study, copy.deepcopy(trial))  # it appends to the trial's own history
            with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):
                self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

        self.patiently(requeue)


def history(trial: FrozenTrial) -> list[int]:
    """The numbers that a trial had before it was queued again."""
    import optuna

    return optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(trial)


def _check(trial: FrozenTrial) -> None:
    """Raises ValueError for a trial that this program did not write: anyone may write to a storage."""
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
        and (trial.state.name != "COMPLETE" or all(map(math.isfinite, trial.values or [math.nan])))
    )
    if not sound:
        raise ValueError(f"trial {trial.number} is not one that this program began")


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(one, int | float) and math.isfinite(one) for one in values)


def _difference(found: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    """What two studies of one name do not share, in words."""
    old, new = found.get("space", {}), mine["space"]
    if old != new:
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        return f"another search space ({', '.join(f'{name}: {old.get(name)}, now {new.get(name)}' for name in names)})"
    spec, now = (flatten(one) for one in (found.get("spec", {}), mine["spec"]))
    paths = sorted(path for path in {*spec, *now} if spec.get(path) != now.get(path))
    return ", ".join(f"{path.removeprefix('experiment.')} {spec.get(path)}, now {now.get(path)}" for path in paths)
