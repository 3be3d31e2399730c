"""The rehearsal of a cell: what cannot work fails before anything is written."""

from __future__ import annotations

import inspect

import torch

from harness.data.source import Source
from harness.errors import RequestError
from harness.evaluation.evaluate import evaluate
from harness.evaluation.micro_batches import MicroBatcher
from harness.experiment import Experiment
from harness.model.build import build_model


def smoke_test(experiment: Experiment, source: Source) -> None:
    """Sends one black sequence of the experiment's length through network, views and metrics, on the host in float32.

    Raises RequestError when the frames do not suit the architecture, a view, or a metric, or when training.feeding is set for a
    network that is never fed.
    """
    data, feeding = experiment.data, experiment.training.feeding
    model = build_model(experiment.architecture, source.shape, experiment.training.seed)
    if feeding is not None and "feed" not in inspect.signature(model.forward).parameters:
        raise RequestError(
            f"training.feeding is {feeding.name}, but the architecture {experiment.architecture.name} reads no prediction of its "
            "own: its forward has no parameter `feed`; set training.feeding=none, or choose an architecture that has it, such as "
            "predrnn"
        )
    evaluate(
        {"model": model},
        [torch.zeros(1, data.total_frames, source.channels, source.height, source.width)],
        shown=data.input_frames,
        horizon=data.horizon,
        views=experiment.inference.views,
        micro_batches=MicroBatcher(1),
    )
