"""Formats: the same frames whatever the file, read by parts, and one clear line for what cannot be read."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data import formats
from harness.data.formats import open_arrays
from harness.data.frames import FrameFile, open_frames
from harness.data.windows import segments
from harness.errors import HarnessError, RequestError

FRAMES = np.random.default_rng(0).integers(0, 256, (30, 12, 16), dtype=np.uint8)
"""A recording (T, H, W)."""


def as_hdf5(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("radar/rain", data=FRAMES, chunks=(4, 12, 16), compression="gzip")
        file["station"] = np.arange(3)
    return folder / "a.h5"


def as_zarr(folder: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    zarr.create_array(folder / "a.zarr", data=FRAMES, chunks=(4, 12, 16))
    return folder / "a.zarr"


def as_zarr_group(folder: Path) -> Path:
    _dataset().to_zarr(folder / "b.zarr", consolidated=False)
    return folder / "b.zarr"


def _dataset() -> object:
    xarray = pytest.importorskip("xarray")
    return xarray.Dataset({"rain": (("time", "lat", "lon"), FRAMES, {"units": "mm/h"})})


def as_netcdf4(folder: Path) -> Path:
    _dataset().to_netcdf(folder / "a.nc", engine="h5netcdf")  # type: ignore[attr-defined]
    return folder / "a.nc"


def as_netcdf3(folder: Path) -> Path:
    xarray = pytest.importorskip("xarray")
    xarray.Dataset({"rain": (("time", "y", "x"), FRAMES.astype(np.int16))}).to_netcdf(folder / "b.nc", engine="scipy")
    return folder / "b.nc"


def as_images(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    for number, frame in enumerate(FRAMES):  # frame10 sorts after frame9
        Image.fromarray(frame).save(folder / "pictures" / f"frame{number}.png")
    return folder / "pictures"


def as_npy(folder: Path) -> Path:
    np.save(folder / "a.npy", FRAMES)
    return folder / "a.npy"


def as_fortran(folder: Path) -> Path:
    np.save(folder / "f.npy", np.asfortranarray(FRAMES))
    return folder / "f.npy"


def as_a_file_a_frame(folder: Path) -> Path:
    for number, frame in enumerate(FRAMES):
        np.save(made(folder, "npy") / f"frame{number}.npy", frame)
    return folder / "npy"


def as_a_netcdf_file_a_frame(folder: Path) -> Path:
    """As archives of radars and satellites: each with its time, the fourth two minutes late."""
    xarray = pytest.importorskip("xarray")
    for number, frame in enumerate(FRAMES):
        time = np.datetime64("2020-01-01", "ns") + np.timedelta64(5 * number + (12 if number > 3 else 0), "m")
        one = xarray.DataArray(
            frame[None], dims=("time", "y", "x"), coords={"time": [time], "x": np.arange(16.0)}, name="rain"
        )
        one.to_netcdf(made(folder, "nc") / f"frame{number}.nc", engine="h5netcdf")
    return folder / "nc"


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


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


def test_names_and_units_come_with_the_file(tmp_path: Path) -> None:
    array = open_arrays(as_netcdf4(tmp_path))[0]
    assert (array.dims, array.unit, array.variable) == (("time", "lat", "lon"), "mm/h", "rain")


def video(path: Path, frames: int, codec: str = "mpeg4", step: int = 7) -> Path:
    """A video whose every frame is of one grey, which names it."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for number in range(frames):
            picture = np.full((16, 32, 3), number * step, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_any_frame_of_a_video_is_found_by_its_time(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        video(tmp_path / name, 30)
    file = open_frames(tmp_path)
    assert (file.lengths, file.shape_CHW, str(file.layout)) == ((30, 30, 30), (3, 16, 32), "T H W C")
    for start, stop in ((0, 3), (13, 20), (28, 30)):
        greys = file.window(1, slice(start, stop)).mean((1, 2, 3))
        np.testing.assert_allclose(greys, np.arange(start, stop) * 7, atol=4)


def test_a_folder_of_folders_is_several_recordings(tmp_path: Path) -> None:
    for name, count in (("b", 4), ("a", 6)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.new("RGB", (8, 6), (number, 0, ord(name))).save(tmp_path / name / f"{number}.png")
    file = open_frames(tmp_path)
    assert (file.lengths, file.shape_CHW) == ((6, 4), (3, 6, 8))
    assert file.window(1, slice(2, 3))[0, :, 0, 0].tolist() == [2, 0, ord("b")]


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


def zeros(folder: Path, shape: tuple[int, ...]) -> Path:
    np.save(folder / "zero.npy", np.zeros(shape, np.uint8))
    return folder / "zero.npy"


def unequal_images(folder: Path) -> Path:
    Image.new("L", (8, 6)).save(folder / "1.png")
    Image.new("L", (8, 7)).save(folder / "2.png")
    return folder


def mixed_types(folder: Path) -> Path:
    Image.new("L", (8, 6)).save(folder / "1.png")
    Image.new("RGB", (8, 6)).save(folder / "2.png")
    return folder


def mixed_kinds(folder: Path) -> Path:
    Image.new("L", (8, 6)).save(folder / "1.png")
    np.save(folder / "2.npy", FRAMES)
    return folder


def unequal_recordings(folder: Path) -> Path:
    np.save(folder / "1.npy", FRAMES)
    np.save(folder / "2.npy", FRAMES[:, :8])
    return folder


def empty_video(folder: Path) -> Path:
    pytest.importorskip("av")
    (folder / "a.mp4").write_bytes(b"")
    return folder / "a.mp4"


def no_whole_hdf5(folder: Path) -> Path:
    path = as_hdf5(folder)
    path.write_bytes(path.read_bytes()[:700])
    return path


def several_variables(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file["rain"] = file["snow"] = FRAMES
    return folder / "a.h5"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: zeros(folder, (0, 12, 16)), "no axis empty"),
        (unequal_images, r"unequal size or type: 1\.png is 6x8 L, 2\.png is 7x8 L"),
        (mixed_types, r"1\.png is 6x8 L, 2\.png is 6x8 RGB"),
        (mixed_kinds, "mixes kinds of files"),
        (unequal_recordings, r"unequal size or type: 1\.npy has .*\(1, 12, 16\).*2\.npy \(1, 8, 16\)"),
        (empty_video, "cannot be read as a video"),
        (no_whole_hdf5, "no whole HDF5 file"),
        (several_variables, r"holds the arrays: rain .*snow .*--set data\.variable=NAME"),
        (lambda folder: folder, "folder without frames; give a .npy"),
    ],
)
def test_what_cannot_be_read_gets_one_line_that_names_it(make: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(RequestError, match=said) as caught:
        open_frames(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


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


@pytest.mark.parametrize("change", ["truncate", "append", "edit", "replace", "remove"])
def test_a_file_that_changes_while_it_is_read_ends_in_an_error(change: str, tmp_path: Path) -> None:
    path = as_npy(tmp_path)
    file = open_frames(path)
    file.window(0, slice(0, 2))
    content = path.read_bytes()
    if change == "remove":
        path.unlink()
    elif change == "replace":
        (tmp_path / "other.npy").write_bytes(content)
        (tmp_path / "other.npy").replace(path)
    else:
        path.write_bytes({"truncate": content[:1000], "append": content + b"x", "edit": content[:-1] + b"x"}[change])
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    with pytest.raises(HarnessError, match="changed while it was in use"):
        file.window(0, slice(0, 2))


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(RequestError, match=r"needs h5py, .*pip install 'ablation-harness\[hdf5\]'"):
        open_frames(path)


def test_fifty_gigabytes_are_read_by_parts(tmp_path: Path) -> None:
    """Sparse on the disk; a map of it would count as the process's memory."""
    import resource

    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (100_000, 20, 160, 160)).flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = open_frames(path)
    assert isinstance(file, FrameFile)
    assert file.stored.bytes == 51_200_000_000
    for index in range(0, 100_000, 500):
        file.window(index, slice(0, 20))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 100 << 20


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
