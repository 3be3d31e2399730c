"""Forecasts as files: coordinates continue the input's, nothing of others is overwritten, a file is whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from radar import by_hand, runs


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_coordinates_go_on_and_an_ensemble_has_a_spread(made: Path, ending: str, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    out = tmp_path / f"f.{ending}"
    words = ("--input", made / "radar.nc", "--ensemble", ",".join(runs(made)), "--out", out, "--store", made / "s")
    answer = harness("forecast", *words)
    assert answer.code == 0, answer.err
    options = {"consolidated": False} if ending == "zarr" else {}
    with xarray.open_dataset(out, engine={"nc": "h5netcdf", "zarr": "zarr"}[ending], **options) as found:
        assert found["rain"].dims == ("time", "lat", "lon")
        assert found["rain"].attrs["units"] == "mm/h"
        times = np.datetime64("2020-01-01", "ns") + np.arange(200, 203) * np.timedelta64(5, "m")
        np.testing.assert_array_equal(found["time"].values, times)
        np.testing.assert_allclose(found["lon"].values, np.linspace(5, 6, 22))
        both = np.stack([by_hand(made, one, 3) for one in runs(made)])
        np.testing.assert_allclose(found["rain"].values, both.mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["spread"].values, both.std(0, ddof=1), rtol=1e-3, atol=1e-3)


def test_what_the_input_says_of_its_place_is_in_the_forecast(made: Path, harness: Command, tmp_path: Path) -> None:
    """A projection, coordinates on the grid, names and units of coordinates: what a map is drawn by."""
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(made / "radar.nc", engine="h5netcdf") as data:
        last = data.isel(time=slice(-6, None)).load()
    last["rain"].attrs |= {"grid_mapping": "crs", "standard_name": "rainfall_rate"}
    last["lat"].attrs["units"] = "degrees_north"
    last["crs"] = ((), 0, {"grid_mapping_name": "latitude_longitude"})
    height = np.arange(18.0 * 22).reshape(18, 22)
    last.assign_coords(height=(("lat", "lon"), height)).to_netcdf(tmp_path / "last.nc", engine="h5netcdf")
    words = ("--input", tmp_path / "last.nc", "--out", tmp_path / "f.nc", "--store", made / "s")
    answer = harness("forecast", runs(made)[0], *words)
    assert answer.code == 0, answer.err
    assert "a gap" not in answer.err
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as found:
        assert found["lat"].attrs["units"] == "degrees_north"
        assert found["rain"].attrs["standard_name"] == "rainfall_rate"
        assert found["crs"].attrs["grid_mapping_name"] == "latitude_longitude"
        np.testing.assert_array_equal(found["rain"].coords["height"].values, height)


def test_an_input_is_never_overwritten(made: Path, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(made / "radar.nc", engine="h5netcdf") as data:
        data.isel(time=slice(-6, None)).to_zarr(tmp_path / "last.zarr", consolidated=False)
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.tex").write_text("all of it")
    words = ("forecast", runs(made)[0], "--input", tmp_path / "last.zarr", "--store", made / "s")
    for out, said in (("last.zarr", "is the input, which would be lost"), ("mine.zarr", "is a folder")):
        answer = harness(*words, "--out", tmp_path / out)
        assert (answer.code, said in answer.err) == (2, True)
    assert (tmp_path / "mine.zarr" / "thesis.tex").read_text() == "all of it"
    for _ in range(2):  # an older forecast may be written again
        assert harness(*words, "--out", tmp_path / "f.zarr").code == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["f.zarr", "last.zarr", "mine.zarr"]


@pytest.mark.parametrize("ending", ["nc", "npy", "zarr"])
def test_a_forecast_is_written_whole_or_not_at_all(
    made: Path, ending: str, harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xarray")
    words = ("forecast", runs(made)[0], "--store", made / "s", "--input", made / "radar.nc")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    answer = harness(*words, "--out", tmp_path / f"f.{ending}")
    assert (answer.code, "No space left on device; free space" in answer.err) == (1, True)
    assert not list(tmp_path.iterdir())


def test_the_recordings_of_a_folder_are_named(made: Path, harness: Command, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    (tmp_path / "several").mkdir()
    for number in (10, 9):
        np.save(tmp_path / "several" / f"storm{number}.npy", np.load(made / "last.npy")[-number:])
    words = ("--input", tmp_path / "several", "--out", tmp_path / "f.nc", "--store", made / "s")
    answer = harness("forecast", runs(made)[0], *words)
    assert answer.code == 0, answer.err
    with xarray.open_dataset(tmp_path / "f.nc", engine="h5netcdf") as found:
        assert found["sequence"].values.tolist() == ["storm9.npy", "storm10.npy"]
