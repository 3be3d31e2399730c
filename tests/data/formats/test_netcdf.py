"""NetCDF: names of axes, coordinates and units come with the frames."""

from __future__ import annotations

from pathlib import Path

from recordings import as_netcdf4

from harness.data.formats import open_arrays


def test_names_and_units_come_with_the_file(tmp_path: Path) -> None:
    array = open_arrays(as_netcdf4(tmp_path))[0]
    assert (array.dims, array.unit, array.variable) == (("time", "lat", "lon"), "mm/h", "rain")
