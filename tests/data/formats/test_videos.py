"""Videos: any frame by its time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.formats.videos import open_video
from harness.data.frames import open_frames
from harness.errors import RequestError


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


def test_parts_of_a_video_are_parts_of_its_frames_and_pixels(tmp_path: Path) -> None:
    array = open_video(video(tmp_path / "a.mp4", 12, step=20))
    assert (array.shape, array.dtype) == ((12, 16, 32, 3), np.uint8)
    part = array.read(slice(4, 7), slice(2, 5), slice(1, 3))
    assert part.shape == (3, 3, 2, 3)
    np.testing.assert_allclose(part.mean((1, 2, 3)), [80, 100, 120], atol=4)


def test_a_file_without_a_video_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(RequestError, match=r"a\.mp4 cannot be read as a video") as caught:
        open_video(tmp_path / "a.mp4")
    assert "\n" not in str(caught.value)
