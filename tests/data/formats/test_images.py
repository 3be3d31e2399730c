"""Folders of images: recordings in the order of their names, of one size and type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data.formats.images import open_images
from harness.data.frames import open_frames
from harness.errors import RequestError


def test_a_folder_of_folders_is_several_recordings(tmp_path: Path) -> None:
    for name, count in (("b", 4), ("a", 6)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.new("RGB", (8, 6), (number, 0, ord(name))).save(tmp_path / name / f"{number}.png")
    file = open_frames(tmp_path)
    assert (file.lengths, file.shape_CHW) == ((6, 4), (3, 6, 8))
    assert file.window(1, slice(2, 3))[0, :, 0, 0].tolist() == [2, 0, ord("b")]


@pytest.mark.parametrize(
    ("mode", "size", "said"),
    [("L", (8, 7), r"1\.png is 6x8 L, 2\.png is 7x8 L; give frames of one size"), ("RGB", (8, 6), r"2\.png is 6x8 RGB")],
    ids=["size", "type"],
)
def test_images_of_unequal_size_or_type_are_refused(mode: str, size: tuple[int, int], said: str, tmp_path: Path) -> None:
    Image.new("L", (8, 6)).save(tmp_path / "1.png")
    Image.new(mode, size).save(tmp_path / "2.png")
    with pytest.raises(RequestError, match=rf"holds images of unequal size or type: .*{said}"):
        open_images(tmp_path, [tmp_path / "1.png", tmp_path / "2.png"])


def test_images_lie_in_the_order_of_the_numbers_in_their_names_and_are_read_by_parts(tmp_path: Path) -> None:
    paths = [tmp_path / f"frame{number}.png" for number in (10, 9, 1)]
    for number, path in zip((10, 9, 1), paths, strict=True):
        Image.fromarray(np.full((6, 8), 20 * number, np.uint8)).save(path)
    array = open_images(tmp_path, paths)
    assert (array.shape, array.dims) == ((3, 6, 8, 1), ("T", "H", "W", "C"))
    assert [path.name for path in array.files] == ["frame1.png", "frame9.png", "frame10.png"]
    part = array.read(slice(1, 3), slice(0, 2))
    assert part.shape == (2, 2, 8, 1)
    assert part[:, 0, 0, 0].tolist() == [180, 200]


@pytest.mark.parametrize(
    ("mode", "dtype", "value"), [("I;16", np.uint16, 40_000), ("F", np.float32, 0.5), ("1", np.uint8, 255)]
)
def test_greys_of_other_depths_keep_their_values(mode: str, dtype: type, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new(mode, (8, 6), value).save(path)
    found = open_images(tmp_path, [path])
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.read(), np.full((1, 6, 8, 1), value, dtype))


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"hello")
    with pytest.raises(RequestError, match=r"a\.png cannot be read as an image"):
        open_images(tmp_path, [tmp_path / "a.png"])
