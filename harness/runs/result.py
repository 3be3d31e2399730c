"""Tests a trained cell and writes its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.data.source import Source
from harness.evaluation.baselines import evaluate_beside_baselines
from harness.evaluation.conventions import CONVENTIONS, HEADLINE, describe_metrics, outdated_metrics
from harness.evaluation.cost import flops_per_sequence, frames_per_second
from harness.evaluation.metrics.in_unit import measured_on
from harness.evaluation.micro_batches import MicroBatcher
from harness.model.build import count_parameters, use_reference
from harness.model.graphs import graphed
from harness.options import RunOptions
from harness.runs.context import Context
from harness.store import Cell, Run, Training
from harness.system.environment import describe_device, environment
from harness.training.checkpoint import load_model


def evaluate_cell(
    cell: Cell,
    training: Training,
    summary: Mapping[str, Any],
    run: Run,
    source: Source,
    options: RunOptions,
    context: Context,
) -> dict[str, Any]:
    """Tests the cell's checkpoint, and the baselines on the same sequences; writes and returns the result.

    Metrics that an earlier test of the same checkpoint measured beside these are kept.
    With `options.auto_batch` as many sequences at once as fit into memory.
    """
    device, experiment = torch.device(context.device), cell.experiment
    if (earlier := run.read_or_none("result.json")) is not None:
        lacking = ", ".join(outdated_metrics(earlier, experiment.metrics))
        context.note(f"{cell.variant} seed {cell.seed}: testing its checkpoint again for {lacking}; nothing is trained")
    size = experiment.training.batch_size
    micro_batches = MicroBatcher(size, options.auto_batch, lambda text: context.note(f"testing {cell.variant!r}: {text}"))
    model = use_reference(load_model(experiment, source.shape, training.check(summary), device), options.reference)
    network = graphed(model, device, not (options.no_graphs or options.deterministic), context.note)
    metrics = measured_on(source.values, experiment.metrics)
    scores = evaluate_beside_baselines(
        network,
        source,
        metrics,
        size=size,
        device=device,
        micro_batches=micro_batches,
        views=experiment.inference.views,
        precision=experiment.training.precision,
    )
    baselines = [name for name in scores if name != "model"]
    batch = next(iter(source.test(size, device)))
    batch = batch if source.fill is None else source.fill(batch)
    # Of as many sequences at once as were tested; when that is too much, of fewer.
    speed, measured = next(
        micro_batches.each([network], batch, lambda some: (frames_per_second(network, experiment, some), len(some)))
    )
    result = {
        "run_id": cell.run_id,
        "variant": cell.variant,
        "preset": cell.preset,
        "seed": cell.seed,
        "status": "finished",
        "params": count_parameters(model),
        "flops_per_sequence": flops_per_sequence(model, experiment, source.shape),
        "metrics": scores["model"].overall(),
        "metrics_per_frame": scores["model"].per_frame(),
        "baselines": {name: scores[name].overall() for name in baselines},
        "baselines_per_frame": {name: scores[name].per_frame() for name in baselines},
        "training": {key: value for key, value in summary.items() if key not in ("memory", "checkpoint")},
        "inference": {
            "frames_per_second": speed,
            "batch_size": measured,
            "frames_per_second_batch_1": frames_per_second(network, experiment, batch[:1]),
        },
        "memory": summary["memory"],
        "device": describe_device(context.device),
        "digits": source.digits,
        "test_digest": source.test_digest(),
        "conventions": CONVENTIONS,
        "measured": describe_metrics(metrics),
        "training_key": cell.training_key,
        "revisions": cell.record()["revisions"],
    }
    if source.content is not None:
        result["data"] = about = source.about
        result["digits"] = source.digits | {name: str(about[name]) for name in ("test", "test_in_training")}
        source.check_unchanged()
    sequences = {HEADLINE: scores["model"].per_sequence(HEADLINE)}
    if earlier is not None:
        keep_metrics(earlier, result)
    run.write("experiment.json", cell.record())
    run.write("environment.json", environment(context.device))
    run.write("sequences.json", sequences)  # apart from the result, which is read often and stays small
    run.write("result.json", result)
    return run.read("result.json")


def keep_metrics(earlier: Mapping[str, Any], result: dict[str, Any]) -> None:
    """Adds the metrics of an earlier result that this one lacks."""
    for name in earlier.get("measured", {}).keys() - result["measured"].keys():
        result["measured"][name] = earlier["measured"][name]
        for field in ("metrics", "metrics_per_frame"):
            result[field][name] = earlier[field][name]
        for field in ("baselines", "baselines_per_frame"):
            for baseline in result[field].keys() & earlier[field].keys():
                result[field][baseline][name] = earlier[field][baseline][name]
