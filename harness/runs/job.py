"""A cell as a value that another process can run, and the answer that it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, Interrupted, OutOfMemory
from harness.options import RunOptions
from harness.runs.request import Request
from harness.system.turns import ALONE, Turn

if TYPE_CHECKING:
    from harness.system.progress import Progress
    from harness.variant import Variants


@dataclass(frozen=True)
class Done:
    """How a job ended.

    Args:
        run_id: the id of its run; '' when it is unknown.
        error: None when the job succeeded.
        stopped: it was told to stop, and its state is saved.
        notes: what the user should know, such as an answer that other source of a plugin made; for whoever asked to say.
        machine: where it ran, if that is another machine; '' when it is unknown.
        out_of_memory: whether the error is that memory ran out.
        parts: of a task of several cells, each one's answer; empty when all share what is said here.
    """

    run_id: str
    cached: bool = False
    resumed: bool = False
    error: str | None = None
    stopped: bool = False
    notes: tuple[str, ...] = ()
    machine: str = ""
    out_of_memory: bool = False
    parts: tuple[Done, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell to run; plain values, so that the process that runs it loads the plugins itself.

    Args:
        threads: threads for torch; 0 for torch's own choice.
        quiet: report progress every half minute only.
        silent: report no progress; what the user should know is part of the answer.
        evaluate: False trains the cell and leaves the test data alone.
        training: the key of the cell's training, by which `progress` finds it.
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
    silent: bool = False
    evaluate: bool = True
    training: str = ""

    def progress(self) -> int:
        """The step at which the cell would continue, from the store; 0 when it would begin."""
        from harness.store import Store, Training

        return Training(Store(self.store).part("trainings") / self.training).saved_step() if self.training else 0

    def run(self) -> Done:
        """Runs the cell in this process. Raises nothing: an error becomes part of the answer."""
        return run_job(self)


def run_job(
    job: Job, variants: Variants | None = None, shown: Callable[[str], Progress] | None = None, turn: Turn = ALONE
) -> Done:
    """Runs one job in this process. An error becomes part of the answer, as do notes.

    Args:
        variants: the variants that the job may name; the installed ones and those of its plugin files if not given.
        shown: makes the display of a training from its title.
        turn: this thread's, which it has, among those that run jobs in this process.
    """
    notes: list[str] = []
    return replace(_run(job, variants, shown, notes.append, turn), notes=tuple(notes))


def _run(
    job: Job,
    variants: Variants | None,
    shown: Callable[[str], Progress] | None,
    note: Callable[[str], None],
    turn: Turn,
) -> Done:
    from harness.runs.cell import run_cell, train_cell
    from harness.runs.context import Context
    from harness.runs.hooked import hooked
    from harness.store import Store
    from harness.variant import Variants

    run_id = ""
    try:
        installed = variants or Variants(files=job.plugins, third_party=job.third_party)
        cell, source = job.request.cell(installed, job.variant, job.seed)
        run_id = cell.run_id
        context = Context(
            device=job.request.device,
            progress=shown or _display(job, note),
            note=note,
            turn=turn,
        )
        store = Store(job.store)
        if not job.evaluate:
            training = store.training(cell)
            cached = training.has("training.json")
            with hooked(cell, store, job.options, note) as hooks, store.own(training):
                summary, resumed = train_cell(cell, training, source, job.options, context, hooks)
                hooks.end(summary)
            if not (run := store.run(cell)).has("experiment.json"):
                run.write("experiment.json", cell.record())  # so that the run is found by its id, and tested later
            return Done(run_id, cached=cached, resumed=resumed)
        outcome = run_cell(cell, store, source, job.options, context)
    except (Interrupted, KeyboardInterrupt) as error:
        return Done(run_id, error=str(error) or "interrupted", stopped=True)
    except HarnessError as error:
        return Done(run_id, error=str(error), out_of_memory=isinstance(error, OutOfMemory))
    except Exception as error:  # a variant's own code may raise anything; the plan continues and the record says what
        return Done(run_id, error=f"{type(error).__name__}: {error}")
    return Done(run_id, cached=outcome.cached, resumed=outcome.resumed)


def _display(job: Job, note: Callable[[str], None]) -> Callable[[str], Progress]:
    """What makes the display of a training in the process that runs the job."""
    from harness.system.progress import NotesOnly, PlainLines, progress

    if job.silent:
        return lambda title: NotesOnly(note)
    return (lambda title: PlainLines(title, every=30.0)) if job.quiet else progress
