"""Where every cell of a plan stands, from the store alone: true whoever runs the cells, and after whoever ran them was killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RequestError
from harness.evaluation.conventions import HEADLINE, METRICS
from harness.store import Folder, Store, Training
from harness.store.index import signature
from harness.store.store import Run
from harness.system import locks

STATUSES = ("finished", "running", "trained", "failed", "unfinished", "waiting")
"""'trained': not tested yet; 'unfinished': begun, and no process works on it."""
TAIL_BYTES = 64 * 1024
"""How much of a training's log is read for its progress."""


@dataclass(frozen=True)
class CellSeen:
    """A cell: `done` is the share of its training, 0..1; `value` the metric that the plan judges; times in seconds."""

    arm: str
    seed: int
    status: str
    run_id: str | None = None
    done: float | None = None
    value: float | None = None
    seconds: float | None = None
    seconds_left: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Gain:
    """An arm minus the reference over `n` finished seeds, with a 95% interval (None below two seeds)."""

    arm: str
    n: int
    mean: float | None
    low: float | None
    high: float | None
    verdict: str | None = None


@dataclass(frozen=True)
class Board:
    """A plan as it stands. `at` is the time of day it was read, seconds since 1970."""

    plan: str
    title: str
    question: str
    metric: str
    reference: str
    cells: tuple[CellSeen, ...]
    gains: tuple[Gain, ...]
    at: float

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many cells have each status, in the order of `STATUSES`."""
        found = Counter(one.status for one in self.cells)
        return {status: found[status] for status in STATUSES if found[status]}

    @property
    def over(self) -> bool:
        """Whether every cell is finished or failed and nothing runs."""
        return bool(self.cells) and self.counts.keys() <= {"finished", "failed"}

    @property
    def arms(self) -> dict[str, dict[int, CellSeen]]:
        """Arm -> seed -> cell."""
        found: dict[str, dict[int, CellSeen]] = {}
        for one in self.cells:
            found.setdefault(one.arm, {})[one.seed] = one
        return found

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest takes with as many cells at once as run now; None when nothing runs or nothing is known."""
        running = [one for one in self.cells if one.status == "running"]
        known = [one.seconds for one in self.cells if one.seconds]
        known = known or [one.seconds_left / (1 - one.done) for one in running if one.seconds_left and one.done]
        if not running or not known:
            return None
        typical, own = sum(known) / len(known), self.arms
        left = sum(one.seconds_left if one.seconds_left is not None else typical for one in running)
        for one in self.cells:
            if one.status in ("waiting", "unfinished"):
                same = [other.seconds for other in own[one.arm].values() if other.seconds]
                left += sum(same) / len(same) if same else typical
        return left / len(running)

    @property
    def summary(self) -> str:
        """'3 of 6 cells finished, 1 running, 2 waiting; about 4:10 left'."""
        others = [f"{count} {status}" for status, count in self.counts.items() if status != "finished"]
        text = ", ".join([f"{self.counts.get('finished', 0)} of {len(self.cells)} cells finished", *others])
        return text if self.seconds_left is None else f"{text}; about {clock(self.seconds_left)} left"

    def record(self) -> dict[str, Any]:
        """Plain values for --json."""
        return asdict(self) | {"counts": self.counts, "seconds_left": self.seconds_left, "over": self.over}


class Reader:
    """Reads one plan of a store again and again; what cannot change is read once.

    Args:
        name: the plan's file under plans/.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self._plans = Folder(store.part("plans"))
        self._finished: dict[tuple[object, ...], dict[str, Any]] = {}
        self._beats: dict[str, tuple[int, float]] = {}
        self._gains: tuple[object, tuple[Gain, ...]] = (None, ())

    def read(self) -> Board:
        """The plan as it stands now. Raises HarnessError when its record is damaged; before there is one, no cells."""
        record = self._plans.read_or_none(self.name) or {}
        question = record.get("question") or {}
        metric, reference = str(question.get("metric", HEADLINE)), str(record.get("reference", "base"))
        busy: set[str] = set()
        cells = tuple(self._cell(one, metric, busy) for one in record.get("cells", ()))
        return Board(
            plan=self.name.removesuffix(".json"),
            title=f"{record.get('plan', '')} · preset {record.get('preset', '')}",
            question=str(question.get("question", "")),
            metric=metric,
            reference=reference,
            cells=cells,
            gains=self._compare(cells, metric, reference, record.get("decisions")),
            at=time.time(),
        )

    def _cell(self, planned: Mapping[str, Any], metric: str, busy: set[str]) -> CellSeen:
        arm, seed, run_id = str(planned["label"]), int(planned["seed"]), planned.get("run_id")
        if not isinstance(run_id, str):
            reason = planned.get("error")
            return CellSeen(arm, seed, "failed" if planned.get("status") == "failed" else "waiting", reason=reason)
        key = str(planned["training_key"])
        run, training = Run(self.store.part("runs") / run_id), Training(self.store.part("trainings") / key)
        try:
            return self._seen(arm, seed, run, training, metric, busy)
        except HarnessError as error:
            return CellSeen(arm, seed, "failed", run_id, reason=f"damaged: {error}")

    def _seen(self, arm: str, seed: int, run: Run, training: Training, metric: str, busy: set[str]) -> CellSeen:
        if (result := self._result(run)) is not None:
            value, seconds = result["metrics"].get(metric), result["training"].get("seconds")
            return CellSeen(arm, seed, "finished", run.run_id, 1.0, value, seconds)
        key = training.path.name
        alive = key not in busy and self._alive(key)  # cells that share a training wait for the first of them
        step, done, seconds = self._progress(training)
        if alive or self._alive(run.run_id):
            busy.add(key)
            left = seconds * (1 - done) / done if seconds and done else None
            return CellSeen(arm, seed, "running", run.run_id, done, None, None, left)
        if key in busy:
            return CellSeen(arm, seed, "waiting", run.run_id)
        if (failure := run.read_or_none("failure.json")) is not None:
            return CellSeen(arm, seed, "failed", run.run_id, done, reason=str(failure.get("error")))
        if training.has("training.json"):
            return CellSeen(arm, seed, "trained", run.run_id, 1.0)
        return CellSeen(arm, seed, "waiting" if step is None else "unfinished", run.run_id, done)

    def _result(self, run: Run) -> dict[str, Any] | None:
        """The figures of a result that the board shows."""
        state = signature(run.path, ("result.json",))
        if state == [-1]:
            return None
        known = (run.run_id, *state)
        if known not in self._finished:
            result = run.read("result.json")
            self._finished[known] = {name: result[name] for name in ("metrics", "training")}
        return self._finished[known]

    def _alive(self, key: str) -> bool:
        """Whether a process holds the lock of a training or a run: here, or by its signs of life on another machine."""
        lease = self.store.part("locks") / f"{key}.lease"
        try:
            beat = lease.stat().st_mtime_ns
        except OSError:
            return False
        if self._beats.get(key, (None,))[0] != beat:
            self._beats[key] = (beat, time.monotonic())
        return not locks.abandoned(lease) and time.monotonic() - self._beats[key][1] <= locks.PATIENCE

    def _progress(self, training: Training) -> tuple[int | None, float, float]:
        """The last step that the log has, the share of the budget, and the seconds of training."""
        with suppress(HarnessError):
            lines = training.lines("metrics.jsonl", last=TAIL_BYTES)
            settings = (training.read_or_none("experiment.json") or {}).get("experiment", {}).get("training", {})
            if lines:
                step, seconds = int(lines[-1]["step"]), float(lines[-1]["seconds"])
                of_time, of_steps = settings.get("seconds"), settings.get("steps")
                share = seconds / of_time if of_time else step / of_steps if of_steps else 0.0
                return step, min(1.0, share), seconds
        return None, 0.0, 0.0

    def _compare(
        self, cells: tuple[CellSeen, ...], metric: str, reference: str, decisions: list[dict[str, Any]] | None
    ) -> tuple[Gain, ...]:
        """Each arm against the reference: by the rule of seeds where the plan has one, else over the seeds finished so far."""
        if decisions:
            return tuple(
                Gain(one["arm"], one["seeds"], one["difference"], one["low"], one["high"], one["verdict"])
                for one in decisions
            )
        values: dict[str, dict[int, float | None]] = {}
        for one in cells:
            if one.status == "finished":
                values.setdefault(one.arm, {})[one.seed] = one.value
        if self._gains[0] != values:
            self._gains = (values, _gains(values, reference, metric))
        return self._gains[1]


def _gains(values: Mapping[str, Mapping[int, float | None]], reference: str, metric: str) -> tuple[Gain, ...]:
    from harness.tuning.confirm import statistics

    base = values.get(reference, {})
    others = {arm: found for arm, found in values.items() if arm != reference and found.keys() & base.keys()}
    if not others:
        return ()
    better = getattr(METRICS.get(metric), "higher_is_better", True)
    found = statistics()(base, others, higher_is_better=better)
    return tuple(Gain(one.name, one.n, one.mean, one.low_alone, one.high_alone) for one in found)


def find_plan(store: Store, wanted: str | None) -> str:
    """The file of the plan whose digest begins with `wanted`; of the one written last if not given. Raises RequestError."""
    folder = store.part("plans")
    paths: list[Path] = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime) if folder.is_dir() else []
    found = [path for path in paths if wanted is None or path.name.startswith(wanted)]
    if not found or (wanted is not None and len(found) > 1):
        there = ", ".join(path.stem for path in reversed(paths)) or "none"
        which = "no plan" if not found else f"{len(found)} plans"
        about = f" whose name begins with {wanted!r}" if wanted else ""
        raise RequestError(f"{which}{about} in {store.root}; there: {there}. `harness ablate` begins one")
    return found[-1].name


def clock(seconds: float) -> str:
    """'1:05' or '2:03:04'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
