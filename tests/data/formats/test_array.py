"""Arrays of files: read by parts, and never half of one file and half of another."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recordings import FRAMES, as_npy

from harness.data.formats.array import Array, choose, stamp
from harness.data.frames import FrameFile, open_frames
from harness.errors import HarnessError, RequestError


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


def test_fifty_gigabytes_are_read_by_parts(tmp_path: Path) -> None:
    """Sparse on the disk; a map of it would count as the process's memory."""

    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (100_000, 20, 160, 160)).flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = open_frames(path)
    assert isinstance(file, FrameFile)
    assert file.stored.bytes == 51_200_000_000
    for index in range(0, 100_000, 500):
        file.window(index, slice(0, 20))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 100 << 20


def array_of(path: Path, fetch: Callable[[tuple[slice, ...]], np.ndarray]) -> Array:
    path.write_bytes(b"content")
    return Array(path, FRAMES.shape, FRAMES.dtype, fetch, (path,))


def test_a_part_is_asked_for_with_exact_slices(tmp_path: Path) -> None:
    asked: list[tuple[slice, ...]] = []

    def fetch(part: tuple[slice, ...]) -> np.ndarray:
        asked.append(part)
        return FRAMES[part]

    array = array_of(tmp_path / "a", fetch)
    np.testing.assert_array_equal(array.read(slice(25, 99), slice(None, -4)), FRAMES[25:, :-4])
    assert asked == [(slice(25, 30, 1), slice(0, 8, 1), slice(0, 16, 1))]
    assert array.bytes == 30 * 12 * 16


def test_the_first_index_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    def fetch(part: tuple[slice, ...]) -> np.ndarray:
        if part[0].start <= 13 < part[0].stop:
            raise OSError("bad\n checksum")
        return FRAMES[part]

    with pytest.raises(
        RequestError, match=r"a: \[13:14, 0:12, 0:16\] cannot be read \(bad checksum\); copy or make the file"
    ):
        array_of(tmp_path / "a", fetch).read(slice(2, 30))


def test_an_array_of_another_shape_than_the_files_is_refused(tmp_path: Path) -> None:
    array = array_of(tmp_path / "a", lambda part: FRAMES[part][..., :3])
    with pytest.raises(RequestError, match=r"\[0:2, 0:12, 0:16\] holds an array of shape \(2, 12, 3\), not \(2, 12, 16\)"):
        array.read(slice(0, 2))


def test_an_array_is_chosen_by_name_by_preference_or_because_it_alone_has_frames(tmp_path: Path) -> None:
    arrays = {"time": (30,), "rain": (30, 12, 16), "snow": (30, 12, 16)}
    assert choose(tmp_path, arrays, "snow") == "snow"
    assert choose(tmp_path, arrays, "", ("frames", "rain")) == "rain"
    assert choose(tmp_path, {"time": (30,), "rain": (30, 12, 16)}, "") == "rain"
    assert choose(tmp_path, {"flat": (30,)}, "") == "flat"
    with pytest.raises(RequestError, match=r"rain \(30, 12, 16\), snow \(30, 12, 16\), time \(30,\); name the one"):
        choose(tmp_path, arrays, "")


def test_a_stamp_tells_a_file_that_is_gone_from_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    gone, empty = stamp([tmp_path / "gone", tmp_path / "empty"])
    assert gone == (0, 0, 0) != empty
