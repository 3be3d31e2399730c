"""The metric that selects checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Command
from trainings import cell_of, train

from harness.data.source import Source
from harness.evaluation import mean
from harness.evaluation.metrics.csi import CriticalSuccessIndex
from harness.training.blank import Blank


@pytest.fixture(scope="module")
def source() -> Source:
    torch.set_num_threads(1)
    return cell_of()[1]


def validations_measure(name: str, values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts these values of a metric in place of what validations measure; the blank frame is not measured."""
    measured, overall = iter(values), mean.MetricMean.overall
    monkeypatch.setattr(mean.MetricMean, "overall", lambda self: overall(self) | {name: next(measured)})
    monkeypatch.setattr(Blank, "predictors", {})
    monkeypatch.setattr(Blank, "compare", lambda *arguments: None)


@pytest.mark.parametrize(
    ("select", "values", "best"),
    [
        ("ssim", [0.2, 0.5, 0.4], 4),
        ("mse", [5.0, 7.0, 6.0], 2),
        ("mse", [7.0, 5.0, 5.0], 4),
        ("psnr", [10.0, 11.0, 12.0], 6),
        ("csi", [0.1, float("nan"), 0.3], 6),
        ("mae", [float("nan"), 3.0, 3.5], 4),
    ],
)
def test_the_checkpoint_is_the_best_by_the_selected_metric_in_its_direction(
    select: str, values: list[float], best: int, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validations_measure(select, values, monkeypatch)
    settings: dict[str, Any] = {"training.select": select, "training.validate_every": 2}
    settings |= {"metrics": "csi"} if select == "csi" else {}
    cell, _ = cell_of(settings, source=source)
    summary, folder = train(cell, source, tmp_path)
    assert summary["best_step"] == best
    assert summary[f"validation_{select}"] == values[best // 2 - 1]
    assert [path.name for path in folder.path.glob("best-*")] == [f"best-{best:08d}.safetensors"]
    if select == "csi":
        assert all("csi" in one for one in folder.validations())


def test_patience_counts_the_selected_metric(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validations_measure("mse", [5.0, 6.0, 4.0], monkeypatch)
    changes = {"training.select": "mse", "training.validate_every": 2, "training.patience": 1}
    cell, _ = cell_of(changes, source=source)
    summary, _ = train(cell, source, tmp_path)
    assert (summary["steps"], summary["best_step"], summary["stopped_early"]) == (4, 2, True)


def test_the_choice_and_the_chosen_metric_are_in_the_key_and_its_default_is_not(source: Source) -> None:
    base, _ = cell_of(source=source)
    assert "select" not in base.experiment.identity["training"]
    keys = [base.training_key]
    for settings in (
        {"training.select": "mse"},
        {"training.select": "csi", "metrics": "csi"},
        {"training.select": "csi", "metrics": "csi(thresholds=[0.7])"},
    ):
        keys.append(cell_of(settings, source=source)[0].training_key)
    assert len(set(keys)) == 4
    csi, _ = cell_of({"training.select": "csi", "metrics": "csi"}, source=source)
    more, _ = cell_of({"training.select": "csi", "metrics": "csi,sharpness"}, source=source)
    assert more.training_key == csi.training_key
    unselected = replace(base, experiment=replace(base.experiment, metrics=(CriticalSuccessIndex(),)))
    assert unselected.training_key == base.training_key


def test_an_unknown_metric_is_refused_before_anything_is_made(harness: Command, tmp_path: Path) -> None:
    for words in ("run", "ablate"):
        answer = harness(words, "-p", "tiny", "--set", "training.select=mes", "--store", tmp_path / "s")
        assert answer.code == 2
        assert "mes" in answer.error
        assert "mse" in answer.error
    assert not (tmp_path / "s").exists()
