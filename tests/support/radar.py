"""A recording of a radar in NetCDF, two seeds trained on it, and their forecast by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.evaluation.predict import predict
from harness.runs.forecast import Trained, load_trained
from harness.store import Store
from harness.variant import Variants

TINY = ("--preset", "tiny", "--device", "cpu", "--set", "training.steps=2", "--set", "data=frames")


SCALED = ("--set", "data.scaling=min-max", "--set", "data.missing=nan", "--set", "data.pad=4")


def write_radar(folder: Path) -> Path:
    """Fills a folder with a recording in NetCDF (T, 18, 22), a corner of it missing, and two seeds trained on it in store `s`."""
    from harness.cli.app import main

    xarray = pytest.importorskip("xarray")
    y, x = np.mgrid[:18, :22]
    rain = np.stack([40 * np.exp(-((x - t % 22) ** 2 + (y - 9) ** 2) / 20) for t in range(200)]).astype(np.float32)
    rain[:, :2, :3] = np.nan
    times = np.datetime64("2020-01-01", "ns") + np.arange(200) * np.timedelta64(5, "m")
    xarray.Dataset(
        {"rain": (("time", "lat", "lon"), rain, {"units": "mm/h"})},
        coords={"time": times, "lat": np.linspace(50, 49, 18), "lon": np.linspace(5, 6, 22)},
    ).to_netcdf(folder / "radar.nc", engine="h5netcdf")
    np.save(folder / "last.npy", rain[-12:])
    np.save(folder / "last-first.npy", rain[-12:].transpose(1, 2, 0))
    for seed in (0, 1):
        words = ("run", *TINY, *SCALED, "--set", f"data.path={folder / 'radar.nc'}", "--seed", seed, "--store", folder / "s")
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        assert not ended.value.code
    return folder


def runs(made: Path) -> list[str]:
    found = {}
    for path in (made / "s" / "runs").iterdir():
        if (path / "result.json").exists():
            found[json.loads((path / "result.json").read_text())["seed"]] = path.name
    return [found[0], found[1]]


def trained(made: Path, run_id: str) -> Trained:
    store = Store(made / "s")
    return load_trained(store, store.find(run_id), Variants(third_party=False), torch.device("cpu"))


def by_hand(made: Path, run_id: str, horizon: int) -> np.ndarray:
    """The forecast from its parts: scale, fill, pad, predict, clamp, cut, scale back."""
    one = trained(made, run_id)
    scaling = one.values.scaling
    assert scaling is not None
    low, high = scaling.low[0], scaling.high[0]
    last = np.load(made / "last.npy")[-3:]
    scaled = (last - low) / (high - low)
    scaled = np.where(np.isnan(scaled), one.values.means[0], scaled)
    padded = np.pad(scaled, ((0, 0), (0, 2), (0, 2)), mode="edge").astype(np.float32)
    found = predict(one.model, torch.from_numpy(padded)[None, :, None], horizon)[0, :, 0].numpy()[:, :18, :22].clip(0, 1)
    return np.where(np.isnan(last).all(0), np.nan, low + found * (high - low))
