"""The rehearsal of a cell: what cannot work fails before anything is written."""

from __future__ import annotations

import torch

from harness.data.source import Source
from harness.evaluation.evaluate import evaluate
from harness.evaluation.micro_batches import MicroBatcher
from harness.experiment import Experiment
from harness.model.build import build_model


def smoke_test(experiment: Experiment, source: Source) -> None:
    """Sends one black sequence of the experiment's length through network, views and metrics, on the host in float32.

    Raises RequestError when the frames do not suit the architecture, a view, or a metric.
    """
    data = experiment.data
    model = build_model(experiment.architecture, source.shape, experiment.training.seed)
    evaluate(
        {"model": model},
        [torch.zeros(1, data.total_frames, source.channels, source.height, source.width)],
        shown=data.input_frames,
        horizon=data.horizon,
        views=experiment.inference.views,
        micro_batches=MicroBatcher(1),
    )
