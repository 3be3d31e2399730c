"""MLflow finds again what was written: curves with steps, final figures, and the way to the record."""

from __future__ import annotations

from typing import Any

import pytest


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
