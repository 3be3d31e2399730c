"""Baselines: blank, the last frame again, and those of files in a run and its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Command
from scipy.ndimage import gaussian_filter, shift
from strokes import strokes

from harness.data.sequences import Frames
from harness.data.source import open_source
from harness.errors import RequestError
from harness.evaluation.baselines import blank, repeat_last

TINY = ("--preset", "tiny", "--device", "cpu", "--store", "s", "--set", "training.steps=2", "--set", "data=frames")


def moving(frames: int, dy: float, dx: float) -> np.ndarray:
    """A smooth texture that moves by (dy, dx) pixels a frame, (T, 32, 32) in [0, 1]."""
    pattern = gaussian_filter(np.random.default_rng(0).random((96, 96)), 2)
    pattern = (pattern - pattern.min()) / np.ptp(pattern)
    return np.stack([shift(pattern, (dy * t, dx * t), order=3)[32:64, 32:64] for t in range(frames)]).clip(0, 1)


def climatology(path: str, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """What is expected of the first test sequence, and the truth, both (horizon, C, H, W)."""
    source = open_source(Frames(path=path, input_frames=2, horizon=3, **settings))
    frames = next(iter(source.climatology(4, "cpu")))[0].numpy()
    return frames[:3], frames[3:]


@pytest.mark.usefixtures("quick")
def test_a_run_on_a_file_and_its_report_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harness: Command) -> None:
    pytest.importorskip("cv2")
    monkeypatch.chdir(tmp_path)
    frames = moving(80, 0, 1.5).astype(np.float32)
    np.save("a.npy", frames)
    answer = harness("run", *TINY, "--set", "data.path=a.npy")
    assert answer.code == 0, answer.err
    found = json.loads(next(Path("s/runs").glob("*/result.json")).read_text())
    assert found["baselines"].keys() == {"blank", "repeat_last", "climatology", "flow"}
    mean = frames[:64].mean(0)  # by hand: the test part is one window of 3+3 frames from frame 72 on
    squares = ((mean - frames[75:78].astype(np.float64)) ** 2).sum((1, 2)).mean()
    assert found["baselines"]["climatology"]["mse"] == pytest.approx(squares, rel=1e-4)
    for name in ("optical flow", "climatology", "repeat last frame", "blank frame"):
        assert name in answer.out
    assert harness("report", "--store", "s", "--out", "r").code == 0
    table = next(Path("r").rglob("metrics.csv")).read_text()
    assert "climatology" in table
    assert "optical flow" in table


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_baselines() -> None:
    inputs = strokes(2, 3, 3)
    assert torch.equal(blank(inputs, 5), torch.zeros(2, 5, 3, 64, 64))
    still = repeat_last(inputs, 5)
    assert still.shape == (2, 5, 3, 64, 64)
    assert all(torch.equal(still[:, t], inputs[:, -1]) for t in range(5))
    still.zero_()
    assert inputs.any(), "the baseline has its own memory"
    for baseline in (blank, repeat_last):
        with pytest.raises(RequestError, match="horizon is 0"):
            baseline(inputs, 0)
