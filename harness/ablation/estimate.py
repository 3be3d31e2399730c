"""What the rest of a plan will cost, from a few measured steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from harness.ablation.runner import Runner
from harness.data.source import Source
from harness.executors.processes import share_of_cores
from harness.experiment import Experiment, canonical_json
from harness.notation import flatten
from harness.system.devices import choose_device

NUMBER = re.compile(
    r"training\.(seed|data_order|optimizer\.(lr|weight_decay)|schedule\.\w+)|loss\.[\w-]+\.(weight|start|ramp)"
)


def estimate(runner: Runner, tuner: Runner | None = None, steps: int = 2) -> dict[str, float]:
    """Time and memory of the cells still to run, from `steps` steps and one test batch of every composition that takes other work.

    Cells that share a training are counted once. Call `runner.prepare` first. Trials of `tuner` come on top.
    """
    if tuner is not None:
        tuner.prepare()
        first, second = estimate(tuner, steps=steps), estimate(runner, steps=steps)
        larger = {name: max(first[name], second[name]) for name in ("memory_bytes", "measured_steps")}
        return {name: first[name] + second[name] for name in first} | larger
    device, source = choose_device(runner.ablation.request.device), runner.source  # a cluster's GPU cannot be measured here
    todo = [row for row in runner.rows if row.status != "finished"]
    measured: dict[str, tuple[float, float, int]] = {}
    by_work: dict[str, tuple[float, float, int]] = {}
    trained: set[str] = set()
    seconds, memory, unknown = 0.0, 0, 0
    for row in todo:
        if row.cell is None or source is None:  # its budget is base's seconds, which are not known yet
            unknown += 1
            continue
        if row.cell.experiment.inference.predictor is not None:
            continue  # nothing is trained
        training = row.cell.experiment.training
        if row.planned.variant not in measured:
            if (work := _work(row.cell.experiment)) not in by_work:
                with _threads(runner.ablation.threads or share_of_cores(runner.ablation.workers)):
                    by_work[work] = _measure(row.cell.experiment, source, device, steps)
            measured[row.planned.variant] = by_work[work]
        step, test, peak = measured[row.planned.variant]
        memory = max(memory, peak)
        seconds += test * source.test_sequences / training.batch_size
        key, folder = row.cell.training_key, runner.store.training(row.cell).path
        if key not in trained and not folder.joinpath("training.json").exists():
            trained.add(key)
            seconds += training.seconds or step * (training.steps or 0)
    seconds += unknown * seconds / max(1, len(trained))
    return {
        "cells": len(todo),
        "trainings": len(trained),
        "seconds": seconds / max(1, runner.ablation.workers),
        "memory_bytes": memory * runner.ablation.cells_per_process,
        "measured_steps": steps,
    }


def _work(experiment: Experiment) -> str:
    """What a step and a test do: equal for experiments that differ in numbers alone that only change what is computed."""
    return canonical_json(
        {path: value for path, value in flatten(experiment.to_dict()).items() if not NUMBER.fullmatch(path)}
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Measures with as many threads as a cell gets: two that wait for each other on a busy core take a hundred times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure(experiment: Experiment, source: Source, device: str, steps: int) -> tuple[float, float, int]:
    """Seconds of a step and of a test batch, and peak bytes. A curriculum's steps are scaled by its shorter horizons."""
    from harness.bench.estimate import time_steps
    from harness.evaluation.cost import training_flops

    step, test, peak = time_steps(experiment, source, device, steps)
    training = experiment.training
    if training.curriculum is not None and training.steps is not None:
        full = replace(experiment, training=replace(training, curriculum=None))
        step *= training_flops(experiment, source.shape) / training_flops(full, source.shape)
    return step, test, peak
