"""A result: what was measured, once in every place, and what an earlier test of the checkpoint measured besides."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from networks import TINY

from harness.model.build import build_model, count_parameters
from harness.presets import preset
from harness.runs.result import keep_metrics
from harness.store import Store


def test_a_result_agrees_with_its_sequences_its_frames_and_its_network(tiny_store: Path) -> None:
    experiment = preset("tiny")
    parameters = count_parameters(build_model(experiment.architecture, TINY, 0))
    for run in Store(tiny_store).runs():
        result, sequences = run.read("result.json"), run.read("sequences.json")
        assert len(sequences["ssim"]) == experiment.data.test_sequences
        assert result["metrics"]["ssim"] == pytest.approx(mean(sequences["ssim"]), rel=1e-9)
        for name, value in result["metrics"].items():
            assert len(result["metrics_per_frame"][name]) == experiment.data.horizon
            assert value == pytest.approx(mean(result["metrics_per_frame"][name]), rel=1e-9)
        assert result["params"] == parameters
        assert result["measured"].keys() == result["metrics"].keys()
        assert {"blank", "repeat_last"} <= result["baselines"].keys() == result["baselines_per_frame"].keys()
        assert not {"memory", "checkpoint"} & result["training"].keys()
        assert result["inference"]["batch_size"] == experiment.training.batch_size


def record(**metrics: float) -> dict[str, Any]:
    return {
        "measured": {name: {"title": name} for name in metrics},
        "metrics": dict(metrics),
        "metrics_per_frame": {name: [value] for name, value in metrics.items()},
        "baselines": {"blank": {name: -value for name, value in metrics.items()}},
        "baselines_per_frame": {"blank": {name: [-value] for name, value in metrics.items()}},
    }


def test_what_an_earlier_test_measured_besides_is_kept_and_what_both_have_is_the_newer() -> None:
    result = record(ssim=0.9, mse=4.0)
    keep_metrics(record(ssim=0.1, csi=0.5), result)
    assert result == record(ssim=0.9, mse=4.0, csi=0.5)


def test_a_baseline_that_only_one_of_two_tests_had_is_no_error() -> None:
    earlier, result = record(csi=0.5), record(ssim=0.9)
    earlier["baselines"]["flow"] = earlier["baselines_per_frame"]["flow"] = {"csi": 0.7}
    result["baselines"]["climatology"] = result["baselines_per_frame"]["climatology"] = {"ssim": 0.2}
    keep_metrics(earlier, result)
    assert result["baselines"] == {"blank": {"ssim": -0.9, "csi": -0.5}, "climatology": {"ssim": 0.2}}


def test_a_record_from_before_metrics_were_described_adds_nothing() -> None:
    earlier, result = record(csi=0.5), record(ssim=0.9)
    del earlier["measured"]
    keep_metrics(earlier, result)
    assert result == record(ssim=0.9)
