"""Forecasts: what comes after the last frames of a file, by the networks of stored runs. No truth is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.component import Shape
from harness.data.frames import FrameFile, open_frames
from harness.data.values import Values
from harness.data.windows import segments
from harness.errors import HarnessError, RequestError
from harness.evaluation.predict import predict
from harness.experiment import Experiment
from harness.runs.outcome import stored_experiment
from harness.store import Run, Store, validated
from harness.system.devices import resolve_precision
from harness.training.checkpoint import load_model
from harness.variant import Variants


@dataclass(frozen=True)
class Trained:
    """A network with what its data were."""

    run: Run
    experiment: Experiment
    model: nn.Module
    values: Values
    shape_CHW: tuple[int, int, int]
    """Of a frame in a file."""
    layout: str
    variable: str


@dataclass(frozen=True)
class Forecast:
    """Predicted values in the unit of the input, float32 (N, horizon, C, H, W), NaN where the input never had a value.

    `spread` is the standard deviation over the runs, None for a single one. `shown` are the input frames, `trained_horizon` how
    many frames the runs were trained to predict. `gaps` counts recordings with a gap in time between their input frames.
    """

    file: FrameFile
    values: Values
    shown_NTCHW: NDArray[np.float32]
    mean_NTCHW: NDArray[np.float32]
    spread_NTCHW: NDArray[np.float32] | None
    trained_horizon: int
    variable: str
    gaps: int = 0


def load_trained(store: Store, run: Run, variants: Variants, device: torch.device) -> Trained:
    """The network of a finished run; its data need not be there. Raises HarnessError or RequestError when there is none."""
    training, experiment = store.training_of(run), stored_experiment(store, run, variants.components.find)
    if (result := run.read_or_none("result.json")) is None:
        raise HarnessError(f"run {run.run_id} is not finished; `harness show {run.run_id}` says how to finish it")
    data = experiment.data
    with validated(run.path):
        about = result.get("data")
        if about:
            values = Values.from_record(about["values"], variants.components.find)
            channels, height, width = about["shape"]
            layout, variable = about["layout"], about["variable"]
        elif (side := experiment.get("data.canvas")) is not None:
            channels, height, width, layout, variable = 1, side, side, "auto", ""
            values = Values((side, side), (side, side))
        else:
            raise HarnessError(f"run {run.run_id} does not say what its frames were; test it again with `harness run`")
    if (summary := training.read_or_none("training.json")) is None:
        raise HarnessError(f"the training of run {run.run_id} is not in this store")
    resolve_precision(experiment.training.precision, str(device))  # refuses a precision that this device lacks
    shape = Shape(channels, *values.padded, data.input_frames, data.horizon)
    model = load_model(experiment, shape, training.check(summary), device)
    return Trained(run, experiment, model, values, (channels, height, width), layout, variable)


def forecast(
    trained: Sequence[Trained],
    path: Path,
    horizon: int,
    device: torch.device,
    *,
    layout: str | None = None,
    variable: str = "",
) -> Forecast:
    """Predicts `horizon` frames after the last frames of each recording of a file or folder, with every network.

    Args:
        layout: the file's axes; None: those of the training file where they suit, else told by the shape.

    Raises RequestError for a file that is not like what the networks were trained on.
    """
    if horizon < 1:
        raise RequestError(f"--horizon {horizon}; predict at least 1 frame")
    first = trained[0]
    for one in trained[1:]:
        same = (one.shape_CHW, one.experiment.data.input_frames, one.values.size)
        if same != (first.shape_CHW, first.experiment.data.input_frames, first.values.size):
            raise RequestError(
                f"runs {first.run.run_id} and {one.run.run_id} were trained on frames of other size or number"
            )
    frames = first.experiment.data.input_frames
    file = _open(first, path, layout, variable, frames)
    raw = np.stack([file.window(number, slice(length - frames, length)) for number, length in enumerate(file.lengths)])
    _check(file, first, raw)
    predictions = []
    for one in trained:
        stored = one.values.stored(raw)
        size, found = one.experiment.training.batch_size, []
        for start in range(0, len(stored), size):
            inputs = one.values.filled(one.values.tensor(stored[start : start + size], device))
            data = one.experiment
            made = predict(one.model, inputs, horizon, data.inference.views, data.training.precision)
            found.append(_in_unit(one.values, made, file).cpu().numpy())
        predictions.append(np.concatenate(found))
    shown = _in_unit(first.values, first.values.tensor(first.values.stored(raw), "cpu"), file).numpy()
    gone = np.isnan(shown).all(axis=1, keepdims=True)  # land, or what a radar never sees
    together = np.where(gone[None], np.nan, np.stack(predictions)).astype(np.float32)
    spread = together.std(axis=0, ddof=1) if len(trained) > 1 else None
    longest = min(int(one.experiment.data.horizon) for one in trained)
    gaps = sum(stop - start < frames for *_, (_, start, stop) in segments(file))
    return Forecast(file, first.values, shown, together.mean(axis=0), spread, longest, first.variable or "forecast", gaps)


def _open(first: Trained, path: Path, layout: str | None, variable: str, frames: int) -> FrameFile:
    missing = first.values.missing
    options: dict[str, Any] = {"frames": frames, "variable": variable or first.variable, "missing": missing}
    channels, height, width = first.shape_CHW

    def fits(found: FrameFile) -> bool:
        return found.shape_CHW == (channels, height, width)

    found = None
    if layout is None and first.layout != "auto":
        for given in (first.layout, first.layout.replace("N ", "")):
            try:
                found = open_frames(path, given, **options)
            except RequestError:
                continue
            if fits(found):
                break
    if found is None or not fits(found):
        found = open_frames(path, layout or "auto", **options)
    if not fits(found):
        raise RequestError(
            f"{path}, read as {found.layout}, holds frames of (channels, height, width) {found.shape_CHW}; the run was trained on "
            f'{first.shape_CHW}. Name the axes if they are others: --layout "T H W C"'
        )
    if found.frames < frames:
        raise RequestError(
            f"{path} holds {found.frames} frames; the run is shown {frames} (data.input_frames): give so many"
        )
    return found


def _check(file: FrameFile, first: Trained, raw: NDArray[Any]) -> None:
    values = first.values
    stored = values.stored(raw)
    if stored.dtype == np.uint8 and values.scaling is None:
        return
    if np.isinf(stored).any():
        raise RequestError(f"{file.path} holds infinite values; give finite ones")
    if np.isnan(stored).any() and not values.masked:
        raise RequestError(f"{file.path} holds missing values; the run was trained without (data.missing): fill them first")
    if values.scaling is None and ((stored < 0) | (stored > 1)).any():
        held = f"{np.nanmin(stored):g} to {np.nanmax(stored):g}"
        raise RequestError(
            f"{file.path} holds {held}; the run was trained on bytes, or on values in [0, 1]: give such values"
        )


def _in_unit(values: Values, frames: torch.Tensor, file: FrameFile) -> torch.Tensor:
    """Frames in [0, 1] as values of the file."""
    inside = values.in_unit(frames.float().clamp(0, 1))
    return inside * 255 if values.scaling is None and file.dtype == np.uint8 else inside
