"""The one training loop that all variants share. It knows no variant: what differs is in the experiment."""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import nn

from harness.data.prefetch import Prefetcher
from harness.data.source import Source
from harness.errors import HarnessError, Interrupted
from harness.evaluation.conventions import HEADLINE, metric_named
from harness.evaluation.cost import forget_peak, peak_memory
from harness.evaluation.evaluate import evaluate
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.micro_batches import MicroBatcher
from harness.experiment import Experiment
from harness.hooks import NO_HOOKS, Hook
from harness.model.build import build_model, use_reference
from harness.model.graphs import Graphed, graphed
from harness.options import RunOptions
from harness.store import Training
from harness.system.precision import torch_switches
from harness.system.progress import Progress, Status
from harness.system.seeds import derived_seed
from harness.system.signals import stop_signals
from harness.system.turns import ALONE, Turn
from harness.training.blank import Blank
from harness.training.build import build_loss, build_optimizer, build_schedule
from harness.training.checkpoint import State, Stateful, best_name, on_device, resume, save_checkpoint, write_best
from harness.training.distributed import SINGLE_PROCESS, Distributed
from harness.training.schedules import NOMINAL_TOTAL
from harness.training.start import start_from
from harness.training.step import GradientAccumulator, train_step

WARM_UP_STEPS = 3
"""Steps at the start of a process that do not count in the times: kernels are chosen and memory is first touched there."""

LOG_EVERY = 10
"""Steps between lines of metrics.jsonl."""


def fit(
    experiment: Experiment,
    source: Source,
    folder: Training,
    device: torch.device,
    progress: Progress,
    options: RunOptions,
    *,
    distributed: Distributed = SINGLE_PROCESS,
    hooks: Hook = NO_HOOKS,
    turn: Turn = ALONE,
) -> dict[str, Any]:
    """Trains to the end of the budget, from where an earlier process stopped; returns the training's summary.

    Every step is a function of (seed, step) and of the state before it, dropout included, so a training that was killed and
    continued on the CPU ends bit-identical to one that was not. The checkpoint with the best validation metric
    (`training.select`) is the training's result.

    Args:
        experiment: resolved: precision and budget are explicit (see `harness.system.devices.resolve`).
        folder: where metrics.jsonl and the checkpoints go.
        options: how to train. A checkpoint is also written at every validation and when the process is told to stop; graphs
            are never used in deterministic mode.
        distributed: the processes that train together. The others follow rank 0, which alone writes; their summary is empty.
        hooks: hears of steps and validations.
        turn: passed on once a step, while the device works; nothing draws from torch's generators between that and the step's end.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the state is saved.
        HarnessError: too many steps in a row had a non-finite loss or gradient; the state is saved. Or memory ran out.
    """
    training = experiment.training
    with ExitStack() as stack:
        stack.enter_context(torch_switches(device, options.deterministic, training.precision))
        stop = stack.enter_context(stop_signals())
        model = use_reference(build_model(experiment.architecture, source.shape, training.seed), options.reference)
        start_from(experiment, model, progress.note)
        forget_peak(device)
        model = on_device(model, device)
        optimizer, schedule, loss = (
            build_optimizer(experiment, model),
            build_schedule(experiment),
            build_loss(experiment),
        )
        average = training.average.build(model) if training.average is not None else None
        more: dict[str, Stateful] = {} if average is None else {"average": average}
        state = resume(folder, model, optimizer, more)
        distributed.synchronize(model, state.step)
        network = graphed(model, device, not (options.no_graphs or options.deterministic), progress.note)
        if isinstance(network, Graphed):
            stack.callback(network.drop)
        feed = Prefetcher(source.train_batch, device)
        batch = GradientAccumulator(
            distributed.shard(training.batch_size), training.batch_size, options.auto_batch, progress.note
        )
        micro_batches = MicroBatcher(
            training.batch_size, options.auto_batch, lambda text: progress.note(f"validation: {text}")
        )
        sequences = sequences_seed(training.seed, training.data_order)
        saved_at, validation, began = time.monotonic(), state.last_ssim, replace(state)
        last_loss, at_blank = None, Blank(progress.note)

        def keep() -> float:
            if distributed.is_main:
                save_checkpoint(folder, model, optimizer, state, more)
            return time.monotonic()

        def meanwhile(step: int, wanted: tuple[Any, ...]) -> None:
            feed.prepare(sequences, step, *wanted)
            turn.pass_on()

        def step(done: float) -> float:
            """Draws a batch and takes a training step; returns the loss, which may be non-finite."""
            started = time.perf_counter()
            torch.manual_seed(derived_seed(training.seed, state.step))  # for components that draw as they run
            horizon = horizon_at(experiment, done)
            wanted = (training.batch_size, horizon, device)
            asked = time.monotonic()
            frames = feed(sequences, state.step, *wanted)
            state.waited += time.monotonic() - asked
            use_truth = None
            if training.feeding is not None:
                generator = torch.Generator().manual_seed(derived_seed(training.seed, f"feeding/{state.step}"))
                shown = experiment.data.input_frames
                use_truth = training.feeding.draw(training.batch_size, shown, horizon, done, generator)
            at, total = (state.step, training.steps) if training.steps else (done * (NOMINAL_TOTAL - 1), NOMINAL_TOTAL)
            taken = train_step(
                network,
                optimizer,
                frames,
                shown=experiment.data.input_frames,
                horizon=horizon,
                progress=done,
                loss=loss,
                schedule=partial(schedule.values, at, total),
                batch=batch,
                precision=training.precision,
                scale=state.scale if training.precision == "float16" else 1.0,
                clip_norm=training.clip_norm,
                use_truth_BT=use_truth,
                fill=source.fill,
                distributed=distributed,
                meanwhile=lambda: meanwhile(state.step + 1, wanted),
            )
            if average is not None and not taken.skipped:
                average.update()
            _count(state, taken.skipped, training.precision, time.perf_counter() - started, training.batch_size)
            if state.step % LOG_EVERY == 0 and distributed.is_main:
                said = {"loss": taken.loss, "learning_rate": taken.values.get("lr"), "horizon": horizon}
                folder.append("metrics.jsonl", {"step": state.step, "seconds": _spent(state), **said})
                hooks.step(state.step, said)
            return taken.loss

        while True:
            # Asked once a step, so that a signal between two questions cannot skip the saving.
            stopping = distributed.any(stop.is_set())
            state.follow(distributed)
            done = progress_of(experiment, state)
            finished = done >= 1 or (0 < training.patience <= state.validations_without_gain)
            due = state.step % training.validate_every == 0 and state.step > 0
            if (due or finished) and state.step > state.validated and not stopping:
                if distributed.is_main:
                    with nullcontext() if average is None else average.applied():
                        found = validate(model, experiment, source, folder, device, state, stop, micro_batches, at_blank)
                    if found is not None:
                        hooks.validation(state.step, found)
                    at_blank.warn(done, state.step)
                state.follow(distributed)
                saved_at = keep()
                validation, stopping = state.last_ssim, state.step > state.validated  # a stop cuts a validation short
                finished = finished or (0 < training.patience <= state.validations_without_gain)
            elif stopping or time.monotonic() - saved_at > options.save_every:
                saved_at = keep()
            progress.update(_status(experiment, began, state, last_loss, validation, at_blank.metrics.get(HEADLINE)))
            if finished and state.step == state.validated:
                break
            if stopping:
                raise Interrupted(
                    f"stopped at step {state.step} ({done:.0%}); the state is saved: run the same command again to resume"
                )
            last_loss = step(done)
            if state.skipped_in_a_row > training.max_skipped:
                keep()
                raise HarnessError(
                    f"training diverged: the last {state.skipped_in_a_row} steps up to step {state.step} had a non-finite loss "
                    f"or gradient; the state is kept in {folder.path}. Lower training.optimizer.lr or training.clip_norm, or use "
                    "training.precision=float32"
                )
    if not distributed.is_main:
        return {}
    if state.best_step is None:  # no validation had a finite metric: the last weights are all there is
        state.best_step = state.step
        with nullcontext() if average is None else average.applied():
            write_best(folder, model, state.step)
        save_checkpoint(folder, model, optimizer, state, more)
    checkpoint = best_name(state.best_step)
    folder.check_checkpoint(checkpoint)  # a digest of what is damaged already would call it whole
    return {
        "steps": state.step,
        "skipped_steps": state.skipped,
        "seconds": state.seconds,
        "warm_up_seconds": state.warm_up_seconds,
        "waiting_share": state.waited / _spent(state) if _spent(state) else None,
        "sequences_per_second": state.sequences_per_second,
        "sequences": state.step * training.batch_size,
        "stopped_early": progress_of(experiment, state) < 1,
        "best_step": state.best_step,
        "validation_ssim": state.best_ssim,
        f"validation_{training.select}": state.best_selected,
        "memory": peak_memory(device),
        "processes": distributed.count,
        "sequences_at_once": batch.at_once,
        "checkpoint": checkpoint,
        "checkpoint_sha256": folder.digest(checkpoint),
    }


def progress_of(experiment: Experiment, state: State) -> float:
    """The share of the budget that is spent, 0..1."""
    training = experiment.training
    if training.seconds is not None:
        return min(1.0, _spent(state) / training.seconds)
    assert training.steps is not None, "the experiment is not resolved"
    return min(1.0, state.step / training.steps)


def sequences_seed(seed: int, data_order: int) -> int:
    """The seed of the training sequences: the training's own, or with a data order one made of both."""
    return derived_seed(seed, f"order/{data_order}") if data_order else seed


def horizon_at(experiment: Experiment, progress: float) -> int:
    """How many frames to predict in training at progress 0..1 of the budget."""
    full, curriculum = experiment.data.horizon, experiment.training.curriculum
    return full if curriculum is None else int(curriculum.horizon(progress, full))


def _count(state: State, skipped: bool, precision: str, seconds: float, sequences: int) -> None:
    """Brings the state to after a step."""
    if skipped:
        state.skipped += 1
        state.skipped_in_a_row += 1
        state.scale = max(1.0, state.scale / 2)
    else:
        state.skipped_in_a_row = 0
        if precision == "float16" and (state.step + 1) % 2000 == 0:
            state.scale *= 2
    state.step += 1
    state.steps_here += 1
    if state.steps_here <= WARM_UP_STEPS:
        state.warm_up_seconds += seconds
    else:
        state.seconds += seconds
        state.sequences_timed += sequences


def _spent(state: State) -> float:
    return state.seconds + state.warm_up_seconds


def validate(
    model: nn.Module,
    experiment: Experiment,
    source: Source,
    folder: Training,
    device: torch.device,
    state: State,
    stop: threading.Event,
    micro_batches: MicroBatcher,
    at_blank: Blank,
) -> dict[str, float] | None:
    """Measures the model on the validation sequences, logs it, and keeps the weights when the selecting metric is the best so far.

    Returns the metrics. When `stop` is set meanwhile nothing is kept, so that the caller has time to save.
    """
    size = experiment.training.batch_size
    select = metric_named(experiment.training.select, experiment.metrics).on(source.values)
    scores = evaluate(
        {"model": model, **at_blank.predictors},
        takewhile(lambda frames: not stop.is_set(), source.validation(size, device)),
        BUILT_IN if select in BUILT_IN else (*BUILT_IN, select),
        shown=experiment.data.input_frames,
        horizon=experiment.data.horizon,
        precision=experiment.training.precision,
        micro_batches=micro_batches,
        missing=source.missing,
    )
    if stop.is_set():
        return None
    metrics = scores["model"].overall()
    at_blank.compare(metrics, scores)
    value, ssim = metrics[select.name], metrics[HEADLINE] if math.isfinite(metrics[HEADLINE]) else None
    folder.append("metrics.jsonl", {"step": state.step, "seconds": _spent(state), "validation": metrics})
    state.validated, state.last_ssim = state.step, ssim
    if math.isfinite(value) and (state.best_selected is None or select.better(value, state.best_selected)):
        state.best_step, state.best_selected, state.best_ssim, state.validations_without_gain = state.step, value, ssim, 0
        write_best(folder, model, state.step)
    else:
        state.validations_without_gain += 1
    return metrics


def _status(
    experiment: Experiment,
    began: State,
    state: State,
    loss: float | None,
    validation: float | None,
    blank_ssim: float | None,
) -> Status:
    """Where the training is. Its speed is that since this process `began`: before a resume the machine may have been another."""
    done = progress_of(experiment, state)
    here, done_here = state.seconds - began.seconds, done - progress_of(experiment, began)
    spent = _spent(state) - _spent(began)
    return Status(
        step=state.step,
        done=done,
        loss=loss,
        validation_ssim=validation,
        blank_ssim=blank_ssim,
        sequences_per_second=(state.sequences_timed - began.sequences_timed) / here if here > 0 else None,
        seconds_left=spent * (1 - done) / done_here if done_here > 0 and spent > 0 else None,
    )
