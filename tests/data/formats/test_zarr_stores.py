"""Zarr: an array with its names and units, a group by the name of its array, and a damaged store in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from recordings import FRAMES, as_zarr, as_zarr_group

from harness.data.formats.zarr_stores import is_zarr, open_zarr
from harness.errors import RequestError

zarr = pytest.importorskip("zarr")


def test_a_store_is_told_from_another_folder(tmp_path: Path) -> None:
    assert is_zarr(as_zarr(tmp_path))
    (tmp_path / "pictures").mkdir()
    assert not is_zarr(tmp_path / "pictures")
    assert not is_zarr(tmp_path / "nowhere")
    for name in (".zarray", ".zgroup", ".zmetadata"):  # of the format's second version
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("{}")
        assert is_zarr(tmp_path / name)


def test_an_array_is_read_by_parts_with_its_axes_and_unit(tmp_path: Path) -> None:
    made = zarr.create_array(
        tmp_path / "a.zarr",
        data=FRAMES,
        chunks=(4, 12, 16),
        dimension_names=("time", "y", "x"),
        attributes={"units": "mm/h"},
    )
    assert made.shape == FRAMES.shape
    found = open_zarr(tmp_path / "a.zarr")
    assert (found.shape, found.dtype, found.dims, found.unit) == ((30, 12, 16), np.uint8, ("time", "y", "x"), "mm/h")
    np.testing.assert_array_equal(found.read(slice(3, 9), slice(0, 2)), FRAMES[3:9, :2])
    assert len(found.files) > 2, "a chunk that changes is noticed"


def group(folder: Path) -> Path:
    """A group whose arrays have no names of axes."""
    made = zarr.open_group(folder / "g.zarr", mode="w")
    for name in ("rain", "snow"):
        made.create_array(name, data=FRAMES if name == "rain" else 255 - FRAMES)
    return folder / "g.zarr"


def test_an_array_of_a_group_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = group(tmp_path)
    np.testing.assert_array_equal(open_zarr(path, "snow").read(), 255 - FRAMES)
    with pytest.raises(RequestError, match=r"holds the arrays: rain \(30, 12, 16\), snow .*--set data\.variable=NAME"):
        open_zarr(path)
    with pytest.raises(RequestError, match="no array 'hail'"):
        open_zarr(path, "hail")


def test_a_group_with_names_of_axes_is_read_by_xarray(tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    found = open_zarr(as_zarr_group(tmp_path))
    assert (found.variable, found.dims, found.unit) == ("rain", ("time", "lat", "lon"), "mm/h")


def test_a_damaged_store_is_one_line(tmp_path: Path) -> None:
    path = as_zarr(tmp_path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(RequestError, match=r"a\.zarr is no whole Zarr store") as caught:
        open_zarr(path)
    assert "\n" not in str(caught.value)


def test_without_the_library_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_zarr(tmp_path)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(RequestError, match=r"needs zarr, .*pip install 'ablation-harness\[zarr\]'"):
        open_zarr(path)
