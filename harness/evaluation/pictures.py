"""Pictures of predictions: a strip of all frames (PNG) or an animation (GIF)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from harness.data.source import Source, open_source
from harness.errors import HarnessError, RequestError
from harness.evaluation.mean import MetricMean
from harness.evaluation.views import predict
from harness.experiment import Experiment
from harness.runs.outcome import stored_experiment
from harness.store import Run, Store, validated
from harness.system import files
from harness.system.devices import autocast, resolve_precision
from harness.training.checkpoint import load_model
from harness.variant import Variants

GAP = 2
LEAST_FRAME_SIDE = 48
"""Smaller frames are enlarged by a whole factor to about this side, pixels."""


def draw_run(
    store: Store, run: Run, variants: Variants, out: Path, index: int, device_name: str, digits: Path | None
) -> float:
    """Predicts one test sequence with a run's checkpoint, draws it to `out` (.png or .gif), and returns its SSIM.

    The run need not be tested, only trained. Raises HarnessError when it is not, RequestError for other digits than its own.
    """
    if out.suffix.lower() not in (".png", ".gif"):
        raise RequestError(f"--out {out}: choose a file that ends in .png (a strip) or .gif (an animation)")
    experiment = stored_experiment(store, run, variants.components.find)
    source = open_source(experiment.data, digits)
    _same_digits(run, store.record_of(run), source)
    frames, prediction = predict_sequence(store, run, experiment, source, index, device_name)
    mean = MetricMean()
    mean.update(prediction[None], frames[None, experiment.data.input_frames :])
    shown, truth = frames[: experiment.data.input_frames], frames[experiment.data.input_frames :]
    arrays = [part.clamp(0, 1).cpu().numpy() for part in (shown, truth, prediction)]
    content = strip(*arrays) if out.suffix.lower() == ".png" else animation(*arrays)
    try:
        files.write(out, content)
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror or error}") from error
    return float(mean.overall()["ssim"])


def predict_sequence(
    store: Store, run: Run, experiment: Experiment, source: Source, index: int, device_name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Test sequence `index` (T, C, H, W) and the prediction of its last `horizon` frames by a run's checkpoint."""
    training = store.training_of(run)
    if (summary := training.read_or_none("training.json")) is None:
        raise HarnessError(f"run {run.run_id} has not finished its training; `harness show {run.run_id}` says how to go on")
    checkpoint = training.check(summary)
    count = experiment.data.test_sequences
    if not 0 <= index < count:
        raise RequestError(f"--index {index}; the test set has sequences 0 to {count - 1}")
    device = torch.device(device_name)
    resolve_precision(experiment.training.precision, device_name)  # refuses a precision that this device lacks
    sequences = (sequence for frames in source.test(1, device) for sequence in frames)
    frames = next(islice(sequences, index, None), None)
    if frames is None:
        raise RequestError(f"--index {index}; the test set has fewer sequences than that")
    model = load_model(experiment, source.shape, checkpoint, device)
    with autocast(experiment.training.precision, device):
        inputs = frames[None, : experiment.data.input_frames]
        return frames, predict(model, inputs, experiment.data.horizon, experiment.inference.views)[0]


def _same_digits(run: Run, record: Mapping[str, Any], source: Source) -> None:
    with validated(run.path):
        pairs = [(name, str(record["identity"][name]), here) for name, here in source.identity.items()]
    if other := [f"{name} {then[:32]}, here {here[:32]}" for name, then, here in pairs if then != here]:
        raise RequestError(
            f"run {run.run_id} was made with other data ({'; '.join(other)}); name its digits with --digits or HARNESS_DIGITS"
        )


def strip(shown: NDArray[np.float32], truth: NDArray[np.float32], prediction: NDArray[np.float32]) -> bytes:
    """A PNG with one row each: input, truth, prediction, difference (blue: too dark, red: too bright).

    Args:
        shown, truth, prediction: (T, C, H, W) in [0, 1]; truth and prediction of the same length.
    """
    rows = [_rgb(shown), _rgb(truth), _rgb(prediction), difference(truth, prediction)]
    side = rows[0].shape[1]
    columns = max(len(row) for row in rows)
    canvas = np.full((len(rows) * (side + GAP) - GAP, columns * (rows[0].shape[2] + GAP) - GAP, 3), 128, np.uint8)
    for r, row in enumerate(rows):
        for c, frame in enumerate(row):
            top, left = r * (side + GAP), c * (frame.shape[1] + GAP)
            canvas[top : top + side, left : left + frame.shape[1]] = frame
    return _encode([Image.fromarray(canvas)], "PNG")


def animation(shown: NDArray[np.float32], truth: NDArray[np.float32], prediction: NDArray[np.float32]) -> bytes:
    """A GIF of truth, prediction and difference side by side; while the input is shown, prediction and difference wait."""
    before = _rgb(shown)
    left, middle, right = _rgb(truth), _rgb(prediction), difference(truth, prediction)
    grey = np.full_like(before[0], 128)
    frames = [np.concatenate([frame, grey, grey], axis=1) for frame in before]
    frames += [np.concatenate(parts, axis=1) for parts in zip(left, middle, right, strict=True)]
    return _encode([Image.fromarray(frame) for frame in frames], "GIF")


def difference(truth: NDArray[np.float32], prediction: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Prediction minus truth as colours (T, H, W, 3): white where equal, blue where too dark, red where too bright."""
    delta = (prediction - truth).mean(axis=1)
    high, low = np.clip(delta, 0, 1), np.clip(-delta, 0, 1)
    colours = np.stack([1 - low, 1 - high - low, 1 - high], axis=-1)
    return _enlarge((colours * 255).round().astype(np.uint8))


def _rgb(frames_TCHW: NDArray[np.float32]) -> NDArray[np.uint8]:
    channels = frames_TCHW if frames_TCHW.shape[1] == 3 else frames_TCHW.mean(axis=1, keepdims=True).repeat(3, axis=1)
    return _enlarge((channels.transpose(0, 2, 3, 1) * 255).round().astype(np.uint8))


def _enlarge(frames_THWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, round(LEAST_FRAME_SIDE / frames_THWC.shape[1]))
    return frames_THWC.repeat(factor, axis=1).repeat(factor, axis=2)


def _encode(images: list[Image.Image], kind: str) -> bytes:
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:], "duration": 200, "loop": 0} if kind == "GIF" else {}
    images[0].save(buffer, kind, **more)
    return buffer.getvalue()
