"""What Ray and SLURM have in common: what goes to another machine with a task, and a new machine when one is lost."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.executors.protocol import Task
from harness.runs.job import Done
from harness.store import Store
from harness.system import files
from harness.version import REVISIONS, __version__

LOSSES = 5
"""How often in a row a task may lose its machine without having come further before that is an error."""
FAILURES = 3
"""After so many failures in a row a machine pauses before each further task, while others work."""
PAUSE, MOST_PAUSE = 60.0, 1920.0
"""Seconds of a machine's first pause, which doubles with each further failure, and of its longest."""
CARRIED = ("HARNESS_DIGITS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
VERSIONS = (__version__, REVISIONS["training"])
STOPPED = Done("", error="stopped", stopped=True)


@dataclass(frozen=True)
class RemoteTask:
    """A task for another machine. It works there in the same folder, on the same store and with the same code as here.

    A machine that lacks one of them answers with an error instead of a result that nobody would find.
    """

    task: Task
    folder: str
    mark: Path
    versions: tuple[str, int]
    environment: tuple[tuple[str, str], ...]

    def __call__(self) -> Done:
        """Runs the task in this process, which runs nothing else."""
        machine = socket.gethostname()
        try:
            time.sleep(self.pause(machine))
        except KeyboardInterrupt:
            return STOPPED
        if (missing := self._missing()) is not None:
            return Done("", error=f"{machine} {missing}", machine=machine)
        if self.task.threads:
            import torch

            torch.set_num_threads(self.task.threads)
        with contextlib.redirect_stdout(sys.stderr):  # a plugin's print must not reach the document of --json
            return replace(self.task.run(), machine=machine)

    def pause(self, machine: str) -> float:
        """Seconds that this machine has to wait before it begins: 0 for all but those whose tasks failed again and again."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # an empty mark: no machine has to
            return min(MOST_PAUSE, max(0.0, float(json.loads(self.mark.read_bytes()).get(machine, 0.0))))
        return 0.0

    def _missing(self) -> str | None:
        """Takes over folder and environment; says what this machine lacks."""
        if self.versions != VERSIONS:
            wanted, here = (
                f"version {version}, training revision {revision}" for version, revision in (self.versions, VERSIONS)
            )
            return f"has ablation-harness {here}, but {wanted} is needed; install the same version there"
        os.environ.update(self.environment)
        try:
            os.chdir(self.folder)
        except OSError as error:
            return f"cannot enter the folder {self.folder} ({error.strerror}); start from a folder that all machines share"
        if not self.mark.exists():
            return f"does not see the store {self.mark.parent.parent}; put it on a file system that all machines share"
        return None


class Lost(Exception):
    """A task's machine is gone, through no fault of the task; the message says how."""


@dataclass
class Submission:
    """A task under way.

    Args:
        handle: the system's own.
        ticket: grows from task to task.
        losses: how often in a row its machine was lost without the task having come further than `reached`.
        stopped: it was told to stop.
    """

    remote_task: RemoteTask
    handle: Any
    ticket: int = 0
    losses: int = 0
    reached: int = 0
    stopped: bool = False


@dataclass
class Streak:
    """Failures in a row of one machine; `since` is the newest ticket when they began."""

    count: int
    since: int


class Remote(ABC):
    """An executor of a cluster.

    A task whose machine is lost is sent out again, and its cell continues from its last checkpoint in the store; the caller hears
    nothing of it, for the task has not failed. It is an error when the task has come no further in `LOSSES` losses. A process that
    dies on a machine that lives is an answer, as it is with processes here.

    A machine whose tasks failed `FAILURES` times in a row would empty the queue, for it is the quickest. So its next tasks wait
    there, for a time that doubles, and what fails there counts as lost, as long as others show that the tasks can succeed: one that
    was sent before is still under way, or another machine finished one. A success ends it.
    """

    def __init__(self, store: Path, note: Callable[[str], None]) -> None:
        self._note, self._closing = note, ExitStack()
        self._submissions: dict[int, Submission] = {}
        self._tickets = 0
        self._streaks: dict[str, Streak] = {}
        self._works: set[str] = set()
        self._waits: dict[str, float] = {}
        self._mark = Store(store.absolute()).part("locks") / f"executor-{uuid.uuid4().hex}"
        try:
            self._mark.parent.mkdir(parents=True, exist_ok=True)
            self._mark.touch()
        except OSError as error:
            raise HarnessError(
                f"cannot write to the store {store}: {error.strerror or error}; choose another with --store or HARNESS_STORE"
            ) from error
        self._closing.callback(self._mark.unlink, missing_ok=True)

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many tasks run at the same time; at least 1."""

    @abstractmethod
    def _send(self, remote_task: RemoteTask) -> Any:
        """Submits the task; returns a handle."""

    @abstractmethod
    def _cancel(self, handle: Any) -> None:
        """Stops the task; a training under way saves its state first."""

    @abstractmethod
    def _ready(self, timeout: float) -> list[int]:
        """Tickets of tasks that have ended; waits for the first one, at most `timeout` seconds."""

    @abstractmethod
    def _answer(self, submission: Submission) -> Done:
        """The answer of a task that has ended. Raises Lost."""

    def submit(self, task: Task) -> int:
        """Starts a task."""
        carried = tuple((name, os.environ[name]) for name in CARRIED if name in os.environ)
        remote_task = RemoteTask(task, os.getcwd(), self._mark, VERSIONS, carried)
        self._tickets += 1
        self._submissions[self._tickets] = Submission(
            remote_task, self._send(remote_task), self._tickets, reached=task.progress()
        )
        return self._tickets

    def stop(self, ticket: int) -> None:
        """Tells a task to save its state and stop; its answer still comes."""
        self._submissions[ticket].stopped = True
        self._cancel(self._submissions[ticket].handle)

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        """New answers; waits for the first one, at most `timeout` seconds."""
        answers = []
        for ticket in self._ready(timeout):
            one = self._submissions[ticket]
            try:
                answer = self._answer(one)
                blamed = answer.machine in self._waits
                if answer.machine and not one.stopped:
                    self._judge(answer.machine, failed=answer.error is not None)
                if answer.error is not None and blamed and not answer.stopped:
                    raise Lost(f"{answer.machine}, which failed the cells before it, failed a cell ({answer.error})")
                if answer.stopped and not one.stopped:  # a node that is drained, a job that is preempted
                    raise Lost("a cell was told to stop by its machine")
            except Lost as lost:
                reached = one.remote_task.task.progress()
                one.losses = 1 if reached > one.reached else one.losses + 1
                one.reached = reached
                if not one.stopped and one.losses <= LOSSES:
                    self._note(f"{lost}; its cell continues elsewhere from its last checkpoint")
                    one.handle = self._send(one.remote_task)
                    continue
                error = f"{lost}, for the {one.losses}th time without a step saved in between"
                answer = Done("", error=error, stopped=one.stopped)
            del self._submissions[ticket]
            answers.append((ticket, answer))
        return answers

    def _judge(self, machine: str, *, failed: bool) -> None:
        """Takes note of how a task on a machine ended, and lets machines wait that fail while others work."""
        if failed:
            streak = self._streaks.setdefault(machine, Streak(0, self._tickets))
            streak.count += 1
        else:
            self._works.add(machine)
            self._streaks.pop(machine, None)
        others, oldest = self._works - self._streaks.keys(), min(self._submissions, default=math.inf)
        waits = {
            name: min(MOST_PAUSE, PAUSE * 2.0 ** min(10, one.count - FAILURES))
            for name, one in self._streaks.items()
            if one.count >= FAILURES and (others or oldest <= one.since)
        }
        if waits != self._waits:
            for name in waits.keys() - self._waits.keys():
                self._note(f"{name} failed {FAILURES} cells in a row while others work: it pauses before it takes another")
            self._waits = waits
            with contextlib.suppress(OSError):  # a full disk: the next task does not wait
                files.write(self._mark, json.dumps(waits).encode())

    def close(self) -> None:
        """Cancels tasks under way and closes the connection."""
        for one in self._submissions.values():
            self._cancel(one.handle)
        self._closing.close()


def one_line(error: BaseException) -> str:
    """The last line of an error's message with text in it: remote errors carry whole tracebacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -\t")]
    return (lines[-1] if lines else type(error).__name__)[:500]
