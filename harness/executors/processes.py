"""Cells in child processes: a cell that crashes, is killed or runs out of memory takes nothing else down."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from harness.errors import HarnessError, Interrupted
from harness.options import RunOptions
from harness.runs.request import Request
from harness.system import signals


class Task(Protocol):
    """What a worker can do: a value that can be pickled, with a `run` that raises nothing."""

    @property
    def threads(self) -> int:
        """Threads for torch in the child; 0: torch's own choice."""
        ...

    def run(self) -> Done:
        """Does it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a child needs to run one cell; plain values, so that plugins are loaded anew in the child.

    `evaluate` False trains the cell and leaves the test data alone.
    """

    request: Request
    variant: str
    seed: int
    store: Path
    plugins: tuple[Path, ...] = ()
    third_party: bool = True
    options: RunOptions = RunOptions()
    threads: int = 0
    quiet: bool = False
    evaluate: bool = True

    def run(self) -> Done:
        """Runs the cell."""
        return run_job(self)


@dataclass(frozen=True)
class Done:
    """How a job ended: its run's id, or the error (None when it succeeded). `stopped`: it was told to stop, its state is saved."""

    run_id: str
    cached: bool = False
    resumed: bool = False
    error: str | None = None
    stopped: bool = False


def run_job(job: Job) -> Done:
    """Runs one job in this process. An error becomes part of the answer."""
    from harness.cli.progress import PlainLines, progress
    from harness.registry import Variants
    from harness.runs.execute import Options, run_cell, train_cell
    from harness.store.store import Store

    run_id = ""
    try:
        cell, source = job.request.cell(Variants(files=job.plugins, third_party=job.third_party), job.variant, job.seed)
        run_id = cell.run_id
        options = Options(
            device=job.request.device,
            digits=job.request.digits,
            deterministic=job.options.deterministic,
            save_every=job.options.save_every,
            auto_batch=job.options.auto_batch,
            graphs=not job.options.no_graphs,
            reference=job.options.reference,
            progress=(lambda title: PlainLines(title, every=30.0)) if job.quiet else progress,
        )
        store = Store(job.store)
        if not job.evaluate:
            training = store.training(cell)
            cached = training.path.joinpath("training.json").exists()
            with store.own(training):
                _, resumed = train_cell(cell, training, source, options)
            if not (run := store.run(cell)).path.joinpath("experiment.json").exists():
                run.write("experiment.json", cell.record())  # so that the run is found by its id, and tested later
            return Done(run_id, cached=cached, resumed=resumed)
        outcome = run_cell(cell, store, source, options)
    except (Interrupted, KeyboardInterrupt) as error:
        return Done(run_id, error=str(error) or "interrupted", stopped=True)
    except HarnessError as error:
        return Done(run_id, error=str(error))
    except Exception as error:  # a variant's own code may raise anything; the plan goes on and the record says what
        return Done(run_id, error=f"{type(error).__name__}: {error}")
    return Done(run_id, cached=outcome.cached, resumed=outcome.resumed)


class Worker:
    """One child process that runs jobs one after the other."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self.job: Task | None = None
        self._start()

    def _start(self) -> None:
        self.connection, child = self._context.Pipe()
        self.process = self._context.Process(target=_serve, args=(child, os.getpid()), daemon=True)
        self.process.start()
        child.close()

    def submit(self, job: Task) -> None:
        """Gives the worker a job; it must be idle."""
        assert self.job is None
        self.job = job
        if not self.process.is_alive():
            self._start()
        self.connection.send(job)

    def result(self) -> Done:
        """The answer to the job under way; waits for it. A child that died is an error, and is started anew when needed."""
        assert self.job is not None
        self.job = None
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
        """Tells a job under way to save its state and stop; its answer still comes."""
        if self.job is not None and self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, signal.SIGTERM)

    def close(self) -> None:
        """Ends the child."""
        self.connection.close()
        self.process.join(timeout=10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def first_done(workers: Iterable[Worker], timeout: float | None) -> list[Worker]:
    """The busy workers whose answer is there, or whose child died; waits until there is one, or the time is over."""
    busy: dict[Connection, Worker] = {worker.connection: worker for worker in workers if worker.job is not None}
    return [busy[ready] for ready in wait(list(busy), timeout) if isinstance(ready, Connection)]


def _serve(connection: Connection, parent: int) -> None:
    # The terminal sends Ctrl-C to the parent too, which then stops its children; between jobs there is nothing to save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    while True:
        try:
            job: Task = connection.recv()
            if job.threads:
                import torch

                torch.set_num_threads(job.threads)
            with signals.ends_within(signals.GRACE_OF_CHILDREN):
                done = job.run()
            connection.send(done)
        except (EOFError, OSError, signals.Terminated):
            return


def _leave_with(parent: int) -> None:
    """Saves and ends this process when its parent is gone: an orphan would hold its cell's lock for hours."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(signals.GRACE_OF_CHILDREN + 1)
    os._exit(128 + signal.SIGTERM)  # the wish came in a job's last moment, and now it waits for another job
