"""A large file is read whole once; what was found is believed only of the very files that were read."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.data import remembered
from harness.data import scan as scanning
from harness.data.frames import open_frames
from harness.errors import HarnessError

VALUES = np.random.default_rng(0).random((40, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The arrays that were read whole, in a cache of the test's own, for which no file is too small or too new."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "SMALL", 0)
    monkeypatch.setattr(remembered, "SETTLED", -60.0)
    seen: list[Path] = []
    whole = scanning.scan

    def counted(arrays, layout, missing):  # type: ignore[no-untyped-def]
        seen.extend(one.path for one in arrays)
        return whole(arrays, layout, missing)

    monkeypatch.setattr(scanning, "scan", counted)
    return seen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    content = VALUES.copy()
    content[7, 1, 2, 3] = np.nan
    np.save(tmp_path / "a.npy", content)
    return tmp_path / "a.npy"


def test_the_second_opening_reads_nothing_and_knows_the_same(path: Path, passes: list[Path]) -> None:
    first, second = open_frames(path, "T C H W").scan, open_frames(path, "T C H W").scan
    assert passes == [path]
    assert first is not second
    assert first.digest == second.digest
    for name in ("low", "high", "total", "count", "hashes"):
        for a, b in zip(getattr(first, name), getattr(second, name), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
    np.testing.assert_array_equal(second.low[0][:7], VALUES[:7].min((-2, -1)))
    assert int(second.count[0].sum()) == VALUES.size - 1


def test_another_reading_of_the_file_is_found_by_itself(path: Path, passes: list[Path]) -> None:
    low = float(np.nanmin(np.load(path)))
    by_frame = open_frames(path, "T C H W").scan
    assert open_frames(path, "N T H W").scan.low[0].shape == (3, 1)
    without = open_frames(path, "T C H W", missing=low).scan
    assert int(without.count[0].sum()) == int(by_frame.count[0].sum()) - 1
    assert len(passes) == 3


def edit(path: Path) -> None:
    """In place, with the same size, and the time of change set back."""
    state = path.stat()
    with open(path, "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(np.float32(0.5).tobytes())
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def swap(path: Path) -> None:
    """For a file of the same size and time of change."""
    other = path.with_name("other.npy")
    np.save(other, VALUES[::-1])
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def append(path: Path) -> None:
    np.save(path, np.concatenate((VALUES, VALUES[:4])))


@pytest.mark.parametrize("change", [edit, swap, append])
def test_a_file_that_is_edited_or_swapped_is_read_again(
    change: Callable[[Path], None], path: Path, passes: list[Path], tmp_path: Path
) -> None:
    before = open_frames(path, "T C H W").digest
    time.sleep(0.05)  # a tick of the file system's clock
    change(path)
    after = open_frames(path, "T C H W").digest
    assert passes == [path, path]
    shutil.copy(path, tmp_path / "copy.npy")
    assert after == open_frames(tmp_path / "copy.npy", "T C H W").digest != before


def test_one_changed_recording_of_a_folder_is_noticed(tmp_path: Path, passes: list[Path]) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"{number}.npy", VALUES[number * 10 : number * 10 + 12 + number, 0])
    first = open_frames(folder)
    second = open_frames(folder)
    assert first.digest == second.digest
    assert [len(one) for one in second.scan.low] == [12, 13, 14]
    assert len(passes) == 3
    time.sleep(0.05)
    np.save(folder / "1.npy", VALUES[:13, 1])
    assert open_frames(folder).digest != first.digest
    assert len(passes) == 6


def test_what_changed_within_the_last_minute_or_during_the_pass_is_not_kept(
    path: Path, passes: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(remembered, "SETTLED", 60.0)
        assert open_frames(path, "T C H W").digest == open_frames(path, "T C H W").digest
    assert passes == [path, path]
    counted = scanning.scan

    def changing(arrays, layout, missing):  # type: ignore[no-untyped-def]
        time.sleep(0.05)
        edit(path)
        return counted(arrays, layout, missing)

    monkeypatch.setattr(scanning, "scan", changing)
    during = open_frames(path, "T C H W").digest
    monkeypatch.setattr(scanning, "scan", counted)
    assert open_frames(path, "T C H W").digest == during
    assert passes == [path] * 4, "read again, for what was read first may have been half of each"


def test_a_file_that_changed_since_it_was_opened_is_not_answered_from_memory(path: Path, passes: list[Path]) -> None:
    opened, _ = open_frames(path, "T C H W"), open_frames(path, "T C H W").scan
    time.sleep(0.05)
    append(path)
    with pytest.raises(HarnessError, match="changed while it was in use"):
        _ = opened.scan


def test_a_damaged_memory_is_made_again(path: Path, passes: list[Path], tmp_path: Path) -> None:
    digest = open_frames(path, "T C H W").digest
    (kept,) = (tmp_path / "cache").rglob("*.npz")
    whole = kept.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:400] + bytes(8) + whole[408:]):
        kept.write_bytes(damaged)
        assert open_frames(path, "T C H W").digest == digest
    assert len(passes) == 4
    assert open_frames(path, "T C H W").digest == digest
    assert len(passes) == 4
