"""Videos: any frame by its time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.frames import open_frames


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
