"""The one training loop that all variants share. It knows no variant: what differs is in the experiment."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from harness.component import Shape
from harness.data.prefetch import Prefetcher
from harness.data.source import Source
from harness.errors import HarnessError, Interrupted
from harness.evaluation.cost import forget_peak, peak_memory
from harness.evaluation.metrics import MetricMean, frame_metrics
from harness.evaluation.views import predict
from harness.experiment import Experiment
from harness.model.build import build_model, derived_seed, use_reference
from harness.model.graphs import Graphed, graphed
from harness.options import SAVE_SECONDS
from harness.store import DamagedRecord, Training
from harness.system import files
from harness.system.devices import autocast, out_of_memory
from harness.system.progress import Progress, Status
from harness.system.signals import stop_signals
from harness.training.distributed import SINGLE_PROCESS, Distributed
from harness.training.losses import exact_float32
from harness.training.schedules import NOMINAL_TOTAL
from harness.training.terms import composite_loss

T = TypeVar("T")

WARM_UP_STEPS = 3
"""Steps at the start of a process that do not count in the times: kernels are chosen and memory is first touched there."""

LOG_EVERY = 10
"""Steps between lines of metrics.jsonl."""


@dataclass
class State:
    """Where a training stands, besides the weights and the optimiser's moments. Times in seconds.

    `scale` is the loss scale of float16; `validated` and `last_ssim` are the last validation's step and SSIM; `steps_here` counts
    the steps of this process.
    """

    step: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
    sequences_timed: int = 0
    warm_up_seconds: float = 0.0
    best_step: int | None = None
    best_ssim: float | None = None
    validations_without_gain: int = 0
    scale: float = 2.0**16
    validated: int = 0
    last_ssim: float | None = None
    steps_here: int = 0

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> State:
        """The state that a checkpoint's header holds. Raises ValueError or TypeError when it is none."""
        state = cls(**saved)
        for name, value in vars(state).items():
            if value is None and name in ("best_step", "best_ssim", "last_ssim"):
                continue
            real = name in ("seconds", "warm_up_seconds", "best_ssim", "last_ssim", "scale")
            if isinstance(value, bool) or not isinstance(value, int | float if real else int):
                raise TypeError(f"its {name} is no number")
            if not (-1 if name in ("best_ssim", "last_ssim") else 0) <= value <= 2**62:  # NaN is not between them either
                raise ValueError(f"its {name} is out of range")
        return state

    @property
    def sequences_per_second(self) -> float | None:
        """Training throughput without warm-up and evaluation."""
        return self.sequences_timed / self.seconds if self.seconds > 0 else None

    def follow(self, distributed: Distributed) -> None:
        """Takes rank 0's state: its clock and its validations count."""
        if distributed.count > 1:
            self.__dict__.update(json.loads(distributed.broadcast(json.dumps(dataclasses.asdict(self)))))


class MicroBatcher:
    """How many sequences go through the network at once: ever fewer, where that is allowed, when memory runs out.

    Args:
        at_once: sequences to begin with.
        auto: whether fewer are taken when memory runs out.
        note: tells the user.
    """

    def __init__(self, at_once: int, auto: bool = False, note: Callable[[str], None] = lambda text: None) -> None:
        self.at_once, self.auto, self.note = at_once, auto, note

    def each(self, model: torch.nn.Module, frames_BTCHW: Tensor, work: Callable[[Tensor], T]) -> Iterator[T]:
        """What `work` makes of each portion of a batch, in their order. One for which memory ran out is begun anew with fewer.

        For work without gradients. Every sequence is predicted by itself, so nothing but rounding depends on how a batch is cut: a
        convolution's kernel is chosen by the batch, and in float32 on a CPU a sequence's SSIM moved by 5e-9 at most.
        """
        done = 0
        while done < len(frames_BTCHW):
            some = frames_BTCHW[done : done + self.at_once]
            try:
                answer = work(some)
            except (RuntimeError, MemoryError) as error:
                if not self.may_take_fewer(error):
                    raise
            else:
                done += len(some)
                yield answer
                continue
            if isinstance(model, Graphed):
                model.drop()
            self.take_fewer(frames_BTCHW)

    def may_take_fewer(self, error: BaseException) -> bool:
        """Whether that is what helps, is allowed, and can be done."""
        return self.auto and self.at_once > 1 and out_of_memory(error)

    def take_fewer(self, frames_BTCHW: Tensor) -> None:
        """Halves the micro_batches of a batch. For where the exception is gone: its traceback holds the failed work's tensors."""
        if frames_BTCHW.is_cuda:
            torch.cuda.empty_cache()
        self.at_once = -(-min(self.at_once, len(frames_BTCHW)) // 2)
        self.note(
            f"out of memory: from now on {self.at_once} of {len(frames_BTCHW)} sequences at once; the result stays the same cell"
        )


class GradientAccumulator(MicroBatcher):
    """How this process works through its part of every training batch.

    Args:
        part: the sequences of the batch that are this process's.
        size: sequences of the whole batch.
        auto: whether fewer sequences are taken at once when memory runs out.
        note: tells the user.

    `at_once` sequences go through the network together; the gradients of several such parts add up to the batch's.
    """

    def __init__(self, part: slice, size: int, auto: bool = False, note: Callable[[str], None] = lambda text: None) -> None:
        super().__init__(part.stop - part.start, auto, note)
        self.part, self.size = part, size

    def add_up(self, model: torch.nn.Module, frames_BTCHW: Tensor, work: Callable[[Tensor, float], Tensor]) -> Tensor:
        """Calls `work` (frames, their share of the whole batch) -> loss for each part, and returns the sum of the losses.

        `work` adds to the model's gradients. When memory runs out, and it may, the parts are halved and the step begins anew.
        """
        mine = frames_BTCHW[self.part]
        while True:
            try:
                losses = [work(some, len(some) / self.size) for some in torch.split(mine, self.at_once)]
                return losses[0] if len(losses) == 1 else torch.stack(losses).sum()
            except (RuntimeError, MemoryError) as error:
                if not self.may_take_fewer(error):
                    raise
            model.zero_grad(set_to_none=True)
            self.take_fewer(mine)


def fit(
    experiment: Experiment,
    source: Source,
    folder: Training,
    device: torch.device,
    progress: Progress,
    *,
    deterministic: bool = False,
    save_every: float = SAVE_SECONDS,
    auto_batch: bool = False,
    graphs: bool = True,
    reference: bool = False,
    distributed: Distributed = SINGLE_PROCESS,
) -> dict[str, Any]:
    """Trains to the end of the budget, going on from where an earlier process stopped; returns the training's summary.

    Every step is a function of (seed, step) and of the state before it, dropout included, so a training that was killed and
    continued on the CPU ends bit-identical to one that was not. The checkpoint with the best validation SSIM is the
    training's result.

    Args:
        experiment: resolved: precision and budget are explicit (see `harness.system.devices.resolve`).
        folder: where metrics.jsonl and the checkpoints go.
        save_every: seconds between checkpoints; one is also written at every validation and when the process is told to stop.
        auto_batch: when memory runs out, add up the gradients of ever smaller parts of the batch, and validate ever fewer
            sequences at once, instead of failing.
        graphs: on CUDA, replay the network's passes from graphs; never in deterministic mode.
        reference: run the plain reading of every ConvLSTM layer instead of the fast one.
        distributed: the processes that train together. The others follow rank 0, which alone writes; their summary is empty.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the state is saved.
        HarnessError: too many steps in a row had a non-finite loss or gradient; the state is saved. Or memory ran out.
    """
    training = experiment.training
    with ExitStack() as stack:
        stack.enter_context(_backends(device, deterministic, training.precision))
        stop = stack.enter_context(stop_signals())
        model = use_reference(build_model(experiment.architecture, source.shape, training.seed), reference).to(device)
        forget_peak(device)
        if device.type == "cuda":
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = training.optimizer.build(model.named_parameters())
        state = resume(folder, model, optimizer, device)
        distributed.synchronize(model, state.step)
        network = graphed(model, device, graphs and not deterministic, progress.note)
        if isinstance(network, Graphed):
            stack.callback(network.drop)
        feed = Prefetcher(source.train_batch, device)
        batch = GradientAccumulator(distributed.shard(training.batch_size), training.batch_size, auto_batch, progress.note)
        micro_batches = MicroBatcher(training.batch_size, auto_batch, lambda text: progress.note(f"validation: {text}"))
        saved_at, validation = time.monotonic(), state.last_ssim
        loss = None

        def keep() -> float:
            if distributed.is_main:
                save_checkpoint(folder, model, optimizer, state)
            return time.monotonic()

        while True:
            # Asked once a step, so that a signal between two questions cannot skip the saving.
            stopping = distributed.any(stop.is_set())
            state.follow(distributed)
            done = progress_of(experiment, state)
            finished = done >= 1 or (0 < training.patience <= state.validations_without_gain)
            due = state.step % training.validate_every == 0 and state.step > 0
            if (due or finished) and state.step > state.validated and not stopping:
                if distributed.is_main:
                    validate(model, experiment, source, folder, device, state, stop, micro_batches)
                state.follow(distributed)
                saved_at = keep()
                validation, stopping = state.last_ssim, state.step > state.validated  # a stop cuts a validation short
                finished = finished or (0 < training.patience <= state.validations_without_gain)
            elif stopping or time.monotonic() - saved_at > save_every:
                saved_at = keep()
            progress.update(_status(state, done, loss, validation))
            if finished and state.step == state.validated:
                break
            if stopping:
                raise Interrupted(
                    f"stopped at step {state.step} ({done:.0%}); the state is saved: run the same command again to go on"
                )
            loss = _step(network, optimizer, experiment, feed, device, state, done, folder, batch, distributed)
            if state.skipped_in_a_row > training.max_skipped:
                keep()
                raise HarnessError(
                    f"training diverged: the last {state.skipped_in_a_row} steps up to step {state.step} had a non-finite loss "
                    f"or gradient; the state is kept in {folder.path}. Lower training.optimizer.lr or training.clip_norm, or use "
                    "training.precision=float32"
                )
    if not distributed.is_main:
        return {}
    if state.best_step is None:  # no validation had a finite SSIM: the last weights are all there is
        state.best_step = state.step
        folder.write_checkpoint(_best_name(state.step), save(_weights(model)), {"step": str(state.step)})
        save_checkpoint(folder, model, optimizer, state)
    checkpoint = _best_name(state.best_step)
    folder.check_checkpoint(checkpoint)  # a digest of what is damaged already would call it whole
    return {
        "steps": state.step,
        "skipped_steps": state.skipped,
        "seconds": state.seconds,
        "warm_up_seconds": state.warm_up_seconds,
        "sequences_per_second": state.sequences_per_second,
        "sequences": state.step * training.batch_size,
        "stopped_early": progress_of(experiment, state) < 1,
        "best_step": state.best_step,
        "validation_ssim": state.best_ssim,
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
        return min(1.0, (state.seconds + state.warm_up_seconds) / training.seconds)
    assert training.steps is not None, "the experiment is not resolved"
    return min(1.0, state.step / training.steps)


def _step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    experiment: Experiment,
    feed: Prefetcher,
    device: torch.device,
    state: State,
    done: float,
    folder: Training,
    batch: GradientAccumulator,
    distributed: Distributed = SINGLE_PROCESS,
) -> float:
    """One optimiser step; returns the loss, which may be non-finite."""
    training, data = experiment.training, experiment.data
    started = time.perf_counter()
    torch.manual_seed(derived_seed(training.seed, state.step))  # for components that draw as they run
    horizon = data.horizon if training.curriculum is None else training.curriculum.horizon(done, data.horizon)
    frames = feed(training.seed, state.step, training.batch_size, horizon, device)
    scale = state.scale if training.precision == "float16" else 1.0

    def work(some: Tensor, share: float) -> Tensor:
        return (
            forward_backward(
                model, some, data.input_frames, horizon, experiment.loss, done, training.precision, scale * share
            )
            * share
        )

    loss = batch.add_up(model, frames, work)
    feed.prepare(training.seed, state.step + 1, training.batch_size, horizon, device)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    distributed.all_reduce([*gradients, loss])
    if scale != 1.0:
        for gradient in gradients:
            gradient.div_(scale)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm or math.inf)
    value, size = (float(one) for one in torch.stack([loss, norm]).tolist())  # one wait for the device a step
    learning_rate = _apply_schedule(optimizer, experiment, state, done)
    if math.isfinite(value) and math.isfinite(size):
        optimizer.step()
        state.skipped_in_a_row = 0
        if training.precision == "float16" and (state.step + 1) % 2000 == 0:
            state.scale *= 2
    else:
        state.skipped += 1
        state.skipped_in_a_row += 1
        state.scale = max(1.0, state.scale / 2)
    optimizer.zero_grad(set_to_none=not isinstance(model, Graphed))
    seconds = time.perf_counter() - started
    state.step += 1
    state.steps_here += 1
    if state.steps_here <= WARM_UP_STEPS:
        state.warm_up_seconds += seconds
    else:
        state.seconds += seconds
        state.sequences_timed += training.batch_size
    if state.step % LOG_EVERY == 0 and distributed.is_main:
        spent = state.seconds + state.warm_up_seconds
        folder.append(
            "metrics.jsonl",
            {"step": state.step, "seconds": spent, "loss": value, "learning_rate": learning_rate, "horizon": horizon},
        )
    return value


def forward_backward(
    model: torch.nn.Module,
    frames_BTCHW: Tensor,
    shown: int,
    horizon: int,
    terms: tuple[Any, ...],
    progress: float,
    precision: str,
    scale: float,
) -> Tensor:
    """Predicts from the `shown` first frames, adds the gradients of `scale` times the loss; returns the loss, float32."""
    with autocast(precision, frames_BTCHW.device):
        prediction = model(frames_BTCHW[:, :shown], horizon)
    loss = composite_loss(prediction, frames_BTCHW[:, shown:], terms, progress)
    (loss * scale).backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def _apply_schedule(optimizer: torch.optim.Optimizer, experiment: Experiment, state: State, done: float) -> float:
    training = experiment.training
    step, total = (state.step, training.steps) if training.steps else (done * (NOMINAL_TOTAL - 1), NOMINAL_TOTAL)
    values = training.schedule.values(step, total, training.optimizer.lr)
    rate, beta1 = values["lr"], values["beta1"]
    for group in optimizer.param_groups:
        group["lr"], group["betas"] = rate, (beta1, group["betas"][1])
    return rate


def validate(
    model: torch.nn.Module,
    experiment: Experiment,
    source: Source,
    folder: Training,
    device: torch.device,
    state: State,
    stop: threading.Event,
    micro_batches: MicroBatcher,
) -> bool:
    """Measures the model on the validation sequences, logs it, and keeps the weights when its SSIM is the best so far.

    False when `stop` was set meanwhile: then nothing is measured, and the caller has time to save.
    """
    shown = experiment.data.input_frames
    mean = MetricMean()

    def measured(frames: Tensor) -> dict[str, Tensor]:
        with autocast(experiment.training.precision, device):
            prediction = predict(model, frames[:, :shown], experiment.data.horizon)
        return frame_metrics(prediction, frames[:, shown:])

    model.eval()
    for frames in source.validation(experiment.training.batch_size, device):
        if stop.is_set():
            model.train()
            return False
        for metrics_BT in micro_batches.each(model, frames, measured):
            mean.add(metrics_BT)
    model.train()
    metrics = mean.overall()
    ssim = metrics["ssim"]
    folder.append(
        "metrics.jsonl",
        {"step": state.step, "seconds": state.seconds + state.warm_up_seconds, "validation": metrics},
    )
    state.validated, state.last_ssim = state.step, ssim if math.isfinite(ssim) else None
    if math.isfinite(ssim) and (state.best_ssim is None or ssim > state.best_ssim):
        state.best_step, state.best_ssim, state.validations_without_gain = state.step, ssim, 0
        folder.write_checkpoint(_best_name(state.step), save(_weights(model)), {"step": str(state.step)})
    else:
        state.validations_without_gain += 1
    return True


def save_checkpoint(folder: Training, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Writes last.safetensors: weights, moments and, in its header, the state as JSON. One file, so it cannot be half new."""
    tensors = {f"model.{name}": tensor for name, tensor in _weights(model).items()}
    for name, parameter in model.named_parameters():
        for key, moment in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = moment.contiguous()
    folder.sync("metrics.jsonl")  # what the state is known to have measured
    folder.write_checkpoint("last.safetensors", save(tensors), {"state": json.dumps(dataclasses.asdict(state))})
    # Only now is an older best checkpoint needed by nobody.
    files.discard(
        old
        for old in folder.path.glob("best-*.safetensors")
        if state.best_step is None or old.name != _best_name(state.best_step)
    )


def resume(folder: Training, model: torch.nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> State:
    """Puts model and optimiser into the state of last.safetensors; a fresh state when there is none.

    Raises DamagedRecord when the file is truncated, belongs to another training or does not fit the model.
    """
    path = folder.path / "last.safetensors"
    if not path.exists():
        return State()
    try:
        saved = json.loads(folder.check_checkpoint(path.name)["state"])
        state = State.from_dict(
            {"validated": saved["step"], "last_ssim": saved["best_ssim"]} | saved
        )  # format 1 has neither
        parameters = {name: parameter.shape for name, parameter in model.named_parameters()}
        weights = {f"model.{name}": tensor.shape for name, tensor in model.state_dict().items()}
        moments_ = {
            f"optimizer.{key}.{name}": shape for name, shape in parameters.items() for key in ("exp_avg", "exp_avg_sq")
        }
        steps = {f"optimizer.step.{name}": torch.Size() for name in parameters}
        _check_shapes(path, weights, moments_ | steps)
        tensors = load_file(path, device=str(device))
        model.load_state_dict(_part(tensors, "model."))
        for name, parameter in model.named_parameters():
            moments = {
                key.split(".")[1]: tensor
                for key, tensor in tensors.items()
                if key.startswith("optimizer.") and key.split(".", 2)[2] == name
            }
            if moments:
                step = moments.pop("step")
                kept = step if optimizer.param_groups[0]["fused"] else step.cpu()
                optimizer.state[parameter] = {"step": kept} | {
                    key: torch.empty_like(parameter).copy_(moment) for key, moment in moments.items()
                }
        if state.best_step is not None:
            folder.check_checkpoint(_best_name(state.best_step))
    except DamagedRecord:
        raise
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        if out_of_memory(error):  # the file may be whole
            raise
        reason = _first_line(error)
        raise DamagedRecord(
            f"{path} cannot be resumed from ({reason}); its run's command sets it aside and trains anew"
        ) from error
    state.steps_here = 0
    return state


def load_model(experiment: Experiment, shape: Shape, path: Any, device: torch.device) -> torch.nn.Module:
    """The trained network of a checkpoint, in evaluation mode. Raises DamagedRecord when the file does not fit."""
    try:
        with torch.device("meta"):  # an architecture that the file does not hold is not even built
            shapes = build_model(experiment.architecture, shape, 0).state_dict()
        _check_shapes(path, {name: tensor.shape for name, tensor in shapes.items()})
        model = build_model(experiment.architecture, shape, experiment.training.seed)
        model.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
        if out_of_memory(error):  # as above
            raise
        raise DamagedRecord(f"{path} does not hold this experiment's network: {_first_line(error)}") from error
    model = model.to(device)
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.eval()


def _check_shapes(path: Any, needed: Mapping[str, torch.Size], optional: Mapping[str, torch.Size] | None = None) -> None:
    """Compares what a checkpoint announces with what is wanted of it, before it is read. Raises ValueError, SafetensorError."""
    wanted = {**needed, **(optional or {})}
    with safe_open(path, framework="pt") as file:
        found = {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping
    for name in needed.keys() - found.keys():
        raise ValueError(f"it has no {name}")
    for name, shape in found.items():
        if name not in wanted:
            raise ValueError(f"it has {name[:80]!r}, which the network has not")
        if shape != wanted[name]:
            raise ValueError(f"its {name} is of shape {tuple(shape)}, the network's of {tuple(wanted[name])}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


@contextmanager
def _backends(device: torch.device, deterministic: bool, precision: str) -> Iterator[None]:
    """Sets torch's global switches for a training and puts them and its random generators back."""
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses to use cuBLAS then
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if deterministic != before[0]:  # importing what this switch touches takes seconds
        torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = device.type == "cuda" and not deterministic
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
            if precision == "float32":
                stack.enter_context(exact_float32(device))
            yield
    finally:
        if deterministic != before[0]:
            torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def _status(state: State, done: float, loss: float | None, validation: float | None) -> Status:
    spent = state.seconds + state.warm_up_seconds
    return Status(
        step=state.step,
        done=done,
        loss=loss,
        validation_ssim=validation,
        sequences_per_second=state.sequences_per_second,
        seconds_left=spent * (1 - done) / done if done > 0 and spent > 0 else None,
    )


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    # Copies, for safetensors refuses memory that two names share, as tied weights do.
    return {
        name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in model.state_dict().items()
    }


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _best_name(step: int) -> str:
    return f"best-{step:08d}.safetensors"


def time_steps(experiment: Experiment, source: Source, device_name: str, steps: int = 2) -> tuple[float, float, int]:
    """Measures a few training steps at the full horizon, after one to warm up, and one test batch; keeps nothing.

    Returns seconds a training step, seconds a test batch with all metrics, and peak memory in bytes (the GPU's where it
    trains there, else the process's).
    """
    device = torch.device(device_name)
    training = experiment.training
    full = dataclasses.replace(experiment, training=dataclasses.replace(training, curriculum=None))
    with tempfile.TemporaryDirectory() as folder, _backends(device, False, training.precision):
        model = build_model(full.architecture, source.shape, training.seed).to(device)
        optimizer = training.optimizer.build(model.named_parameters())
        state, batch = State(), GradientAccumulator(slice(0, training.batch_size), training.batch_size)
        feed = Prefetcher(source.train_batch, device)
        for _ in range(steps + 1):
            if state.step == 1:
                started = time.perf_counter()
            _step(model, optimizer, full, feed, device, state, 0.0, Training(Path(folder)), batch)
        step_seconds = (time.perf_counter() - started) / steps
        started = time.perf_counter()
        frames = next(iter(source.test(training.batch_size, device)))
        shown = experiment.data.input_frames
        with autocast(training.precision, device):
            prediction = predict(model, frames[:, :shown], experiment.data.horizon, experiment.inference.views)
        mean = MetricMean()
        mean.update(prediction, frames[:, shown:])
        mean.overall()
        test_seconds = time.perf_counter() - started
    memory = peak_memory(device)
    return step_seconds, test_seconds, memory["reserved_bytes"] or memory["host_peak_bytes"] or 0
