"""Folders of images: recordings in the order of their names."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from harness.data.frames import open_frames


def test_a_folder_of_folders_is_several_recordings(tmp_path: Path) -> None:
    for name, count in (("b", 4), ("a", 6)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.new("RGB", (8, 6), (number, 0, ord(name))).save(tmp_path / name / f"{number}.png")
    file = open_frames(tmp_path)
    assert (file.lengths, file.shape_CHW) == ((6, 4), (3, 6, 8))
    assert file.window(1, slice(2, 3))[0, :, 0, 0].tolist() == [2, 0, ord("b")]
