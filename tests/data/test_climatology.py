"""Climatology by hand: one mean without times, months over years, hours over days."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.sequences import Frames
from harness.data.source import open_source


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
