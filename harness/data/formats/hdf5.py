"""HDF5 files (`.h5`, `.hdf5`) through h5py. Groups are searched; chunks are unpacked as they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.data.formats.array import Array, choose, extra
from harness.errors import RequestError


def open_hdf5(path: Path, variable: str = "") -> Array:
    """The data set `variable` ('group/name'), else the only one with frames. Raises RequestError."""
    h5py = extra("h5py", "hdf5", path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise RequestError(f"{path} is no whole HDF5 file ({str(error)[:120]}); copy or make it again") from None
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(visit)
    data = found[choose(path, {name: one.shape or () for name, one in found.items()}, variable)]
    dims = tuple(str(one.label) for one in data.dims)
    unit = data.attrs.get("units", "")
    unit = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
    return Array(
        path,
        tuple(data.shape),
        data.dtype,
        lambda part: data[part],
        (path,),
        dims=dims if all(dims) else (),
        unit=unit,
        variable=str(data.name).lstrip("/"),
    )
