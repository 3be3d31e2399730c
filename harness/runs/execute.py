"""Runs cells: answers from the store what is finished, trains and evaluates the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.component import Find
from harness.errors import HarnessError
from harness.evaluation.conventions import CONVENTIONS
from harness.experiment import Experiment
from harness.options import SAVE_SECONDS
from harness.store import REDO, Cell, DamagedRecord, Folder, Run, Store, Training, validated
from harness.system.progress import Progress, Silent
from harness.training.distributed import SINGLE_PROCESS, Distributed

if TYPE_CHECKING:
    import torch

    from harness.data.source import Source
    from harness.training.trainer import MicroBatcher

BASELINES = ("blank", "repeat_last")
NOTHING_TO_TRAIN = "nothing to train"
"""What rank 0 tells the others when the store has the training."""
BESIDE = ("experiment.json", "environment.json", "sequences.json")
"""What lies beside a result and belongs to it."""
PRINTED = (
    *("run_id", "variant", "preset", "seed", "status", "cached", "resumed", "params", "flops_per_sequence"),
    *("metrics", "metrics_per_frame", "baselines", "training", "inference", "memory", "device", "digits", "path"),
)
"""The keys of `harness run --json`, in their order: other programs rely on them."""
PRINTED_PARTS = {
    "training": ("steps", "seconds", "sequences_per_second", "skipped_steps"),
    "inference": ("frames_per_second",),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a cell; nothing here changes its result by more than rounding, so nothing here is part of its identity."""

    device: str = "cpu"
    digits: Path | None = None
    deterministic: bool = False
    save_every: float = SAVE_SECONDS
    force: bool = False
    auto_batch: bool = False
    graphs: bool = True
    reference: bool = False
    distributed: Distributed = SINGLE_PROCESS
    progress: Callable[[str], Progress] = lambda title: Silent()
    note: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Outcome:
    """A cell's result, and whether it came from the store or from a training that went on."""

    result: dict[str, Any]
    path: Path
    cached: bool = False
    resumed: bool = False

    def record(self) -> dict[str, Any]:
        """The document that `harness run --json` prints: the documented part of the result. `harness show` has all of it."""
        whole = self.result | {"cached": self.cached, "resumed": self.resumed, "path": str(self.path)}
        parts = {name: {key: whole[name][key] for key in keys} for name, keys in PRINTED_PARTS.items()}
        return {name: parts.get(name, whole[name]) for name in PRINTED}


def smoke_test(experiment: Experiment, source: Source) -> None:
    """Sends one black frame through network, views and metrics, so that what cannot fit fails before anything is written.

    Raises RequestError when the frames do not suit the architecture, a view, or the metrics.
    """
    import torch

    from harness.evaluation.metrics import MetricMean
    from harness.evaluation.views import predict
    from harness.model.build import build_model

    model = build_model(experiment.architecture, source.shape, experiment.training.seed)
    frames = torch.zeros(1, 1, source.channels, source.height, source.width)
    MetricMean().update(predict(model, frames, 1, experiment.inference.views), frames)


def finished(store: Store, cell: Cell) -> Outcome | None:
    """The cell's result when the store has it whole. Raises DamagedRecord when it is there but not whole."""
    run = store.run(cell)
    result = run.read_or_none("result.json")
    if result is None:
        return None
    for name in BESIDE:
        if run.read_or_none(name) is None and name == "experiment.json":
            raise DamagedRecord(f"{run.path} has no experiment.json; {REDO}")
    # Two names can mean one experiment (`tta` with one view is `base`); the answer carries the name that was asked for.
    outcome = Outcome(result | {"variant": cell.variant, "preset": cell.preset}, run.path, cached=True)
    with validated(run.path / "result.json"):
        outcome.record()
    return outcome


def run_cell(cell: Cell, store: Store, source: Source, options: Options) -> Outcome:
    """Answers the cell from the store, or trains what is missing and evaluates it.

    Several processes may ask for one cell at once: one works, the others wait and then read its result. Of the processes that
    train together, rank 0 does all this and calls the others when there is something to train (see `assist`).

    Raises:
        Interrupted: told to stop; the state is saved and the same call goes on from it.
        HarnessError: the training diverged, memory ran out, or the store cannot be written or is damaged.
    """
    run, training = store.run(cell), store.training(cell)
    with store.own(training, lambda: options.note(f"{cell.variant} seed {cell.seed}: another process trains it; waiting")):
        if options.force:
            store.set_aside(run)
            store.set_aside(training)
        else:
            with suppress(DamagedRecord):
                if (outcome := finished(store, cell)) is not None:
                    options.distributed.broadcast(NOTHING_TO_TRAIN)
                    return outcome
        summary, resumed = train_cell(cell, training, source, options)
    with store.own(run):
        if (outcome := _finished_or_set_aside(store, cell, run, options)) is not None:
            return outcome
        with _memory_errors(cell, options, "testing"):
            result = evaluate_cell(cell, training, summary, run, source, options)
    return Outcome(result, run.path, resumed=resumed)


def _finished_or_set_aside(store: Store, cell: Cell, run: Run, options: Options) -> Outcome | None:
    """The cell's result when it is whole. A run with damage is put into quarantine. For the holder of the run's lock."""
    run.sweep()
    if run.path.exists() and not run.path.is_dir():
        _set_aside(run, DamagedRecord(f"{run.path} is not a folder"), options)
    try:
        return finished(store, cell)
    except DamagedRecord as error:  # all of it, at one stroke: a part would be a run that lacks something
        _set_aside(run, DamagedRecord(str(error)), options)
        return None


def train_cell(cell: Cell, folder: Training, source: Source, options: Options) -> tuple[dict[str, Any], bool]:
    """Trains the cell unless the store has its training; returns the summary and whether an earlier one was continued.

    What is damaged is put into quarantine, and of the training as much is done anew as hung on it. For the holder of the
    training's lock.
    """
    import torch

    from harness.system.environment import environment
    from harness.training.trainer import fit

    summary = _whole_training(cell, folder, options)
    if summary is not None:
        options.distributed.broadcast(NOTHING_TO_TRAIN)
        return summary, False
    resumed = (folder.path / "last.safetensors").exists()
    with _memory_errors(cell, options, "training"):
        if not resumed:
            smoke_test(cell.experiment, source)
            folder.write("experiment.json", cell.record())
            folder.write("environment.json", environment(options.device))
        with options.progress(f"{cell.variant} seed {cell.seed}") as progress:
            if resumed:
                progress.note(f"going on with the training in {folder.path}")
            options.distributed.broadcast("train")
            try:
                summary = fit(
                    cell.experiment,
                    source,
                    folder,
                    torch.device(options.device),
                    progress,
                    deterministic=options.deterministic,
                    save_every=options.save_every,
                    auto_batch=options.auto_batch,
                    graphs=options.graphs,
                    reference=options.reference,
                    distributed=options.distributed,
                )
            except DamagedRecord as error:
                if not resumed or options.distributed.count > 1:
                    raise
                _set_aside(folder, DamagedRecord(str(error)), options)
    if summary is None:  # from the beginning, in a folder that is empty now
        return train_cell(cell, folder, source, options)
    folder.sync("metrics.jsonl")
    folder.write("training.json", summary)
    return summary, resumed


def assist(cell: Cell, store: Store, source: Source, options: Options) -> None:
    """Trains this process's share when rank 0 finds that the cell is not trained yet; writes nothing. For all ranks but 0.

    Raises Interrupted and HarnessError as `run_cell` does on rank 0.
    """
    import torch

    from harness.training.trainer import fit

    if options.distributed.broadcast("") != NOTHING_TO_TRAIN:
        with _memory_errors(cell, options, "training"):
            fit(
                cell.experiment,
                source,
                store.training(cell),
                torch.device(options.device),
                Silent(),
                deterministic=options.deterministic,
                auto_batch=options.auto_batch,
                graphs=options.graphs,
                reference=options.reference,
                distributed=options.distributed,
            )


def _whole_training(cell: Cell, folder: Training, options: Options) -> dict[str, Any] | None:
    """The summary of a training that is finished and whole. What is damaged is put into quarantine first."""
    folder.sweep()
    if folder.path.exists() and not folder.path.is_dir():
        _set_aside(folder, DamagedRecord(f"{folder.path} is not a folder"), options)
    for name in ("experiment.json", "environment.json"):
        try:
            found = folder.read_or_none(name)
        except DamagedRecord as error:
            _set_aside(folder, error, options)
            found = None
        if found is None and name == "experiment.json" and (folder.path / "last.safetensors").exists():
            folder.write(name, cell.record())  # its key says what it was; of its environment nothing else does
    try:
        folder.lines("metrics.jsonl")
    except DamagedRecord as error:
        _set_aside(folder, error, options)
    try:
        summary = folder.read_or_none("training.json")
    except DamagedRecord as error:  # the training goes on from its last state, which is its end
        _set_aside(folder, error, options)
        return None
    try:
        if summary is not None:
            folder.check(summary)
        elif (folder.path / "last.safetensors").exists():
            folder.check_checkpoint("last.safetensors")
    except DamagedRecord as error:
        _set_aside(folder, DamagedRecord(str(error)), options)
        return None
    return summary


def _set_aside(folder: Folder, error: DamagedRecord, options: Options) -> None:
    """Puts what the error names into quarantine, and says so."""
    where = Store(folder.path.parent.parent).quarantine(error.path or folder.path, str(error))
    options.note(f"damaged: {error}. It is kept in {where} and done anew")


@contextmanager
def _memory_errors(cell: Cell, options: Options, doing: str) -> Iterator[None]:
    """Says in one line what to lower when memory runs out, on the GPU or here."""
    from harness.system.devices import out_of_memory

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        size = cell.experiment.training.batch_size
        hint = "" if options.auto_batch else "use --auto-batch (smaller parts of the same batch, the same cell), or "
        raise HarnessError(
            f"out of memory on {options.device} while {doing} {cell.variant!r} with training.batch_size={size}; "
            f"{hint}lower training.batch_size, architecture.widths or data.canvas"
        ) from error


def evaluate_cell(
    cell: Cell, training: Training, summary: Mapping[str, Any], run: Run, source: Source, options: Options
) -> dict[str, Any]:
    """Tests the cell's checkpoint, and the baselines on the same sequences; writes and returns the result.

    With `options.auto_batch` as many sequences at once as fit into memory.
    """
    import torch

    from harness.evaluation.cost import flops_per_sequence, frames_per_second
    from harness.model.build import count_parameters, use_reference
    from harness.model.graphs import graphed
    from harness.system.environment import describe_device, environment
    from harness.training.trainer import MicroBatcher, load_model

    device = torch.device(options.device)
    experiment = cell.experiment
    size = experiment.training.batch_size
    micro_batches = MicroBatcher(size, options.auto_batch, lambda text: options.note(f"testing {cell.variant!r}: {text}"))
    model = use_reference(load_model(experiment, source.shape, training.check(summary), device), options.reference)
    network = graphed(model, device, options.graphs and not options.deterministic, options.note)
    scores = score(network, experiment, source, device, micro_batches)
    sequences = {"ssim": scores.pop("ssim_per_sequence")}
    batch = next(iter(source.test(size, device)))
    # Of as many sequences at once as were tested; when that is too much, of fewer.
    speed, measured = next(
        micro_batches.each(network, batch, lambda some: (frames_per_second(network, experiment, some), len(some)))
    )
    result = {
        "run_id": cell.run_id,
        "variant": cell.variant,
        "preset": cell.preset,
        "seed": cell.seed,
        "status": "finished",
        "params": count_parameters(model),
        "flops_per_sequence": flops_per_sequence(model, experiment, source.shape),
        **scores,
        "training": {key: value for key, value in summary.items() if key not in ("memory", "checkpoint")},
        "inference": {
            "frames_per_second": speed,
            "batch_size": measured,
            "frames_per_second_batch_1": frames_per_second(network, experiment, batch[:1]),
        },
        "memory": summary["memory"],
        "device": describe_device(options.device),
        "digits": source.digits,
        "test_digest": source.test_digest(),
        "conventions": CONVENTIONS,
        "training_key": cell.training_key,
        "revisions": cell.record()["revisions"],
    }
    run.write("experiment.json", cell.record())
    run.write("environment.json", environment(options.device))
    run.write("sequences.json", sequences)  # apart from the result, which is read often and stays small
    run.write("result.json", result)
    return run.read("result.json")


def score(
    model: torch.nn.Module, experiment: Experiment, source: Source, device: torch.device, micro_batches: MicroBatcher
) -> dict[str, Any]:
    """Metrics of the model and of the baselines on the test sequences: overall, by predicted frame, and by sequence."""
    from harness.evaluation.metrics import MetricMean, blank, frame_metrics, repeat_last
    from harness.evaluation.views import predict
    from harness.system.devices import autocast

    shown, horizon = experiment.data.input_frames, experiment.data.horizon
    means = {name: MetricMean() for name in ("model", *BASELINES)}

    def measured(frames: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
        inputs, target = frames[:, :shown], frames[:, shown:]
        with autocast(experiment.training.precision, device):
            prediction = predict(model, inputs, horizon, experiment.inference.views)
        return {
            "model": frame_metrics(prediction, target),
            "blank": frame_metrics(blank(inputs, horizon), target),
            "repeat_last": frame_metrics(repeat_last(inputs, horizon), target),
        }

    for frames in source.test(experiment.training.batch_size, device):
        for found in micro_batches.each(model, frames, measured):
            for name, metrics_BT in found.items():
                means[name].add(metrics_BT)
    return {
        "metrics": means["model"].overall(),
        "metrics_per_frame": means["model"].per_frame(),
        "baselines": {name: means[name].overall() for name in BASELINES},
        "baselines_per_frame": {name: means[name].per_frame() for name in BASELINES},
        "ssim_per_sequence": means["model"].per_sequence("ssim"),
    }


def stored_experiment(store: Store, run: Run, find: Find) -> Experiment:
    """The experiment of a run's record. Raises DamagedRecord or RequestError when it cannot be read back."""
    with validated(run.path):
        return Experiment.from_dict(store.record_of(run).get("experiment", {}), find)
