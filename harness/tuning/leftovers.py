"""Trials whose process is gone: found, and queued again.

A process holds a lock of its own in its store for as long as it runs, so one that shares the store knows at once when it is
gone. For the others it writes a beat into the study's attributes, and is given up when that has not changed for a while. No
two clocks are compared: each process counts the seconds itself. Optuna's own heartbeats are written by `Study.optimize` only,
whose loop lives in one process with the work.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from harness.tuning.storage import experiments
from harness.tuning.trials import MARK, Trials, history

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 90
"""A trial whose process has not changed its beat for so long is queued again."""
MAX_RETRIES = 10
"""A trial that is left behind so often on other machines is given up: it may be what kills its process."""


class Leftovers:
    """Says that this process is alive, and finds the trials of those that are not."""

    def __init__(self, trials: Trials) -> None:
        self.trials, self.store, self.local = trials, trials.store, trials.storage.local
        self._beats = 0
        self._seen: dict[object, tuple[object, float]] = {}

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Within, other processes leave this one's trials alone."""
        with self.store.lock(self.trials.owner):
            self.beat()
            yield
        with contextlib.suppress(OSError):
            self._lock_file(self.trials.owner).unlink()

    def beat(self) -> None:
        """Tells processes with another store that this one is alive."""
        if not self.local:
            self._beats += 1
            self.trials.patiently(lambda: self.trials.study.set_user_attr(_beat_of(self.trials.owner), self._beats))

    def adopt(self, live: Collection[int]) -> None:
        """Queues the trials again that no process runs. `live`: the numbers of those that this one runs."""
        beats = {} if self.local else self.trials.patiently(lambda: self.trials.study.user_attrs)
        most = None if self.local else MAX_RETRIES
        for trial in self.trials.standing():
            if trial.state.name != "RUNNING" or trial.number in live:
                continue
            with experiments():
                before = history(trial)
            if self._left(trial, before, beats):
                given_up = most is not None and len(before) >= most
                what = "given up" if given_up else "queued again and resumes from its checkpoint"
                self.trials.note(f"trial {trial.number} was left behind; it is {what}")
                self.trials.requeue(trial, most)

    def _left(self, trial: FrozenTrial, before: Collection[int], beats: Mapping[str, Any]) -> bool:
        mark = trial.user_attrs.get(MARK)
        if mark is None or (before and mark.get("number") != trial.number):  # queued again, with its first one's mark
            return self.local or self._silent(trial.number, None)  # its process died before it could sign, or is about to
        owner = mark["owner"]
        if owner == self.trials.owner:
            return True  # asked for, and the answer was lost
        if self._lock_file(owner).exists():
            with self.store.lock(owner, wait=False) as gone:
                return gone is not None
        return self.local or self._silent(owner, beats.get(_beat_of(owner)))

    def _silent(self, who: object, beat: object) -> bool:
        """Whether a beat has been the same for too long."""
        now = time.monotonic()
        before, since = self._seen.get(who, (object(), now))
        if beat != before:
            self._seen[who] = beat, now
            return False
        return now - since > GRACE_SECONDS

    def _lock_file(self, owner: str) -> Any:
        return self.store.root / "locks" / f"{owner}.lock"


def _beat_of(owner: str) -> str:
    return f"{MARK}.beat.{owner}"
