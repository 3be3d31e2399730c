"""The setting for sequences of one's own: what it says of a file, and what it refuses before one is opened."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from harness.data import open_source
from harness.data.sequences import Frames
from harness.errors import RequestError


def test_a_file_without_a_path_is_refused() -> None:
    with pytest.raises(RequestError, match=r"--set data\.path=FILE"):
        open_source(Frames())


@pytest.mark.parametrize("split", [(0.8, 0.2), (0.5, 0.3, 0.3), (1.0,)])
def test_shares_are_three_that_add_up_to_1(split: tuple[float, ...]) -> None:
    with pytest.raises(RequestError, match=r"data\.split is .*; give three shares that add up to 1"):
        Frames(split=split)


def test_a_missing_value_is_nan_or_a_number() -> None:
    assert Frames().missing_value() is None
    assert Frames(missing="65535").missing_value() == 65535
    assert math.isnan(Frames(missing="nan").missing_value() or 0.0)
    with pytest.raises(RequestError, match=r"data\.missing is 'none'; give nan, or a number such as 65535"):
        Frames(missing="none")


def test_what_it_reads_of_a_file_is_what_its_settings_say(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", rain=np.zeros((40, 8, 9), np.uint8), snow=np.zeros((50, 8, 9), np.uint8))
    data = Frames(variable="snow", input_frames=3, horizon=2)
    assert data.total_frames == 5
    file = data.file(str(tmp_path / "a.npz"), "T H W", 3)
    assert (file.lengths, file.shape_CHW) == ((50,), (1, 8, 9))


def test_sequences_that_are_too_short_are_refused_when_the_file_is_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 6, 8, 8), np.uint8))
    with pytest.raises(RequestError, match="sequences of 6 frames"):
        Frames().file(str(tmp_path / "a.npy"), "N T H W", 3)
