"""NetCDF: names of axes, coordinates, units and missing values come with the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import FRAMES, as_netcdf4

from harness.data.formats import open_arrays
from harness.data.formats.netcdf import open_netcdf
from harness.errors import RequestError


def test_names_and_units_come_with_the_file(tmp_path: Path) -> None:
    array = open_arrays(as_netcdf4(tmp_path))[0]
    assert (array.dims, array.unit, array.variable) == (("time", "lat", "lon"), "mm/h", "rain")


def test_declared_missing_values_are_read_as_nan(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    values = FRAMES.astype(np.float32)
    values[4, 1, 2] = np.nan
    data = xarray.Dataset({"rain": (("time", "y", "x"), values)})
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding={"rain": {"_FillValue": -9999.0}})
    found = open_netcdf(tmp_path / "a.nc")
    assert found.declares_missing
    np.testing.assert_array_equal(found.read(slice(3, 6)), values[3:6])


def test_coordinates_and_the_projection_say_where_frames_lie(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    data = xarray.Dataset(
        {
            "rain": (("time", "y", "x"), FRAMES, {"grid_mapping": "crs"}),
            "crs": ((), 0, {"grid_mapping_name": "stereographic"}),
        },
        coords={"x": np.arange(16.0), "height": (("y", "x"), np.ones((12, 16)))},
    )
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    found = open_netcdf(tmp_path / "a.nc")
    assert found.coordinates["x"].tolist() == list(range(16))
    assert {"x", "height", "crs"} <= set(found.located)
    assert found.attributes["grid_mapping"] == "crs"


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    (tmp_path / "a.nc").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    with pytest.raises(RequestError, match=r"a\.nc cannot be opened") as caught:
        open_netcdf(tmp_path / "a.nc")
    assert "\n" not in str(caught.value)
