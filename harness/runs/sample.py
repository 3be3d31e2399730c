"""Predictions of single test sequences with the checkpoints of stored runs, as arrays or drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from harness.data.source import Source, open_source
from harness.errors import HarnessError, RequestError
from harness.evaluation import pictures
from harness.evaluation.mean import MetricMean, frame_counts
from harness.evaluation.predict import Predictor, predict
from harness.experiment import Experiment
from harness.runs.outcome import stored_experiment
from harness.store import Run, Store, validated
from harness.system import files
from harness.system.devices import resolve_precision
from harness.training.checkpoint import load_model
from harness.variant import Variants

_BATCH = 20
"""Test sequences read at once on the way to the chosen ones."""


class Sampler:
    """Predicts the same test sequences for many runs, and opens the test data once for all runs that share it.

    Args:
        indices: the test sequences.
        digits: a file of digits instead of the usual ones.
        data: where the file of the training data is now.
    """

    def __init__(
        self,
        store: Store,
        variants: Variants,
        indices: Sequence[int],
        device: str,
        digits: Path | None = None,
        data: Path | None = None,
    ) -> None:
        self.store, self.components, self.indices = store, variants.components, indices
        self.device, self.digits, self.data = torch.device(device), digits, data
        self._source: Source | None = None
        self._sequences: dict[int, torch.Tensor] = {}

    def predict(self, run: Run) -> tuple[int, dict[int, torch.Tensor], dict[int, torch.Tensor]]:
        """How many frames are input, the whole sequences and the predictions by index, each (T, C, H, W); not clamped.

        The run need not be tested, only trained. Raises HarnessError when it is not, RequestError for other data than its own
        and for an index that the test set does not have.
        """
        experiment = stored_experiment(self.store, run, self.components.find, self.data)
        path = experiment.get("data.path")
        if self.data is None and path and not Path(path).expanduser().exists():
            raise RequestError(
                f"run {run.run_id} was trained on {path}, which is not there; name where it is now: "
                f"harness predict {run.run_id} --data FILE"
            )
        checkpoint = None if experiment.inference.predictor is not None else self._checkpoint(run)
        resolve_precision(experiment.training.precision, str(self.device))  # refuses a precision that this device lacks
        if self._source is None or self._source.data != experiment.data:
            self._source, self._sequences = open_source(experiment.data, self.digits), {}
        self._check_data(run, self._source)
        if not self._sequences:
            self._sequences = self._read(self._source, experiment.data.test_sequences)
        model: Predictor
        if checkpoint is None:
            model = experiment.inference.predictor.build(self._source.shape)
        else:
            model = load_model(experiment, self._source.shape, checkpoint, self.device)
        shown, horizon = experiment.data.input_frames, experiment.data.horizon
        predicted, missing = {}, self._source.missing
        for index in self.indices:
            inputs = self._sequences[index][None, :shown]
            if missing is not None:
                inputs = missing.filled(inputs)
            predicted[index] = predict(model, inputs, horizon, experiment.inference.views, experiment.training.precision)[0]
        if missing is not None:
            predicted = {index: missing.area(one) for index, one in predicted.items()}
            return shown, {index: missing.area(one) for index, one in self._sequences.items()}, predicted
        return shown, self._sequences, predicted

    def _checkpoint(self, run: Run) -> Path:
        training = self.store.training_of(run)
        if (summary := training.read_or_none("training.json")) is None:
            raise HarnessError(
                f"run {run.run_id} has not finished its training; `harness show {run.run_id}` says how to resume"
            )
        return training.check(summary)

    def _check_data(self, run: Run, source: Source) -> None:
        with validated(run.path):
            recorded = self.store.record_of(run)["identity"]
            pairs = [(name, str(recorded[name]), here) for name, here in source.identity.items()]
        if other := [f"{name} {then[:32]}, here {here[:32]}" for name, then, here in pairs if then != here]:
            raise RequestError(
                f"run {run.run_id} was made with other data ({'; '.join(other)}); name its digits with "
                "--digits or HARNESS_DIGITS, its file with --data"
            )

    def _read(self, source: Source, count: int) -> dict[int, torch.Tensor]:
        if odd := [index for index in self.indices if not 0 <= index < count]:
            raise RequestError(f"--index {odd[0]}; the test set has sequences 0 to {count - 1}")
        found: dict[int, torch.Tensor] = {}
        first = 0
        for frames in source.test(min(_BATCH, count), self.device):
            found |= {index: frames[index - first].clone() for index in self.indices if first <= index < first + len(frames)}
            first += len(frames)
            if len(found) == len(self.indices):
                return found
        raise RequestError(f"--index {max(self.indices)}; the test set has {first} sequences, fewer than that")


def draw_run(
    store: Store,
    run: Run,
    variants: Variants,
    out: Path,
    index: int,
    device: str,
    digits: Path | None,
    data: Path | None = None,
) -> float:
    """Predicts one test sequence with a run's checkpoint, draws it to `out` (.png or .gif), and returns its SSIM.

    Raises RequestError and HarnessError as `Sampler.predict` does.
    """
    if out.suffix.lower() not in (".png", ".gif"):
        raise RequestError(f"--out {out}: choose a file that ends in .png (a strip) or .gif (an animation)")
    shown, sequences, predictions = Sampler(store, variants, [index], device, digits, data).predict(run)
    frames, prediction = sequences[index], predictions[index]
    mean = MetricMean()
    missing = bool(frames.isnan().any())
    mean.add(frame_counts(prediction[None], frames[None, shown:], mean.metrics.values(), missing=missing))
    whole, predicted = as_array(frames), {"prediction": as_array(prediction)}
    if out.suffix.lower() == ".png":
        content = pictures.strip(whole[:shown], whole[shown:], predicted)
    else:
        content = pictures.animation(whole[:shown], whole[shown:], predicted, differences=True)
    try:
        files.write(out, content)
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror or error}") from error
    return float(mean.overall()["ssim"])


def draw_first(experiment: Experiment, source: Source, checkpoint: Path, device: str) -> bytes:
    """A strip of the first test sequence (PNG): input, truth, prediction, difference."""
    at = torch.device(device)
    whole = next(iter(source.test(1, at)))
    shown, missing = experiment.data.input_frames, source.missing
    inputs = whole[:, :shown] if missing is None else missing.filled(whole[:, :shown])
    model = load_model(experiment, source.shape, checkpoint, at)
    predicted = predict(model, inputs, experiment.data.horizon, experiment.inference.views, experiment.training.precision)
    if missing is not None:
        whole, predicted = missing.area(whole), missing.area(predicted)
    frames = as_array(whole[0])
    return pictures.strip(frames[:shown], frames[shown:], {"prediction": as_array(predicted[0])})


def as_array(frames: torch.Tensor) -> NDArray[np.float32]:
    """Frames to draw, clamped to [0, 1]; missing values stay NaN, which pictures show as grey."""
    found: NDArray[np.float32] = frames.detach().float().clamp(0, 1).cpu().numpy()
    return found
