"""`harness bench --quality`: what a recipe reaches in a given time, the default one against the article's literal one.

Both train at preset `cpu` on the same batches for the same seconds, which count nothing but training steps, and both are judged
on the test sequences with their last weights. They differ in the recipe: the article's has its literal cell, its
loss from the start and its OneCycle (sections 1 and 3).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.bench.article import ArticleForecaster
from harness.data.source import Source, open_source
from harness.errors import RequestError
from harness.evaluation.evaluate import evaluate
from harness.evaluation.micro_batches import MicroBatcher
from harness.experiment import Experiment
from harness.model.build import build_model
from harness.presets import preset
from harness.runs.request import resolve
from harness.system.environment import environment
from harness.training.build import build_loss, build_optimizer, build_schedule
from harness.training.schedules import NOMINAL_TOTAL
from harness.training.step import GradientAccumulator, train_step

ARTICLE: dict[str, object] = {
    "loss.ssim.start": 0.0,
    "loss.ssim.ramp": 0.0,
    "training.optimizer": "adamw(lr=3e-3, weight_decay=1e-5)",
    "training.schedule.pct_start": 0.3,
}
"""Where preset `cpu` left the article's recipe, and the article's own values."""


@dataclass(frozen=True)
class Recipe:
    """How to train: settings that differ from the preset's, and the reading of the network."""

    name: str
    changes: dict[str, object]
    build: Callable[[Any], nn.Module]


RECIPES = (Recipe("default", {}, lambda model: model), Recipe("article", ARTICLE, ArticleForecaster))


def quality(
    preset_name: str,
    device_name: str,
    *,
    seconds: float = 100.0,
    seeds: int = 3,
    digits: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Trains each recipe for `seconds` with seeds 0..seeds - 1, taking turns; plain values for --json."""
    if seeds < 1 or not (0 < seconds < math.inf):
        raise RequestError("--seeds is at least 1, --seconds above 0")
    device = torch.device(device_name)
    base = resolve(preset(preset_name), device_name)
    source = open_source(base.data, digits)
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        for recipe in RECIPES:
            note(f"training for {seconds:g} s: {recipe.name}, seed {seed}")
            experiment = base.replace({**recipe.changes, "training.seed": seed})
            model = recipe.build(build_model(experiment.architecture, source.shape, seed)).to(device)
            steps, spent = train_for(model, experiment, source, device, seconds)
            scores = _test(model, experiment, source, device)
            rows.append({"recipe": recipe.name, "seed": seed, "steps": steps, "seconds": spent, "test": scores})
    ssim = {recipe.name: [row["test"]["ssim"] for row in rows if row["recipe"] == recipe.name] for recipe in RECIPES}
    gains = [ours - theirs for ours, theirs in zip(ssim["default"], ssim["article"], strict=True)]
    return {
        "preset": preset_name,
        "seconds": seconds,
        "rows": rows,
        "ssim": {name: statistics.mean(values) for name, values in ssim.items()},
        "gain": {"by_seed": gains, "mean": statistics.mean(gains)},
        "recipes": {recipe.name: recipe.changes for recipe in RECIPES},
        "test_digest": source.test_digest(),
        "environment": environment(device_name),
    }


def train_for(
    model: nn.Module, experiment: Experiment, source: Source, device: torch.device, seconds: float
) -> tuple[int, float]:
    """Trains until the steps have taken `seconds`; returns how many there were and what they took.

    The trainer's loop without validations and checkpoints.
    """
    training, data = experiment.training, experiment.data
    optimizer, schedule, loss = (
        build_optimizer(experiment, model),
        build_schedule(experiment),
        build_loss(experiment),
    )
    batch = GradientAccumulator.whole(training.batch_size)
    steps, spent = 0, 0.0
    while spent < seconds:
        started, done = time.perf_counter(), spent / seconds
        train_step(
            model,
            optimizer,
            source.train_batch(training.seed, steps, training.batch_size, data.horizon, device),
            shown=data.input_frames,
            horizon=data.horizon,
            progress=done,
            loss=loss,
            schedule=partial(schedule.values, done * (NOMINAL_TOTAL - 1), NOMINAL_TOTAL),
            batch=batch,
            precision=training.precision,
            clip_norm=training.clip_norm,
        )
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        steps, spent = steps + 1, spent + time.perf_counter() - started
    return steps, spent


def _test(model: nn.Module, experiment: Experiment, source: Source, device: torch.device) -> dict[str, float]:
    size = experiment.training.batch_size
    scores = evaluate(
        {"model": model},
        source.test(size, device),
        shown=experiment.data.input_frames,
        horizon=experiment.data.horizon,
        precision=experiment.training.precision,
        micro_batches=MicroBatcher(size),
    )
    return scores["model"].overall()
