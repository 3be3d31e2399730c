"""Video files through PyAV: any frame is found by its time, from the key frame before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.array import Array, Part, extra
from harness.errors import RequestError

ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")


def open_video(path: Path) -> Array:
    """The first video stream as (T, H, W, 3), uint8 RGB. Raises RequestError for a file without frames."""
    av = extra("av", "video", path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError("it holds none")
            stream = container.streams.video[0]
            height, width = stream.height, stream.width
            times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
    except Exception as error:  # FFmpeg has an error for each of its codes; a file without a video has none
        raise RequestError(
            f"{path} cannot be read as a video ({' '.join(str(error).split())[:120]}); give another file"
        ) from None
    if not times or not height or not width:
        raise RequestError(f"{path} is a video of {len(times)} frames of {height}x{width}; give one with frames")

    def fetch(part: Part) -> NDArray[Any]:
        first, last = part[0].start, part[0].stop
        found: list[NDArray[Any]] = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            container.seek(times[first], stream=stream, backward=True)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts >= times[first]:
                    found.append(frame.to_ndarray(format="rgb24"))
                if len(found) == last - first:
                    break
        if len(found) < last - first:
            raise RequestError(
                f"{path}: only {first + len(found)} of {len(times)} frames can be decoded; make the video again"
            )
        return np.stack(found)[:, part[1], part[2], part[3]] if found else np.empty((0, height, width, 3), np.uint8)

    return Array(path, (len(times), height, width, 3), np.dtype(np.uint8), fetch, (path,), dims=("T", "H", "W", "C"))
