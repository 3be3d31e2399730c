"""Baselines of files: climatology by hand, and optical flow of known motion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import Command
from scipy.ndimage import gaussian_filter, shift

from harness.data.sequences import Frames
from harness.data.source import open_source
from harness.evaluation import flow as optical

TINY = ("--preset", "tiny", "--device", "cpu", "--store", "s", "--set", "training.steps=2", "--set", "data=frames")


def moving(frames: int, dy: float, dx: float) -> np.ndarray:
    """A smooth texture that moves by (dy, dx) pixels a frame, (T, 32, 32) in [0, 1]."""
    pattern = gaussian_filter(np.random.default_rng(0).random((96, 96)), 2)
    pattern = (pattern - pattern.min()) / np.ptp(pattern)
    return np.stack([shift(pattern, (dy * t, dx * t), order=3)[32:64, 32:64] for t in range(frames)]).clip(0, 1)


@pytest.mark.parametrize(("dy", "dx"), [(0.0, 2.0), (-1.0, 1.5)])
def test_flow_moves_the_last_frame_on(dy: float, dx: float) -> None:
    pytest.importorskip("cv2")
    frames = torch.from_numpy(moving(6, dy, dx)).float()[None, :, None]
    predicted = optical.flow(frames[:, :3], 3)
    assert predicted.shape == (1, 3, 1, 32, 32)
    inside = (..., slice(8, -8), slice(8, -8))  # what has come in from outside cannot be known
    error = (predicted - frames[:, 3:])[inside].abs().mean((0, 2, 3, 4))
    still = (frames[:, 2:3] - frames[:, 3:])[inside].abs().mean((0, 2, 3, 4))
    assert (error < 0.25 * still).all(), (error, still)
    assert torch.equal(optical.flow(frames[:, :1], 2), frames[:, :1].expand(1, 2, 1, 32, 32)), "one frame has no motion"


def test_flow_applies_where_it_can() -> None:
    pytest.importorskip("cv2")
    assert optical.available(12, 12)
    assert not optical.available(11, 40)


def climatology(path: str, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """What is expected of the first test sequence, and the truth, both (horizon, C, H, W)."""
    source = open_source(Frames(path=path, input_frames=2, horizon=3, **settings))
    frames = next(iter(source.climatology(4, "cpu")))[0].numpy()
    return frames[:3], frames[3:]


def test_without_times_it_is_the_mean_of_the_training_part(tmp_path: Path) -> None:
    bytes_ = np.random.default_rng(1).integers(0, 256, (60, 12, 16), dtype=np.uint8)
    np.save(tmp_path / "a.npy", bytes_)
    expected, truth = climatology(str(tmp_path / "a.npy"))
    assert np.allclose(expected[:, 0], bytes_[:48].mean(0) / 255, atol=1e-6)
    assert np.allclose(truth[:, 0], bytes_[56:59] / 255, atol=1e-6)


@pytest.mark.parametrize("kind", ["gregorian", "360_day"])
def test_months_are_told_apart_in_a_file_of_years(tmp_path: Path, kind: str) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("cftime")
    rng = np.random.default_rng(2)
    season = np.arange(60) % 12
    values = (season[:, None, None] * 10 + rng.random((60, 12, 16))).astype(np.float32)
    values[:, 0, 0] = np.nan
    values[3::12, 1, 1] = np.nan  # missing in every April
    data = xarray.Dataset({"t": (("time", "lat", "lon"), values)}, coords={"time": np.arange(60)})
    data.time.attrs |= {"units": "days since 2000-01-16", "calendar": kind}
    data["time"] = ("time", np.arange(60) * (30.0 if kind == "360_day" else 365.25 / 12), data.time.attrs)
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    from harness.data.scaling import MinMax

    expected, _ = climatology(str(tmp_path / "a.nc"), scaling=MinMax(low=(0.0,), high=(120.0,)), missing="nan")
    by_hand = np.stack([values[:48][season[:48] == month].mean(0) for month in season[56:59]]) / 120
    assert np.isnan(expected[:, 0, 0, 0]).all()
    assert np.allclose(expected[:, 0], by_hand, atol=1e-6, equal_nan=True)


def test_hours_are_told_apart_in_a_file_of_days(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    hour = np.arange(24 * 6) % 24
    values = np.broadcast_to((hour / 24)[:, None, None], (len(hour), 12, 16)).astype(np.float32)
    times = np.datetime64("2024-03-01", "ns") + np.arange(len(hour)) * np.timedelta64(1, "h")
    xarray.Dataset({"t": (("time", "lat", "lon"), values)}, coords={"time": times}).to_netcdf(
        tmp_path / "a.nc", engine="h5netcdf"
    )
    expected, truth = climatology(str(tmp_path / "a.nc"))
    assert np.allclose(expected, truth, atol=1e-6)


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
