"""Errors in the unit of the data are those of the file's own values, of known pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.data.scaling import Log, MinMax, Scaling
from harness.data.values import Values
from harness.errors import RequestError
from harness.evaluation.mean import frame_counts
from harness.evaluation.metrics import BUILT_IN
from harness.evaluation.metrics.in_unit import IN_UNIT, MeanError, RootMeanSquare, measured_on

RNG = np.random.default_rng(0)
SCALINGS = [MinMax(low=(10.0, 0.0), high=(60.0, 1.0)), Log(low=(0.0, 0.0), high=(60.0, 1.0), knee=2.0)]


def on(scaling: Scaling | None) -> Values:
    return Values((6, 7), (6, 7), scaling=scaling, unit="mm/h")


def scores(truth: np.ndarray, prediction: np.ndarray, scaling: Scaling) -> dict[str, float]:
    """Both metrics of values (B, T, C, H, W) in the unit."""
    metrics = [metric.on(on(scaling)) for metric in IN_UNIT]
    said, true = (scaling.forward(torch.from_numpy(one).float()) for one in (prediction, truth))
    counts = frame_counts(said, true, metrics, missing=True)
    return {metric.name: metric.finish(counts[metric.name].sum((0, 1)).tolist()) for metric in metrics}


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda one: one.name)
def test_errors_are_those_of_the_files_values(scaling: Scaling) -> None:
    spans = np.array([[[50.0]], [[1.0]]])
    truth, prediction = (np.array([[[10.0]], [[0.0]]]) + spans * RNG.random((2, 3, 2, 6, 7)) for _ in range(2))
    truth[0, 0, :, :2] = np.nan
    known = ~np.isnan(truth)
    error = (prediction - truth)[known]
    found = scores(truth, prediction, scaling)
    assert found["mae_unit"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert found["rmse_unit"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)


def test_of_no_known_pixel_there_is_no_error() -> None:
    truth = np.full((1, 1, 2, 6, 7), np.nan)
    assert all(math.isnan(value) for value in scores(truth, np.ones_like(truth), SCALINGS[0]).values())


def test_a_metric_knows_its_unit_and_needs_a_scaling() -> None:
    metric = MeanError().on(on(SCALINGS[0]))
    assert metric.unit == "mm/h"
    assert "in mm/h" in metric.convention
    assert metric == MeanError(), "what it knows of the data is none of its settings"
    assert "in the data's unit" in RootMeanSquare().convention
    for values in (None, on(None)):
        with pytest.raises(RequestError, match=r"rmse_unit is in the data's unit.*--set data\.scaling=min-max"):
            RootMeanSquare().on(values)


def test_data_with_a_scaling_are_measured_in_their_unit_too() -> None:
    assert measured_on(None) == measured_on(on(None)) == BUILT_IN
    found = measured_on(on(SCALINGS[0]))
    assert [metric.name for metric in found] == [*(metric.name for metric in BUILT_IN), "mae_unit", "rmse_unit"]
    assert [metric.unit for metric in found[-2:]] == ["mm/h", "mm/h"]
    with pytest.raises(RequestError, match="mae_unit"):
        measured_on(None, [MeanError()])
