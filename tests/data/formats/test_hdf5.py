"""HDF5: a data set by its name or alone, and a corrupt chunk by its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import FRAMES, as_hdf5, several_variables

from harness.data.formats.hdf5 import open_hdf5
from harness.data.frames import open_frames
from harness.errors import RequestError


def test_a_variable_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = several_variables(tmp_path)
    assert open_frames(path, variable="snow").lengths == (30,)
    with pytest.raises(RequestError, match="no array 'hail'"):
        open_frames(path, variable="hail")


def test_a_corrupt_chunk_in_the_middle_is_named_and_the_rest_still_reads(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = as_hdf5(tmp_path)
    with h5py.File(path) as file:
        chunk = file["radar/rain"].id.get_chunk_info(3)
    with open(path, "r+b") as raw:
        raw.seek(chunk.byte_offset + 8)
        raw.write(b"\xff" * 16)
    found = open_frames(path)
    np.testing.assert_array_equal(found.window(0, slice(0, 12))[:, 0], FRAMES[:12])
    with pytest.raises(RequestError, match=r"a\.h5: \[12:13, 0:12, 0:16\] cannot be read"):
        found.window(0, slice(12, 16))


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(RequestError, match=r"needs h5py, .*pip install 'ablation-harness\[hdf5\]'"):
        open_frames(path)


def test_of_several_data_sets_one_is_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"holds the arrays: rain .*snow .*--set data\.variable=NAME"):
        open_hdf5(several_variables(tmp_path))


def test_a_file_that_was_cut_short_is_one_line(tmp_path: Path) -> None:
    path = as_hdf5(tmp_path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(RequestError, match=r"a\.h5 is no whole HDF5 file") as caught:
        open_hdf5(path)
    assert "\n" not in str(caught.value)


def test_names_of_axes_and_units_come_with_a_data_set(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        data = file.create_dataset("group/rain", data=FRAMES)
        data.attrs["units"] = np.bytes_(b"mm/h")
        for axis, name in enumerate(("time", "y", "x")):
            data.dims[axis].label = name
    found = open_hdf5(tmp_path / "b.h5")
    assert (found.variable, found.unit, found.dims) == ("group/rain", "mm/h", ("time", "y", "x"))
    np.testing.assert_array_equal(found.read(slice(3, 5)), FRAMES[3:5])
