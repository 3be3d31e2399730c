"""Formats: the same frames whatever the file, read by parts, and one clear line for what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import (
    FRAMES,
    as_a_file_a_frame,
    as_a_netcdf_file_a_frame,
    as_fortran,
    as_hdf5,
    as_images,
    as_netcdf3,
    as_netcdf4,
    as_npy,
    as_zarr,
    as_zarr_group,
)

from harness.data import formats
from harness.data.frames import open_frames
from harness.errors import RequestError

MAKERS = (
    *(as_npy, as_fortran, as_hdf5, as_zarr, as_zarr_group, as_netcdf3, as_netcdf4, as_images),
    *(as_a_file_a_frame, as_a_netcdf_file_a_frame),
)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_format_gives_the_frames_that_were_written(make: Callable[[Path], Path], tmp_path: Path) -> None:
    file = open_frames(make(tmp_path))
    assert (file.lengths, file.shape_CHW) == ((30,), (1, 12, 16))
    np.testing.assert_array_equal(file.window(0, slice(7, 19))[:, 0], FRAMES[7:19])
    found = file.scan
    np.testing.assert_array_equal(found.low[0][:, 0], FRAMES.min((1, 2)))
    np.testing.assert_array_equal(found.high[0][:, 0], FRAMES.max((1, 2)))
    np.testing.assert_allclose(found.total[0][:, 0], FRAMES.sum((1, 2), dtype=float))


def zeros(folder: Path, shape: tuple[int, ...]) -> Path:
    np.save(folder / "zero.npy", np.zeros(shape, np.uint8))
    return folder / "zero.npy"


def mixed_kinds(folder: Path) -> Path:
    Image.new("L", (8, 6)).save(folder / "1.png")
    np.save(folder / "2.npy", FRAMES)
    return folder


def unequal_recordings(folder: Path) -> Path:
    np.save(folder / "1.npy", FRAMES)
    np.save(folder / "2.npy", FRAMES[:, :8])
    return folder


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: zeros(folder, (0, 12, 16)), "no axis empty"),
        (mixed_kinds, "mixes kinds of files"),
        (unequal_recordings, r"unequal size or type: 1\.npy has .*\(1, 12, 16\).*2\.npy \(1, 8, 16\)"),
        (lambda folder: folder, "folder without frames; give a .npy"),
    ],
)
def test_what_cannot_be_read_gets_one_line_that_names_it(make: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(RequestError, match=said) as caught:
        open_frames(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_pass_over_the_values_holds_a_part_of_the_file(dtype: type, tmp_path: Path) -> None:
    """As the first opening of a file of 50 GB must; docs/your-data.md has the figures of one."""
    import tracemalloc

    size = np.dtype(dtype).itemsize
    np.lib.format.open_memmap(tmp_path / "large.npy", "w+", dtype, (400 // size, 20, 256, 256)).flush()
    file = open_frames(tmp_path / "large.npy", "N T H W")
    assert file.stored.bytes == 500 << 20
    tracemalloc.start()
    assert [int(one.sum()) for one in file.scan.count] == [20 * 256 * 256] * (400 // size)
    file.read_stored(range(0, 400 // size, 40))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 250 << 20


def test_every_ending_has_a_reader() -> None:
    assert {".h5", ".nc", ".mp4"} <= set(formats._BY_ENDING)
