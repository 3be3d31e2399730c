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
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.bench.article import ArticleForecaster
from harness.data.source import Source, open_source
from harness.errors import RequestError
from harness.evaluation.metrics import MetricMean
from harness.evaluation.views import predict
from harness.experiment import Experiment
from harness.model.build import build_model
from harness.model.forecaster import EncoderForecaster
from harness.presets import preset
from harness.runs.request import resolve
from harness.system.devices import autocast
from harness.system.environment import environment
from harness.training.schedules import NOMINAL_TOTAL, one_cycle
from harness.training.trainer import forward_backward

ARTICLE: dict[str, object] = {
    "loss.ssim_from": 0.0,
    "loss.ssim_ramp": 0.0,
    "training.max_lr": 3e-3,
    "training.pct_start": 0.3,
}
"""Where preset `cpu` left the article's recipe, and the article's own values."""


@dataclass(frozen=True)
class Recipe:
    """How to train: settings that differ from the preset's, and the reading of the network."""

    name: str
    changes: dict[str, object]
    build: Callable[[EncoderForecaster], nn.Module]


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

    The trainer's step, of which neither validation, checkpoints nor the guard against non-finite values are needed here.
    """
    training, data = experiment.training, experiment.data
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.max_lr, weight_decay=training.weight_decay, fused=device.type == "cuda"
    )
    steps, spent = 0, 0.0
    while spent < seconds:
        started, done = time.perf_counter(), spent / seconds
        frames = source.train_batch(training.seed, steps, training.batch_size, data.horizon, device)
        weights = experiment.loss.at(done)
        forward_backward(model, frames, data.input_frames, data.horizon, weights, training.precision, 1.0)
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm or math.inf)
        rate, beta1 = one_cycle(
            done * (NOMINAL_TOTAL - 1), NOMINAL_TOTAL, max_lr=training.max_lr, pct_start=training.pct_start
        )
        for group in optimizer.param_groups:
            group["lr"], group["betas"] = rate, (beta1, group["betas"][1])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        steps, spent = steps + 1, spent + time.perf_counter() - started
    return steps, spent


def _test(model: nn.Module, experiment: Experiment, source: Source, device: torch.device) -> dict[str, float]:
    shown, mean = experiment.data.input_frames, MetricMean()
    model.eval()
    for frames in source.test(experiment.training.batch_size, device):
        with autocast(experiment.training.precision, device):
            prediction = predict(model, frames[:, :shown], experiment.data.horizon)
        mean.update(prediction, frames[:, shown:])
    return mean.overall()
