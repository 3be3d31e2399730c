"""The chosen setting as TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.runs.request import read_config
from harness.tuning.files import to_toml


def test_toml_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    settings = {
        "loss.mse.weight": 1e-05,
        "training.batch_size": 8,
        "data.frames": 'a "quoted"\n\\path\x7f é',
        "architecture.widths": [1, 2],
        "loss.mae.weight": 1e22,
    }
    path = tmp_path / "best.toml"
    path.write_text(to_toml(settings, ["a comment\nmse = 3"]), "utf-8")
    assert read_config(path) == settings
    for bad in (float("nan"), None, {}):
        with pytest.raises(HarnessError):
            to_toml({"loss.mse": bad})
    with pytest.raises(HarnessError):
        to_toml({"loss.mse]\nx": 1})
