"""The one evaluation: validation, test, baselines, other people's predictors, bench and pictures get their numbers here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from harness.data.values import Values
from harness.evaluation.mean import MetricMean, frame_counts
from harness.evaluation.metrics import BUILT_IN, Metric
from harness.evaluation.micro_batches import MicroBatcher
from harness.evaluation.predict import Predictor, predict
from harness.views import PLAIN, View


def evaluate(
    predictors: Mapping[str, Predictor],
    batches: Iterable[Tensor],
    metrics: Sequence[Metric] = BUILT_IN,
    *,
    shown: int,
    horizon: int,
    views: Sequence[View] = PLAIN,
    precision: str = "float32",
    micro_batches: MicroBatcher,
    missing: Values | None = None,
) -> dict[str, MetricMean]:
    """Measures predictors on the same sequences.

    Args:
        predictors: by name: networks, which run in evaluation mode and whose predictions are averaged over `views`, and
            any other callables (inputs, horizon) -> prediction, which answer as they are.
        batches: sequences (B, shown + horizon, C, H, W) in [0, 1], on the predictors' device.
        metrics: what to measure.
        shown: input frames.
        horizon: frames to predict.
        precision: float32, or the 16-bit type that autocast uses for the predictions; metrics are computed in float32.
        micro_batches: how many sequences are predicted at once.
        missing: where NaN in the sequences is a missing value or padding: what predictors are shown instead, and what of a frame is
            measured.

    Returns:
        By predictor, the means of its metrics.

    Raises:
        RequestError: a view, a metric or the horizon does not suit the frames.
        HarnessError: a predictor answers with another shape.
    """
    scores = {name: MetricMean(metrics) for name in predictors}

    def measured(frames: Tensor) -> dict[str, dict[str, Tensor]]:
        inputs, target = frames[:, :shown], frames[:, shown:]
        if missing is not None:
            inputs, target = missing.filled(inputs), missing.area(target)
        found = {}
        for name, predictor in predictors.items():
            averaged = views if isinstance(predictor, nn.Module) else PLAIN
            prediction = predict(predictor, inputs, horizon, averaged, precision)
            if missing is not None:
                prediction = missing.area(prediction)
            found[name] = frame_counts(prediction, target, metrics, missing=missing is not None)
        return found

    with _evaluation_mode(predictors.values()):
        for frames in batches:
            for found in micro_batches.each(predictors.values(), frames, measured):
                for name, counts in found.items():
                    scores[name].add(counts)
    return scores


@contextmanager
def _evaluation_mode(predictors: Iterable[Predictor]) -> Iterator[None]:
    """Within it networks are in evaluation mode; afterwards every module is in the mode that it was in."""
    modes = [(part, part.training) for one in predictors if isinstance(one, nn.Module) for part in one.modules()]
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
