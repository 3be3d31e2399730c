"""Folders of files of one frame each."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from recordings import as_a_netcdf_file_a_frame

from harness.data.frames import open_frames
from harness.data.windows import segments


def test_times_of_files_of_a_frame_each_tell_their_gaps(tmp_path: Path) -> None:
    file = open_frames(as_a_netcdf_file_a_frame(tmp_path))
    assert segments(file) == [[(0, 0, 4), (0, 4, 30)]]
    assert file.stored.coordinates["x"].tolist() == list(range(16))


def test_a_folder_of_more_frames_than_files_may_be_open(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(300):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["rain"] = np.full((12, 12), number, np.uint16)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        assert open_frames(tmp_path).window(0, slice(0, 300))[:, 0, 0, 0].tolist() == list(range(300))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
