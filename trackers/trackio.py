"""trackio: a run a run in trackio's own folder (`TRACKIO_DIR`); `trackio show` opens the dashboard."""

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
    import trackio
except ImportError:
    raise RequestError("--track trackio needs trackio; pip install 'ablation-harness[trackio]'") from None


class Trackio(Hook):
    """A run that resumes continues under its name, which holds the run's id."""

    run: Any

    def start(self, run: RunInfo) -> None:
        """Opens the run, or the one that an earlier process began."""
        self.run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", naming.PROJECT),
            name=f"{naming.title(run)} {run.run_id}",
            group=run.arm,
            config={**run.settings, **naming.tags(run)},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Metrics train/*."""
        self.run.log(naming.numbers(values, "train"), step)

    def validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics validation/*."""
        self.run.log(naming.numbers(metrics, "validation"), step)

    def picture(self, name: str, step: int, png: bytes) -> None:
        """An image."""
        self.run.log({name: trackio.Image(Image.open(io.BytesIO(png)))}, step)

    def end(self, result: Mapping[str, Any]) -> None:
        """The final figures at the last step."""
        step, figures = naming.final(result)
        self.run.log(figures, step)
        self.run.finish()

    def stop(self, reason: str) -> None:
        """What waits is written."""
        self.run.finish()

    def failure(self, error: str) -> None:
        """The error, as an alert."""
        self.run.alert("failure", error)
        self.run.finish()
