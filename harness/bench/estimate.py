"""How long a few training steps and a test batch take here: what a plan will take is made of these."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice

import torch

from harness.data.prefetch import Prefetcher
from harness.data.source import Source
from harness.evaluation.cost import peak_memory
from harness.evaluation.evaluate import evaluate
from harness.evaluation.micro_batches import MicroBatcher
from harness.experiment import Experiment
from harness.model.build import build_model
from harness.system.precision import torch_switches
from harness.training.build import build_loss, build_optimizer, build_schedule
from harness.training.checkpoint import on_device
from harness.training.schedules import NOMINAL_TOTAL
from harness.training.step import GradientAccumulator, train_step


def time_steps(experiment: Experiment, source: Source, device_name: str, steps: int = 2) -> tuple[float, float, int]:
    """Measures a few training steps at the full horizon, after one to warm up, and one test batch; keeps nothing.

    Returns seconds a training step, seconds a test batch with all metrics, and peak memory in bytes (the GPU's where it
    trains there, else the process's).
    """
    device = torch.device(device_name)
    training, data = experiment.training, experiment.data
    size = training.batch_size
    with torch_switches(device, False, training.precision):
        model = on_device(build_model(experiment.architecture, source.shape, training.seed), device)
        optimizer, schedule, loss = (
            build_optimizer(experiment, model),
            build_schedule(experiment),
            build_loss(experiment),
        )
        batch, feed = GradientAccumulator.whole(size), Prefetcher(source.train_batch, device)
        for step in range(steps + 1):
            if step == 1:
                started = time.perf_counter()
            train_step(
                model,
                optimizer,
                feed(training.seed, step, size, data.horizon, device),
                shown=data.input_frames,
                horizon=data.horizon,
                progress=0.0,
                loss=loss,
                schedule=partial(schedule.values, 0, NOMINAL_TOTAL),
                batch=batch,
                precision=training.precision,
                clip_norm=training.clip_norm,
                meanwhile=partial(feed.prepare, training.seed, step + 1, size, data.horizon, device),
            )
        step_seconds = (time.perf_counter() - started) / steps
        started = time.perf_counter()
        scores = evaluate(
            {"model": model},
            islice(source.test(size, device), 1),
            shown=data.input_frames,
            horizon=data.horizon,
            views=experiment.inference.views,
            precision=training.precision,
            micro_batches=MicroBatcher(size),
        )
        scores["model"].overall()
        test_seconds = time.perf_counter() - started
    memory = peak_memory(device)
    return step_seconds, test_seconds, memory["reserved_bytes"] or memory["host_peak_bytes"] or 0
