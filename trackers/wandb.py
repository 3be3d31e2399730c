"""Weights & Biases: a run a run, in `<store>/trackers/wandb`; offline unless `WANDB_MODE` says otherwise."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

from PIL import Image

from harness.errors import RequestError
from harness.hooks import Hook, RunInfo
from trackers import naming

try:
    import wandb
except ImportError:
    raise RequestError("--track wandb needs Weights & Biases; pip install 'ablation-harness[wandb]'") from None


class WeightsAndBiases(Hook):
    """`wandb sync` sends offline runs to a server. A run that resumes has one more folder, and the same id."""

    run: Any

    def start(self, run: RunInfo) -> None:
        """Opens the run: its id is the harness's, its group the arm."""
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", naming.PROJECT),
            id=run.run_id,
            name=naming.title(run),
            group=run.arm[:128],
            tags=[run.run_id, f"preset-{run.preset}"],
            config={**run.settings, **naming.tags(run)},
            dir=naming.folder(run),
            mode=mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        self.run.define_metric("*", step_metric="step")  # W&B's own step cannot go back, as it does after a kill

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Metrics train/*."""
        self.run.log({"step": step, **naming.numbers(values, "train")})

    def validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics validation/*."""
        self.run.log({"step": step, **naming.numbers(metrics, "validation")})

    def picture(self, name: str, step: int, png: bytes) -> None:
        """An image."""
        self.run.log({"step": step, name: wandb.Image(Image.open(io.BytesIO(png)))})

    def end(self, result: Mapping[str, Any]) -> None:
        """The final figures, as the run's summary."""
        self.run.summary.update(naming.final(result)[1])
        self.run.finish(0)

    def stop(self, reason: str) -> None:
        """The run is left to be resumed."""
        self.run.summary["stopped"] = reason
        self.run.finish(0)

    def failure(self, error: str) -> None:
        """The run ends with exit code 1."""
        self.run.summary["error"] = error
        self.run.finish(1)
