"""NetCDF files and Zarr groups through xarray: axes with names, coordinates, units, and declared missing values read as NaN."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.formats.array import Array, choose, extra
from harness.errors import RequestError


def open_netcdf(path: Path, variable: str = "") -> Array:
    """The variable of that name, else the only one with frames. Raises RequestError."""
    xarray = extra("xarray", "netcdf", path)
    with open(path, "rb") as stream:
        engine = "scipy" if stream.read(3) == b"CDF" else "h5netcdf"
    if engine == "h5netcdf":
        extra("h5netcdf", "netcdf", path)
    return _open(xarray, path, variable, (path,), engine=engine)


def open_zarr_group(path: Path, variable: str, files: tuple[Path, ...]) -> Array:
    """The same of a Zarr group."""
    return _open(extra("xarray", "netcdf", path), path, variable, files, engine="zarr", chunks=None, consolidated=False)


def _open(xarray: Any, path: Path, variable: str, files: tuple[Path, ...], **options: Any) -> Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = xarray.open_dataset(path, cache=False, **options)
    except Exception as error:  # every engine has its own
        if "cftime" in str(error):  # a model's calendar, of 360 days a year for example
            extra("cftime", "netcdf", path)
        raise RequestError(
            f"{path} cannot be opened ({' '.join(str(error).split())[:160]}); copy or make it again"
        ) from None
    name = choose(path, {str(one): found.shape for one, found in data.data_vars.items()}, variable)
    found = data[name]
    dims = tuple(str(one) for one in found.dims)
    projection = str(found.attrs.get("grid_mapping", found.encoding.get("grid_mapping", "")))
    located = {str(one): found.coords[one].variable for one in found.coords}
    if projection in data:
        located[projection] = data[projection].variable
    along = {dim: np.asarray(found[dim].values) for dim in dims if dim in found.coords and found[dim].ndim == 1}
    return Array(
        path,
        tuple(found.shape),
        found.dtype,
        lambda part: np.asarray(found[part].values),
        files,
        dims=dims,
        coordinates=along,
        unit=str(found.attrs.get("units", "")),
        variable=name,
        attributes=found.attrs | ({"grid_mapping": projection} if projection in located else {}),
        located=located,
        declares_missing=bool({"_FillValue", "missing_value"} & found.encoding.keys()),
    )
