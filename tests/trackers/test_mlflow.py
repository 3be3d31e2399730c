"""MLflow finds again what was written: curves with steps, final figures, and the way to the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.hooks import RunInfo


@pytest.mark.parametrize("tracked", ["mlflow"], indirect=True)
@pytest.mark.filterwarnings("default")
def test_mlflow(tracked: Any) -> None:
    from mlflow.tracking import MlflowClient

    root, result, curve = tracked
    client = MlflowClient(f"sqlite:///{root / 'trackers' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("ablation-harness")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`harness.run_id` = '{result['run_id']}'")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "attention seed 0"
    assert run.data.tags["arm"] == "attention"
    assert run.data.metrics["test/ssim"] == result["metrics"]["ssim"]
    assert run.data.params["training.steps"] == "20"
    history = client.get_metric_history(run.info.run_id, "validation/ssim")
    assert {one.step: one.value for one in history} == curve
    assert (root / "trackers" / "mlflow-artifacts" / run.info.run_id / "artifacts" / "test sequence 0.png").is_file()
    _goes_on_as_the_same_run(root, result["run_id"], client, run.info.run_id)


def _goes_on_as_the_same_run(root: Path, run_id: str, client: Any, mlflow_id: str) -> None:
    """A run that a later process takes up again, stops and fails; in a store that is there, since MLflow makes one slowly."""
    from trackers.mlflow import MLflow

    hook = MLflow()
    hook.start(
        RunInfo(
            run_id=run_id, training_key="t", arm="attention", seed=0, preset="tiny", settings={}, store=root, resumed=True
        )
    )
    assert hook.mlflow_id == mlflow_id
    assert client.get_run(mlflow_id).info.status == "RUNNING"
    hook.stop("SIGTERM")
    assert client.get_run(mlflow_id).info.status == "KILLED"
    hook.failure("RuntimeError: " + "x" * 9000)
    failed = client.get_run(mlflow_id)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["harness.error"].startswith("RuntimeError: xxx")
