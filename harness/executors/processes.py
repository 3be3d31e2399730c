"""Cells in child processes: a cell that crashes, is killed or runs out of memory takes nothing else down."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait

from harness.executors.protocol import Task
from harness.runs.job import Done
from harness.system import signals


def share_of_cores(workers: int) -> int:
    """Threads of each of several processes here; 0, torch's own choice, for one alone."""
    return max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0


class Processes:
    """Runs tasks in child processes of this one."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._workers: list[Worker] = []
        self._busy: dict[int, Worker] = {}
        self._tickets = 0

    @property
    def slots(self) -> int:
        """How many processes."""
        return self._slots

    def submit(self, task: Task) -> int:
        """Gives the task to an idle process; starts one if there is none."""
        idle = next((worker for worker in self._workers if worker not in self._busy.values()), None)
        if idle is None:
            assert len(self._workers) < self._slots
            idle = Worker()
            self._workers.append(idle)
        idle.submit(task)
        self._tickets += 1
        self._busy[self._tickets] = idle
        return self._tickets

    def stop(self, ticket: int) -> None:
        """Sends SIGTERM, on which a training saves its state."""
        self._busy[ticket].stop()

    def done(self, timeout: float) -> list[tuple[int, Done]]:
        """New answers, also of children that died; waits for the first one, at most `timeout` seconds."""
        ready = wait([worker.connection for worker in self._busy.values()], timeout)
        tickets = [ticket for ticket, worker in self._busy.items() if worker.connection in ready]
        return [(ticket, self._busy.pop(ticket).result()) for ticket in tickets]

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()


class Worker:
    """One child process that runs tasks one after the other."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self.connection, child = self._context.Pipe()
        self.process = self._context.Process(target=_serve, args=(child, os.getpid()), daemon=True)
        self.process.start()
        child.close()

    def submit(self, task: Task) -> None:
        """Gives the worker a task; it must be idle."""
        if not self.process.is_alive():
            self._start()
        self.connection.send(task)

    def result(self) -> Done:
        """The answer to the task under way; waits for it. A child that died is an error, and another one is started."""
        try:
            answer: Done = self.connection.recv()
            return answer
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            hint = "; the machine may have run out of memory" if code == -signal.SIGKILL else ""
            self._start()
            return Done("", error=f"the process {how}{hint}")

    def stop(self) -> None:
        """Tells a task under way to save its state and stop; its answer still comes."""
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, signal.SIGTERM)

    def close(self) -> None:
        """Ends the child."""
        self.connection.close()
        self.process.join(timeout=10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(connection: Connection, parent: int) -> None:
    # The terminal sends Ctrl-C to the parent too, which then stops its children; between tasks there is nothing to save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    while True:
        try:
            task: Task = connection.recv()
            if task.threads:
                import torch

                torch.set_num_threads(task.threads)
            with signals.ends_within(signals.GRACE_OF_CHILDREN):
                done = task.run()
            connection.send(done)
        except (EOFError, OSError, signals.Terminated):
            return


def _leave_with(parent: int) -> None:
    """Saves and ends this process when its parent is gone: an orphan would hold its cell's lock for hours."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(signals.GRACE_OF_CHILDREN + 1)
    os._exit(128 + signal.SIGTERM)  # the signal came in a task's last moment, and the process waits for another task
