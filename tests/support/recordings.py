"""One recording, as every format writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

FRAMES = np.random.default_rng(0).integers(0, 256, (30, 12, 16), dtype=np.uint8)
"""A recording (T, H, W)."""


def as_hdf5(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("radar/rain", data=FRAMES, chunks=(4, 12, 16), compression="gzip")
        file["station"] = np.arange(3)
    return folder / "a.h5"


def as_zarr(folder: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    zarr.create_array(folder / "a.zarr", data=FRAMES, chunks=(4, 12, 16))
    return folder / "a.zarr"


def as_zarr_group(folder: Path) -> Path:
    _dataset().to_zarr(folder / "b.zarr", consolidated=False)
    return folder / "b.zarr"


def _dataset() -> Any:
    xarray = pytest.importorskip("xarray")
    return xarray.Dataset({"rain": (("time", "lat", "lon"), FRAMES, {"units": "mm/h"})})


def as_netcdf4(folder: Path) -> Path:
    _dataset().to_netcdf(folder / "a.nc", engine="h5netcdf")
    return folder / "a.nc"


def as_netcdf3(folder: Path) -> Path:
    xarray = pytest.importorskip("xarray")
    xarray.Dataset({"rain": (("time", "y", "x"), FRAMES.astype(np.int16))}).to_netcdf(folder / "b.nc", engine="scipy")
    return folder / "b.nc"


def as_images(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    for number, frame in enumerate(FRAMES):  # frame10 sorts after frame9
        Image.fromarray(frame).save(folder / "pictures" / f"frame{number}.png")
    return folder / "pictures"


def as_npy(folder: Path) -> Path:
    np.save(folder / "a.npy", FRAMES)
    return folder / "a.npy"


def as_fortran(folder: Path) -> Path:
    np.save(folder / "f.npy", np.asfortranarray(FRAMES))
    return folder / "f.npy"


def as_a_file_a_frame(folder: Path) -> Path:
    for number, frame in enumerate(FRAMES):
        np.save(made(folder, "npy") / f"frame{number}.npy", frame)
    return folder / "npy"


def as_a_netcdf_file_a_frame(folder: Path) -> Path:
    """As archives of radars and satellites: each with its time, the fourth two minutes late."""
    xarray = pytest.importorskip("xarray")
    for number, frame in enumerate(FRAMES):
        time = np.datetime64("2020-01-01", "ns") + np.timedelta64(5 * number + (12 if number > 3 else 0), "m")
        one = xarray.DataArray(
            frame[None], dims=("time", "y", "x"), coords={"time": [time], "x": np.arange(16.0)}, name="rain"
        )
        one.to_netcdf(made(folder, "nc") / f"frame{number}.nc", engine="h5netcdf")
    return folder / "nc"


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def several_variables(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file["rain"] = file["snow"] = FRAMES
    return folder / "a.h5"
