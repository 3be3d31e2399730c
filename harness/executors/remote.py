"""What goes to another machine with a task, and what that machine must share with this one."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import REVISIONS, __version__
from harness.errors import HarnessError
from harness.executors.processes import Done, Task
from harness.store import Store

LOSSES = 5
"""How often a task whose machine was lost is given to another one before that is an error."""
CARRIED = ("HARNESS_DIGITS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
VERSIONS = (__version__, REVISIONS)
STOPPED = Done("", error="stopped", stopped=True)


@dataclass(frozen=True)
class RemoteTask:
    """A task on its way. Run elsewhere, it works in the same folder, on the same store and with the same code as here.

    A machine that lacks one of them answers with an error instead of a result that nobody would find.
    """

    task: Task
    folder: str
    mark: Path
    versions: tuple[str, int]
    environment: tuple[tuple[str, str], ...]

    def __call__(self) -> Done:
        """Runs the task in this process, which is the task's own."""
        host = socket.gethostname()
        if self.versions != (__version__, REVISIONS):
            wanted, here = (f"version {version}, numerics {numerics}" for version, numerics in (self.versions, VERSIONS))
            return Done("", error=f"{host} has ablation-harness {here}, but {wanted} is asked for; install the same there")
        os.environ.update(self.environment)
        try:
            os.chdir(self.folder)
        except OSError as error:
            return Done(
                "", error=f"{host} has not the folder {self.folder} ({error.strerror}); start from one that all share"
            )
        if not self.mark.exists():
            where = self.mark.parent.parent
            return Done(
                "", error=f"{host} does not see the store {where}; it must be on a file system that all machines share"
            )
        if self.task.threads:
            import torch

            torch.set_num_threads(self.task.threads)
        with contextlib.redirect_stdout(sys.stderr):  # a plugin's print must not reach the document of --json
            return self.task.run()


class Lost(Exception):
    """A task's machine is gone, and not by the task's doing; the message says how."""


@dataclass
class Way:
    """An remote_task under way: the system's handle for it, how often its machine was lost, whether it was told to stop."""

    remote_task: RemoteTask
    handle: Any
    losses: int = 0
    stopped: bool = False


class Remote(ABC):
    """What the executors have in common: tickets, and a new machine for a task whose machine was lost.

    A loss is not the task's failure, so the caller hears nothing of it before it has happened `LOSSES` times: the task is
    sent out again, and its cell goes on from its last checkpoint in the store. A process that died on a machine that lives is
    an answer like any other, as it is with processes here.
    """

    def __init__(self, store: Path, note: Callable[[str], None]) -> None:
        self._note, self._closing = note, ExitStack()
        self._way: dict[int, Way] = {}
        self._tickets = 0
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
        """How many tasks run at once; at least 1."""

    @abstractmethod
    def _send(self, remote_task: RemoteTask) -> Any:
        """Has the remote_task run somewhere; returns a handle."""

    @abstractmethod
    def _cancel(self, handle: Any) -> None:
        """Has it stopped: a training that is under way saves its state first."""

    @abstractmethod
    def _ready(self, timeout: float) -> list[int]:
        """Tickets whose end has come; waits for the first one, at most `timeout` seconds."""

    @abstractmethod
    def _answer(self, way: Way) -> Done:
        """The answer of an remote_task that has ended. Raises Lost."""

    def submit(self, task: Task) -> int:
        """Starts a task."""
        carried = tuple((name, os.environ[name]) for name in CARRIED if name in os.environ)
        remote_task = RemoteTask(task, os.getcwd(), self._mark, VERSIONS, carried)
        self._tickets += 1
        self._way[self._tickets] = Way(remote_task, self._send(remote_task))
        return self._tickets

    def stop(self, ticket: int) -> None:
        """Tells a task to save its state and stop; its answer still comes."""
        self._way[ticket].stopped = True
        self._cancel(self._way[ticket].handle)

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        """The answers that are there."""
        answers = []
        for ticket in self._ready(timeout):
            way = self._way[ticket]
            try:
                answer = self._answer(way)
                if answer.stopped and not way.stopped:  # a node that is drained, a job that is preempted
                    raise Lost("a cell was told to stop by its machine")
            except Lost as lost:
                way.losses += 1
                if not way.stopped and way.losses <= LOSSES:
                    self._note(f"{lost}; its cell goes on elsewhere from its last checkpoint")
                    way.handle = self._send(way.remote_task)
                    continue
                answer = Done("", error=f"{lost}, for the {way.losses}th time", stopped=way.stopped)
            del self._way[ticket]
            answers.append((ticket, answer))
        return answers

    def close(self) -> None:
        """Ends what is still under way, and the connection."""
        for way in self._way.values():
            self._cancel(way.handle)
        self._closing.close()


def one_line(error: BaseException) -> str:
    """The last line of an error's message that says something: remote errors carry whole tracebacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -\t")]
    return (lines[-1] if lines else type(error).__name__)[:500]
