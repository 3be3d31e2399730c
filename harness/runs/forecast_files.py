"""Forecasts as files: NetCDF or Zarr with coordinates, .npy in the axes of the input, a GIF to look at."""

from __future__ import annotations

import io
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.array import extra
from harness.data.formats.zarr_stores import is_zarr
from harness.errors import HarnessError, RequestError
from harness.evaluation import pictures
from harness.runs.forecast import Forecast
from harness.system import files

ENDINGS = (".nc", ".zarr", ".npy", ".gif")


def check_out(out: Path, inputs: Path) -> None:
    """Raises RequestError for a file that cannot be written, or whose writing would lose something."""
    if out.suffix.lower() not in ENDINGS:
        raise RequestError(f"--out {out}: choose a file that ends in {', '.join(ENDINGS)}")
    if out.exists() and inputs.exists() and out.samefile(inputs):
        raise RequestError(f"--out {out} is the input, which would be lost; choose another file")
    if out.is_dir() and not (out.suffix.lower() == ".zarr" and is_zarr(out)):
        raise RequestError(f"--out {out} is a folder; choose another file")


def write(found: Forecast, out: Path) -> list[Path]:
    """Writes a forecast, whole or not at all; returns the files. Raises HarnessError when one cannot be written."""
    kind = out.suffix.lower()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
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
        packed = io.BytesIO()
        np.save(packed, array)
        files.write(path, packed.getbuffer())
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
    kind = out.suffix.lower()
    h5netcdf = extra("h5netcdf", "netcdf", out) if kind == ".nc" else None
    if kind == ".zarr":
        extra("zarr", "zarr", out)
    array = found.file.stored
    names = {letter: name for letter, name in zip(found.file.layout.letters, array.dims, strict=False) if letter}
    names = {"N": "sequence", "T": "time", "C": "channel", "H": "y", "W": "x"} | names
    dims = [names[letter] for letter in _letters(found)]
    attributes = {**array.attributes, **({"units": found.values.unit} if found.values.unit else {})}
    content = {found.variable: (dims, _in_file_axes(found, found.mean_NTCHW), attributes)}
    if found.spread_NTCHW is not None:
        content["spread"] = (
            dims,
            _in_file_axes(found, found.spread_NTCHW),
            {**attributes, "long_name": "standard deviation over the runs"},
        )
    data = xarray.Dataset(content, _coordinates(found, names, set(dims)), {"trained_horizon": found.trained_horizon})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if h5netcdf is None:
            with files.replacing(out) as temporary:
                data.to_zarr(temporary, mode="w", consolidated=False)
                if out.is_dir():
                    shutil.rmtree(out)
            return
        packed = io.BytesIO()  # HDF5 ends the process when a disk is full
        with h5netcdf.File(packed, "w") as file:
            data.dump_to_store(xarray.backends.H5NetCDFStore(file))
    files.write(out, packed.getbuffer())


def _coordinates(found: Forecast, names: dict[str, str], dims: set[str]) -> dict[str, Any]:
    """Of the input, with what it says of them, cropped as its frames; time continues by its usual step."""
    array, time = found.file.stored, names["T"]
    cuts = {}
    for letter, full, kept in zip("HW", found.file.shape_CHW[1:], found.values.size, strict=True):
        cuts[names[letter]] = slice((full - kept) // 2, (full - kept) // 2 + kept)
    coordinates: dict[str, Any] = {}
    for name, one in array.located.items():
        if set(one.dims) <= dims - {time, names["N"]} and name != time:
            kept = one.isel({dim: cuts[dim] for dim in one.dims if dim in cuts})
            coordinates[name] = (kept.dims, kept.values, kept.attrs)
    if len(found.file.arrays) > 1:
        recordings = range(found.file.sequences)
        coordinates[names["N"]] = (names["N"], [found.file.array_of(one).path.name for one in recordings])
    elif (times := array.coordinates.get(time)) is not None and len(times) > 1:
        step = np.sort(np.diff(times))[(len(times) - 1) // 2]
        later = np.array([times[-1] + step * at for at in range(1, found.mean_NTCHW.shape[1] + 1)], dtype=times.dtype)
        coordinates[time] = (time, later, getattr(array.located.get(time), "attrs", {}))
    return coordinates


def _animation(found: Forecast) -> bytes:
    """The first recording: input frames, then the forecast, brightness from the lowest to the highest value shown, missing grey."""
    shown, mean = found.shown_NTCHW[0], found.mean_NTCHW[0]
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    reach = max(high - low, 1e-12)

    def unit(frames: NDArray[np.float32]) -> pictures.Frames:
        scaled: pictures.Frames = ((frames - low) / reach).clip(0, 1).astype(np.float32)
        return scaled

    return pictures.forecast(unit(shown), unit(mean))
