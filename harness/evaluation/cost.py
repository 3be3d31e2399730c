"""What a variant costs: parameters, floating-point operations, frames predicted a second, and memory."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from harness.component import Shape
from harness.data.source import Source
from harness.evaluation.predict import Predictor, predict
from harness.experiment import Experiment
from harness.model.build import build_model, count_parameters
from harness.model.graphs import WARM_UPS


def flops_per_sequence(model: torch.nn.Module, experiment: Experiment, shape: Shape) -> int:
    """Floating-point operations to predict one sequence: two a multiply-add of convolutions, matrix products and attention.

    Counts one view times the number of views. Pointwise operations are not counted, as in torch's counter.
    """
    data = experiment.data
    device = next(model.parameters()).device
    frames = torch.zeros(1, shape.input_frames, shape.channels, shape.height, shape.width, device=device)
    return _count(model, frames, data.horizon) * len(experiment.inference.views)


def frames_per_second(model: Predictor, experiment: Experiment, frames_BTCHW: Tensor, *, seconds: float = 1.0) -> float:
    """Predicted frames a second: the median of repeated predictions after a warm-up, the device waited for each time."""
    data, training = experiment.data, experiment.training
    inputs = frames_BTCHW[:, : data.input_frames]
    device = inputs.device

    def once() -> None:
        predict(model, inputs, data.horizon, experiment.inference.views, training.precision)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return len(inputs) * int(data.horizon) / median_seconds(once, seconds, warm_up=WARM_UPS if device.type == "cuda" else 1)


def median_seconds(once: Callable[[], object], seconds: float, *, warm_up: int = 1, at_least: int = 3) -> float:
    """Median duration of a call, repeated for about `seconds` and at least `at_least` times."""
    for _ in range(warm_up):
        once()
    times: list[float] = []
    while len(times) < at_least or sum(times) < seconds:
        started = time.perf_counter()
        once()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def forward_cost(experiment: Experiment, shape: Shape, horizon: int) -> tuple[int, int]:
    """Parameters, and operations to predict `horizon` frames of one sequence from one view; nothing is computed for it."""
    with torch.device("meta"):
        model = build_model(experiment.architecture, shape, 0)
        frames = torch.zeros(1, shape.input_frames, shape.channels, shape.height, shape.width)
    return count_parameters(model), _count(model, frames, horizon)


def _count(model: torch.nn.Module, frames_BTCHW: Tensor, horizon: int) -> int:
    # torch's counter does not know the CPU's fused attention; the plain one is matrix products, the same on every device.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(frames_BTCHW, horizon)
    return int(counter.get_total_flops())


def cost(experiment: Experiment, source: Source) -> dict[str, int]:
    """`params`, and `flops_per_sequence` of all views, as a finished run states them; nothing is computed for it."""
    horizon = experiment.data.horizon
    params, flops = forward_cost(experiment, source.shape, horizon)
    return {"params": params, "flops_per_sequence": flops * len(experiment.inference.views)}


def training_flops(experiment: Experiment, shape: Shape) -> float:
    """Operations of a whole training: three forward costs a step (forward, and backward for inputs and for weights).

    A curriculum's shorter horizons count as what they cost. The budget must be in steps.
    """
    training, data = experiment.training, experiment.data
    assert training.steps is not None, "the experiment is not resolved, or its budget is in seconds"
    horizons = [data.horizon] * training.steps
    if training.curriculum is not None:
        horizons = [training.curriculum.horizon(step / training.steps, data.horizon) for step in range(training.steps)]
    cost = {horizon: forward_cost(experiment, shape, horizon)[1] for horizon in set(horizons)}
    operations: float = 3.0 * training.batch_size * sum(cost[horizon] for horizon in horizons)
    return operations


def forget_peak(device: torch.device) -> None:
    """Resets the measurement of peak memory, so that a process that runs many cells does not charge one with another's peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # not Linux, or not allowed: the peak is then that of the process's whole life
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> dict[str, int | None]:
    """Peak memory since `forget_peak`, bytes: what tensors took and the allocator reserved on the GPU, and the host's process."""
    on_gpu = device.type == "cuda"
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        host = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return {
        "allocated_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else None,
        "reserved_bytes": torch.cuda.max_memory_reserved(device) if on_gpu else None,
        "host_peak_bytes": host,
    }
