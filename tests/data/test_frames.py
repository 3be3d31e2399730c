"""Files of frames: their layout, told or recognised, and values that are out of range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.frames import open_frames
from harness.data.values import check_range
from harness.errors import RequestError


def frames(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_the_layout_of_the_canonical_test_file_is_recognised(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "mnist_test_seq.npy", "w+", np.uint8, (20, 10_000, 4, 4))
    array[3, 77] = 9
    array.flush()
    file = open_frames(tmp_path / "mnist_test_seq.npy")
    assert (file.sequences, file.frames) == (10_000, 20)
    np.testing.assert_array_equal(file.read([77])[0, :, 0, 0, 0] * 255, [0, 0, 0, 9] + [0] * 16)
    assert open_frames(tmp_path / "mnist_test_seq.npy", "NTHW").sequences == 20


def test_a_layout_can_be_told(tmp_path: Path) -> None:
    array = frames(5, 6, 4, 4)
    path = saved(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(open_frames(path, "TNHW").read([2])[0, :, 0] * 255, array[:, 2])
    np.testing.assert_array_equal(open_frames(path).read([2])[0, :, 0] * 255, array[2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.01, 1.01, 255.0])
@pytest.mark.parametrize("layout", ["NTHW", "TNHW"])
def test_a_value_out_of_range_is_named_with_its_sequence(tmp_path: Path, bad: float, layout: str) -> None:
    array = frames(6, 5, 4, 4) / np.float32(255)
    array[4, 3, 1, 2] = bad
    path = saved(tmp_path / "bad.npy", array if layout == "NTHW" else array.swapaxes(0, 1))
    file = open_frames(path, layout)
    file.read([0, 1])
    for act in (lambda: file.read([0, 4]), lambda: check_range(open_frames(path, layout), scaled=False, masked=False)):
        with pytest.raises(RequestError, match=r"bad\.npy: sequence 4 holds .*in \[0, 1\]"):
            act()


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"does not exist; give a \.npy"):
        open_frames(tmp_path / "none.npy")
    with pytest.raises(RequestError, match="is a folder without frames"):
        open_frames(tmp_path)
