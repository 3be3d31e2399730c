"""What a record says of its metrics, which are outdated, and up to where it is above the blank frame."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from measured import frame_metrics
from strokes import predictions, strokes

from harness.data.scaling import MinMax
from harness.errors import RequestError
from harness.evaluation.conventions import (
    CONVENTIONS,
    HEADLINE,
    METRICS,
    check_scaling,
    describe_metrics,
    frames_above_blank,
    metric_named,
    outdated_metrics,
)
from harness.evaluation.metrics.csi import CriticalSuccessIndex
from harness.evaluation.metrics.in_unit import IN_UNIT


def result(**own: list[float]) -> dict[str, object]:
    blank = {"ssim": [0.4, 0.4, 0.4], "mae": [50.0, 50.0, 50.0], "wetness": [0.0, 0.0, 0.0]}
    measured = {"wetness": {"higher_is_better": True}}
    own = {"ssim": [0.5, 0.5, 0.5]} | own
    return {
        "metrics_per_frame": own,
        "baselines_per_frame": {"blank": {name: blank[name] for name in own}},
        "measured": measured,
    }


@pytest.mark.parametrize(
    ("own", "until", "behind"),
    [
        ({}, 3, ""),
        ({"mae": [40.0, 49.0, 50.0]}, 2, "mae"),  # equal is not better
        ({"mae": [40.0, 51.0, 40.0]}, 1, "mae"),  # a later frame does not make up for it
        ({"ssim": [0.3, 0.5, 0.5], "mae": [60.0, 40.0, 40.0]}, 0, "ssim mae"),
        ({"ssim": [0.5, math.nan, 0.5]}, 1, "ssim"),
        ({"wetness": [0.1, 0.1, 0.0]}, 2, "wetness"),  # another package's metric, by the direction in the record
    ],
)
def test_the_last_frame_above_blank_is_the_last_before_any_metric_falls_behind(
    own: dict[str, list[float]], until: int, behind: str
) -> None:
    assert frames_above_blank(result(**own)) == (until, behind.split())


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_every_metric_is_described_and_in_range() -> None:
    target = strokes()
    for prediction in (*predictions(target).values(), target):
        found = frame_metrics(prediction, target)
        assert list(found) == list(METRICS)
        for name, values in found.items():
            info = METRICS[name]
            assert info.name == name
            assert values.shape == (2, 4)
            assert values.dtype == torch.float64
            assert (values >= info.lowest).all()
            assert info.highest is None or (values <= info.highest + 1e-6).all()
    assert HEADLINE in METRICS
    assert json.loads(json.dumps(CONVENTIONS, allow_nan=False)) == CONVENTIONS
    assert set(METRICS) <= set(CONVENTIONS)


def test_descriptions_do_not_import_torch() -> None:
    code = "import sys, harness.evaluation.conventions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_metric_is_found_by_its_name_wherever_it_is_from() -> None:
    csi = CriticalSuccessIndex()
    assert metric_named("mse") is METRICS["mse"]
    assert metric_named("mae_unit").name == "mae_unit"
    assert metric_named("csi", [csi]) is csi
    with pytest.raises(RequestError, match=r"unknown metric 'sism'; did you mean 'ssim'\?.*--set metrics=csi"):
        metric_named("sism")


def test_what_a_result_lacks_or_has_of_other_settings_is_outdated() -> None:
    old: dict[str, Any] = {"metrics": dict.fromkeys(METRICS, 0.5)}
    assert outdated_metrics(old, []) == [], "a record from before metrics were described has them at revision 1"
    csi = CriticalSuccessIndex(thresholds=(0.5,))
    assert outdated_metrics(old, [csi]) == ["csi"]
    result = old | {"measured": describe_metrics([*METRICS.values(), csi])}
    assert outdated_metrics(result, [csi]) == []
    assert outdated_metrics(result, [CriticalSuccessIndex(thresholds=(0.25,))]) == ["csi"]
    result["measured"]["psnr"]["identity"] = {"name": "psnr", "revision": 7}
    assert outdated_metrics(result, []) == ["psnr"]


def test_a_metric_in_the_datas_unit_needs_data_with_a_scaling() -> None:
    check_scaling(IN_UNIT, SimpleNamespace(scaling=MinMax()))
    check_scaling(METRICS.values(), SimpleNamespace())
    with pytest.raises(RequestError, match="mae_unit is in the data's unit"):
        check_scaling(IN_UNIT, SimpleNamespace(scaling=None))
