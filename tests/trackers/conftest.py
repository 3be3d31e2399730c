"""A run with a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from trainings import cell_of

from harness.options import RunOptions
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.store import Store, Training

CHANGES: dict[str, object] = {
    "training.steps": 20,
    "training.validate_every": 10,
    "data.test_sequences": 2,
    "data.validation_sequences": 2,
}


@pytest.fixture
def tracked(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(store, result, validation SSIM by step) of a run with the tracker that the test names."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported, here and nowhere before
    pytest.importorskip(request.param)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    notes: list[str] = []
    cell, source = cell_of(CHANGES, "attention")
    outcome = run_cell(cell, Store(tmp_path), source, RunOptions(hooks=[request.param]), Context(note=notes.append))
    assert [text for text in notes if "hook" in text] == []
    (training,) = Store(tmp_path).trainings()
    return tmp_path, outcome.result, _ssim(training)


def _ssim(training: Training) -> dict[int, float]:
    return {line["step"]: line["ssim"] for line in training.validations()}
