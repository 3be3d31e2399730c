"""TensorBoard: an event file a run, in `<store>/trackers/tensorboard/<arm>/seed-<seed>-<run id>`."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from harness.errors import RequestError
from harness.hooks import Hook, RunInfo
from trackers import naming

try:
    from torch.utils.tensorboard.writer import SummaryWriter
except ImportError:
    raise RequestError("--track tensorboard needs TensorBoard; pip install 'ablation-harness[tensorboard]'") from None


class TensorBoard(Hook):
    """Writes with torch's SummaryWriter."""

    writer: SummaryWriter

    def start(self, run: RunInfo) -> None:
        """Opens another event file of the run; its settings and tags are a text."""
        arm = re.sub(r"[^\w.,=+()-]", "_", run.arm)[:100]  # a folder's name
        place = naming.folder(run) / "tensorboard" / arm / f"seed-{run.seed}-{run.run_id}"
        self.writer = SummaryWriter(str(place))
        rows = [f"| {name} | {value} |" for name, value in {**naming.tags(run), **run.settings}.items()]
        self._text("run", "\n".join(["| | |", "| --- | --- |", *rows]))

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Scalars train/*."""
        self._scalars(step, naming.numbers(values, "train"))

    def validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Scalars validation/*."""
        self._scalars(step, naming.numbers(metrics, "validation"))
        self.writer.flush()

    def picture(self, name: str, step: int, png: bytes) -> None:
        """An image."""
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        self.writer.add_image(name, pixels, step, dataformats="HWC")

    def end(self, result: Mapping[str, Any]) -> None:
        """Scalars of the final figures at the last step."""
        self._scalars(*naming.final(result))
        self.writer.close()

    def stop(self, reason: str) -> None:
        """The reason, as a text."""
        self._text("stopped", reason)
        self.writer.close()

    def failure(self, error: str) -> None:
        """The error, as a text."""
        self._text("failure", error)
        self.writer.close()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def _text(self, name: str, text: str) -> None:
        self.writer.add_text(name, text)
