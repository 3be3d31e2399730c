"""Zarr: an array, or a group that xarray reads where it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from harness.data.formats.array import Array, choose, extra
from harness.errors import RequestError


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup", ".zmetadata"))


def open_zarr(path: Path, variable: str = "") -> Array:
    """The array of a store, or `variable` of a group, else its only one with frames. Raises RequestError."""
    zarr = extra("zarr", "zarr", path)
    files = tuple(sorted(one for one in path.rglob("*") if one.is_file()))
    try:
        store: Any = zarr.open(path, mode="r")
    except Exception as error:  # zarr has errors of its own for each way in which metadata can be wrong
        raise RequestError(f"{path} is no whole Zarr store ({str(error)[:120]}); copy or make it again") from None
    if not isinstance(store, zarr.Array):
        arrays = {str(name): one for name, one in store.arrays()}
        if importlib.util.find_spec("xarray") is not None and all(_dims(one) for one in arrays.values()):
            from harness.data.formats.netcdf import open_zarr_group

            return open_zarr_group(path, variable, files)
        store = arrays[choose(path, {name: one.shape for name, one in arrays.items()}, variable)]
    return Array(
        path,
        tuple(store.shape),
        store.dtype,
        lambda part: store[part],
        files,
        dims=_dims(store),
        unit=str(store.attrs.get("units", "")),
        variable=str(store.basename or ""),
    )


def _dims(array: Any) -> tuple[str, ...]:
    named = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(map(str, named)) if all(named) else ()
