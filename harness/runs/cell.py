"""Runs cells: answers from the store what is finished, trains and evaluates the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from harness.errors import OutOfMemory, RequestError
from harness.hooks import NO_HOOKS, Hook
from harness.options import RunOptions
from harness.runs.context import DEFAULTS, HERE, Context
from harness.runs.hooked import hooked, picture
from harness.runs.outcome import Outcome, finished, note_sources
from harness.store import Cell, DamagedRecord, Folder, Run, Store, Training
from harness.system.progress import Silent

if TYPE_CHECKING:
    from harness.data.source import Source

NOTHING_TO_TRAIN = "nothing to train"
"""What rank 0 tells the others when the store has the training."""


def run_cell(cell: Cell, store: Store, source: Source, options: RunOptions = DEFAULTS, context: Context = HERE) -> Outcome:
    """Answers the cell from the store, or trains what is missing and evaluates it.

    Several processes may ask for one cell at once: one works, the others wait and then read its result. Of the processes that
    train together, rank 0 does all this and calls the others when there is something to train (see `assist`).

    Raises:
        Interrupted: told to stop; the state is saved and the same call resumes from it.
        HarnessError: the training diverged, memory ran out, or the store cannot be written or is damaged.
    """
    if cell.experiment.inference.predictor is not None:
        from harness.runs.score import run_untrained

        context.distributed.broadcast(NOTHING_TO_TRAIN)
        return run_untrained(cell, store, source, options, context)
    run, training = store.run(cell), store.training(cell)

    def waiting() -> None:
        context.note(f"{cell.variant} seed {cell.seed}: another process trains it; waiting")
        context.turn.leave()

    with ExitStack() as stack:  # nobody waits for a lock while hooks are waited for
        with store.own(training, waiting):
            context.turn.join()
            if context.force:
                store.set_aside(run)
                store.set_aside(training)
            else:
                with suppress(DamagedRecord):
                    if (outcome := finished(store, cell, context.note)) is not None:
                        context.distributed.broadcast(NOTHING_TO_TRAIN)
                        return outcome
            hooks = stack.enter_context(hooked(cell, store, options, context.note))
            summary, resumed = train_cell(cell, training, source, options, context, hooks)
            note_sources(cell, {}, training.read_or_none("experiment.json") or {}, context.note)
        with store.own(run):
            if (outcome := _finished_or_set_aside(store, cell, run, context)) is not None:
                hooks.end(outcome.result)
                return outcome
            with _memory_errors(cell, options, context, "testing"):
                from harness.runs.result import evaluate_cell

                result = evaluate_cell(cell, training, summary, run, source, options, context)
        if options.hooks:
            picture(cell, training, summary, source, context, hooks)
        hooks.end(result)
    return Outcome(result, run.path, resumed=resumed)


def _finished_or_set_aside(store: Store, cell: Cell, run: Run, context: Context) -> Outcome | None:
    """The cell's result when it is whole. A run with damage is put into quarantine. For the holder of the run's lock."""
    run.take_out()
    run.sweep()
    if run.path.exists() and not run.path.is_dir():
        _set_aside(run, DamagedRecord(f"{run.path} is not a folder"), context)
    try:
        return finished(store, cell, context.note)
    except DamagedRecord as error:  # all of it at once: a part would be a run that lacks something
        _set_aside(run, DamagedRecord(str(error)), context)
        return None


def train_cell(
    cell: Cell,
    folder: Training,
    source: Source,
    options: RunOptions = DEFAULTS,
    context: Context = HERE,
    hooks: Hook = NO_HOOKS,
) -> tuple[dict[str, Any], bool]:
    """Trains the cell unless the store has its training; returns the summary and whether an earlier one was resumed.

    What is damaged is put into quarantine, and what depended on it is trained again. For the holder of the training's lock.
    `hooks` hears of steps and validations; of a training that the store has, of the validations.
    """
    import torch

    from harness.runs.smoke_test import smoke_test
    from harness.system.environment import environment
    from harness.training.extension import begin_extension
    from harness.training.loop import fit
    from harness.training.start import ExtensionStart

    if (predictor := cell.experiment.inference.predictor) is not None:
        raise RequestError(
            f"inference.predictor={predictor.name} trains nothing, so there is nothing to tune or to continue"
        )
    folder.take_out()
    summary = _whole_training(cell, folder, context)
    if summary is not None:
        context.distributed.broadcast(NOTHING_TO_TRAIN)
        for one in folder.validations() if options.hooks else ():
            hooks.validation(one["step"], {name: value for name, value in one.items() if name not in ("step", "seconds")})
        return summary, False
    resumed = (folder.path / "last.safetensors").exists()
    with _memory_errors(cell, options, context, "training"):
        if not resumed:
            smoke_test(cell.experiment, source)
            folder.write("experiment.json", cell.record())
            folder.write("environment.json", environment(context.device))
            start = cell.experiment.training.start
            if isinstance(start, ExtensionStart):
                begin_extension(folder, start, cell.experiment.training.patience)
        with context.progress(f"{cell.variant} seed {cell.seed}") as progress:
            if resumed:
                progress.note(f"resuming the training in {folder.path}")
            context.distributed.broadcast("train")
            try:
                device, distributed = torch.device(context.device), context.distributed
                summary = fit(
                    cell.experiment,
                    source,
                    folder,
                    device,
                    progress,
                    options,
                    distributed=distributed,
                    hooks=hooks,
                    turn=context.turn,
                )
            except DamagedRecord as error:
                if not resumed or context.distributed.count > 1:
                    raise
                _set_aside(folder, DamagedRecord(str(error)), context)
    if summary is None:  # from the start, in a folder that is empty now
        return train_cell(cell, folder, source, options, context, hooks)
    folder.sync("metrics.jsonl")
    folder.write("training.json", summary)
    return summary, resumed


def assist(cell: Cell, store: Store, source: Source, options: RunOptions = DEFAULTS, context: Context = HERE) -> None:
    """Trains this process's share when rank 0 finds that the cell is not trained yet; writes nothing. For all ranks but 0.

    Raises Interrupted and HarnessError as `run_cell` does on rank 0.
    """
    import torch

    from harness.training.loop import fit

    if context.distributed.broadcast("") != NOTHING_TO_TRAIN:
        with _memory_errors(cell, options, context, "training"):
            device, training = torch.device(context.device), store.training(cell)
            fit(cell.experiment, source, training, device, Silent(), options, distributed=context.distributed)


def _whole_training(cell: Cell, folder: Training, context: Context) -> dict[str, Any] | None:
    """The summary of a training that is finished and whole. What is damaged is put into quarantine first."""
    folder.sweep()
    if folder.path.exists() and not folder.path.is_dir():
        _set_aside(folder, DamagedRecord(f"{folder.path} is not a folder"), context)
    for name in ("experiment.json", "environment.json"):
        try:
            found = folder.read_or_none(name)
        except DamagedRecord as error:
            _set_aside(folder, error, context)
            found = None
        if found is None and name == "experiment.json" and (folder.path / "last.safetensors").exists():
            folder.write(name, cell.record())  # its key says what it was; of its environment nothing else does
    try:
        folder.lines("metrics.jsonl")
    except DamagedRecord as error:
        _set_aside(folder, error, context)
    try:
        summary = folder.read_or_none("training.json")
    except DamagedRecord as error:  # the training resumes from its last state, which is its end
        _set_aside(folder, error, context)
        return None
    try:
        if summary is not None:
            folder.check(summary, here=False)
        elif (folder.path / "last.safetensors").exists():
            folder.check_checkpoint("last.safetensors")
    except DamagedRecord as error:
        _set_aside(folder, DamagedRecord(str(error)), context)
        return None
    return summary


def _set_aside(folder: Folder, error: DamagedRecord, context: Context) -> None:
    """Puts what the error names into quarantine, and says so."""
    where = Store(folder.path.parent.parent).quarantine(error.path or folder.path, str(error))
    context.note(f"damaged: {error}. It is kept in {where} and made again")


@contextmanager
def _memory_errors(cell: Cell, options: RunOptions, context: Context, doing: str) -> Iterator[None]:
    """Says in one line what to lower when memory runs out, on the GPU or here."""
    from harness.system.devices import out_of_memory

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        size = cell.experiment.training.batch_size
        hint = "" if options.auto_batch else "use --auto-batch (smaller parts of the same batch, the same cell), or "
        raise OutOfMemory(
            f"out of memory on {context.device} while {doing} {cell.variant!r} with training.batch_size={size}; "
            f"{hint}lower training.batch_size, architecture.widths or data.canvas"
        ) from error
