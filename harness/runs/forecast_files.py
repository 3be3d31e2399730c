"""Forecasts as files: NetCDF or Zarr with coordinates, .npy in the axes of the input, a GIF to look at."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.array import extra
from harness.errors import HarnessError, RequestError
from harness.evaluation import pictures
from harness.runs.forecast import Forecast
from harness.system import files

ENDINGS = (".nc", ".zarr", ".npy", ".gif")


def check_ending(out: Path) -> None:
    """Raises RequestError for a file that cannot be written."""
    if out.suffix.lower() not in ENDINGS:
        raise RequestError(f"--out {out}: choose a file that ends in {', '.join(ENDINGS)}")


def write(found: Forecast, out: Path) -> list[Path]:
    """Writes a forecast; returns the files. Raises HarnessError when one cannot be written."""
    check_ending(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        kind = out.suffix.lower()
        if kind == ".gif":
            files.write(out, _animation(found))
            return [out]
        if kind == ".npy":
            return _arrays(found, out)
        _dataset(found, out)
    except OSError as error:
        raise HarnessError(f"cannot write {out}: {error.strerror or error}; free space or choose another file") from error
    return [out]


def _arrays(found: Forecast, out: Path) -> list[Path]:
    """The mean, and beside it the spread, in the axes of the input; bytes of bytes."""
    written = [(out, found.mean_NTCHW)]
    if found.spread_NTCHW is not None:
        written.append((out.with_name(f"{out.stem}-spread.npy"), found.spread_NTCHW))
    for path, values in written:
        array = _in_file_axes(found, values)
        if found.file.dtype == np.uint8 and path == out and not np.isnan(array).any():
            array = array.round().clip(0, 255).astype(np.uint8)
        np.save(path, array)
    return [path for path, _ in written]


def _letters(found: Forecast) -> list[str]:
    letters = [one for one in found.file.layout.letters if one]
    return letters if "N" in letters or found.mean_NTCHW.shape[0] == 1 else ["N", *letters]


def _in_file_axes(found: Forecast, values_NTCHW: NDArray[Any]) -> NDArray[Any]:
    letters = _letters(found)
    kept = tuple(axis for axis, letter in enumerate("NTCHW") if letter not in letters)
    order = [letter for letter in "NTCHW" if letter in letters]
    return values_NTCHW.squeeze(kept).transpose([order.index(letter) for letter in letters])


def _dataset(found: Forecast, out: Path) -> None:
    xarray = extra("xarray", "netcdf", out)
    extra("h5netcdf" if out.suffix.lower() == ".nc" else "zarr", "netcdf" if out.suffix.lower() == ".nc" else "zarr", out)
    array = found.file.stored
    names = {letter: name for letter, name in zip(found.file.layout.letters, array.dims, strict=False) if letter}
    names = {"N": "sequence", "T": "time", "C": "channel", "H": "y", "W": "x"} | names
    dims = [names[letter] for letter in _letters(found)]
    attributes = {"units": found.values.unit} if found.values.unit else {}
    content = {found.variable: (dims, _in_file_axes(found, found.mean_NTCHW), attributes)}
    if found.spread_NTCHW is not None:
        content["spread"] = (
            dims,
            _in_file_axes(found, found.spread_NTCHW),
            attributes | {"long_name": "standard deviation over the runs"},
        )
    coordinates = {name: values for name, values in _coordinates(found, names).items() if name in dims}
    data = xarray.Dataset(content, coords=coordinates, attrs={"trained_horizon": found.trained_horizon})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.to_netcdf(out, engine="h5netcdf") if out.suffix.lower() == ".nc" else data.to_zarr(
            out, mode="w", consolidated=False
        )


def _coordinates(found: Forecast, names: dict[str, str]) -> dict[str, NDArray[Any]]:
    """Of the input, cropped as its frames; time continues by its usual step."""
    given = found.file.stored.coordinates
    coordinates: dict[str, NDArray[Any]] = {}
    for letter, full, kept in zip("HW", found.file.shape_CHW[1:], found.values.size, strict=True):
        if names[letter] in given:
            start = (full - kept) // 2
            coordinates[names[letter]] = given[names[letter]][start : start + kept]
    if names["C"] in given:
        coordinates[names["C"]] = given[names["C"]]
    times, horizon = given.get(names["T"]), found.mean_NTCHW.shape[1]
    if times is not None and len(times) > 1 and len(found.file.arrays) == 1:
        step = np.sort(np.diff(times))[(len(times) - 1) // 2]
        coordinates[names["T"]] = np.array([times[-1] + step * (at + 1) for at in range(horizon)], dtype=times.dtype)
    return coordinates


def _animation(found: Forecast) -> bytes:
    """The first recording: input frames, then the forecast, brightness from the lowest to the highest value shown."""
    shown, mean = found.shown_NTCHW[0], found.mean_NTCHW[0]
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    reach = max(high - low, 1e-12)

    def unit(frames: NDArray[np.float32]) -> pictures.Frames:
        scaled: pictures.Frames = np.nan_to_num((frames - low) / reach, nan=0.0).clip(0, 1).astype(np.float32)
        return scaled

    return pictures.forecast(unit(shown), unit(mean))
