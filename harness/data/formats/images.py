"""A folder of image sequences: one folder a recording, or one recording of images side by side. Read with Pillow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.array import Array, Part
from harness.errors import RequestError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
_GREY = {"L": np.uint8, "1": np.uint8, "I;16": np.uint16, "I": np.int32, "F": np.float32}


def natural(path: Path) -> list[Any]:
    """Sorts frame2 before frame10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def open_images(folder: Path, files: list[Path]) -> Array:
    """One recording (T, H, W, C) of images in the natural order of their names. Raises RequestError for unequal sizes or types."""
    from PIL import Image

    ordered = sorted(files, key=natural)
    kinds: dict[tuple[Any, ...], Path] = {}
    for path in ordered:
        try:
            with Image.open(path) as image:  # the header alone
                kind = (image.height, image.width, image.mode if image.mode in _GREY else "RGB")
        except Exception as error:  # each format of Pillow raises what it likes for damaged headers
            raise RequestError(
                f"{path} cannot be read as an image ({str(error)[:120]}); remove it or make it again"
            ) from None
        kinds.setdefault(kind, path)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise RequestError(
            f"{folder} holds images of unequal size or type: {first.name} is {one[0]}x{one[1]} {one[2]}, "
            f"{second.name} is {other[0]}x{other[1]} {other[2]}; give frames of one size and type"
        )
    (height, width, mode), _ = kinds.popitem()
    channels, dtype = (1, np.dtype(_GREY[mode])) if mode in _GREY else (3, np.dtype(np.uint8))

    def fetch(part: Part) -> NDArray[Any]:
        found = np.empty((part[0].stop - part[0].start, height, width, channels), dtype)
        for at, path in enumerate(ordered[part[0]]):
            with Image.open(path) as image:
                pixels = image if image.mode in _GREY else image.convert("RGB")
                found[at] = np.asarray(pixels.convert("L") if pixels.mode == "1" else pixels).reshape(
                    height, width, channels
                )
        return found[:, part[1], part[2], part[3]]

    return Array(folder, (len(ordered), height, width, channels), dtype, fetch, tuple(ordered), dims=("T", "H", "W", "C"))
