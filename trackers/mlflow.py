"""MLflow: a run a run in `MLFLOW_TRACKING_URI`, or else in the SQLite file `<store>/trackers/mlflow.db`."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from filelock import FileLock
from PIL import Image

from harness.errors import RequestError
from harness.hooks import Hook, RunInfo
from trackers import naming

try:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient
except ImportError:
    raise RequestError("--track mlflow needs MLflow; pip install 'ablation-harness[mlflow]'") from None

AT_ONCE = 100
"""Parameters that MLflow takes in one call."""


class MLflow(Hook):
    """Writes with a client of its own, so that what the process does with `mlflow` itself stays as it is."""

    client: MlflowClient
    mlflow_id: str

    def start(self, run: RunInfo) -> None:
        """Finds the run by its tag, or creates it."""
        place = naming.folder(run)
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # "Creating tables" would stand in a live table
        with FileLock(place / "mlflow.lock"):  # two that create the tables or the experiment at once would collide
            self.client = MlflowClient(uri or f"sqlite:///{place / 'mlflow.db'}")
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", naming.PROJECT)
            found = self.client.get_experiment_by_name(name)
            artifacts = None if uri else (place / "mlflow-artifacts").as_uri()
            experiment = self.client.create_experiment(name, artifacts) if found is None else found.experiment_id
        tags = naming.tags(run) | {"mlflow.runName": naming.title(run)}
        query = f"tags.`harness.run_id` = '{run.run_id}'"
        if earlier := self.client.search_runs([experiment], query, max_results=1):
            self.mlflow_id = earlier[0].info.run_id
            self.client.update_run(self.mlflow_id, status="RUNNING")
        else:
            self.mlflow_id = self.client.create_run(experiment, tags=tags).info.run_id
        params = [Param(name, str(value)) for name, value in run.settings.items()]
        for first in range(0, len(params), AT_ONCE):
            self.client.log_batch(self.mlflow_id, params=params[first : first + AT_ONCE])

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Metrics train/*."""
        self._log(step, naming.numbers(values, "train"))

    def validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics validation/*."""
        self._log(step, naming.numbers(metrics, "validation"))

    def picture(self, name: str, step: int, png: bytes) -> None:
        """An artifact."""
        self.client.log_image(self.mlflow_id, Image.open(io.BytesIO(png)).convert("RGB"), f"{name}.png")

    def end(self, result: Mapping[str, Any]) -> None:
        """Metrics of the final figures at the last step; status FINISHED."""
        self._log(*naming.final(result))
        self.client.set_terminated(self.mlflow_id, "FINISHED")

    def stop(self, reason: str) -> None:
        """Status KILLED, until the run resumes."""
        self.client.set_terminated(self.mlflow_id, "KILLED")

    def failure(self, error: str) -> None:
        """Status FAILED, with the error as a tag."""
        self.client.log_batch(self.mlflow_id, tags=[RunTag("harness.error", error[:5000])])
        self.client.set_terminated(self.mlflow_id, "FAILED")

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        self.client.log_batch(self.mlflow_id, metrics=[Metric(name, value, now, step) for name, value in values.items()])
