"""A folder of files of one frame each, as archives of radars and satellites are: one recording, in the order of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats.array import Array, Part
from harness.data.layout import NAMES_OF_AXES
from harness.errors import RequestError

_OPEN = 128
"""Files that are kept open at once; a folder may hold more than a process may open."""


def holds_a_frame(array: Array) -> bool:
    """Whether an array is (H, W), or has a first axis of length 1 that is named as time is."""
    return len(array.shape) == 2 or (array.shape[:1] == (1,) and _letter(array.dims[:1]) == "T")


def stacked(folder: Path, files: Sequence[Path], open_one: Callable[[Path], Array]) -> Array:
    """The files' frames along an axis of time. Raises RequestError when they are not of one size and type."""
    first = open_one(files[0])
    flat = len(first.shape) == 2
    times = []
    for path in files:
        one = open_one(path)
        if (one.shape, one.dtype, one.dims) != (first.shape, first.dtype, first.dims):
            raise RequestError(
                f"{folder} holds frames of unequal size or type: {files[0].name} is {first.shape} of {first.dtype}, {path.name} "
                f"is {one.shape} of {one.dtype}; give files of one size and type"
            )
        times.append(_time(one))
    opened = lru_cache(_OPEN)(open_one)

    def fetch(part: Part) -> NDArray[Any]:
        rest = part[1:] if flat else (slice(0, 1), *part[1:])
        frames = [opened(path).read(*rest) for path in files[part[0]]]
        return np.stack(frames) if flat else np.concatenate(frames)

    time = "time" if flat else first.dims[0]
    coordinates: Mapping[str, NDArray[Any]] = {name: one for name, one in first.coordinates.items() if name != time}
    if all(len(one) == 1 for one in times):
        coordinates = {**coordinates, time: np.concatenate(times)}
    return Array(
        folder,
        (len(files), *(first.shape if flat else first.shape[1:])),
        first.dtype,
        fetch,
        tuple(files),
        dims=(time, *(first.dims if flat else first.dims[1:])) if first.dims else (),
        coordinates=coordinates,
        unit=first.unit,
        variable=first.variable,
        attributes=first.attributes,
        located={name: one for name, one in first.located.items() if _letter([name]) != "T"},
        declares_missing=first.declares_missing,
    )


def _letter(names: Sequence[str]) -> str:
    return NAMES_OF_AXES.get(names[0].lower(), "") if names else ""


def _time(array: Array) -> NDArray[Any]:
    """When the frame is, one value; none where the file does not say it by a coordinate."""
    for name, one in array.located.items():
        if _letter([name]) == "T" and one.size == 1:
            return np.atleast_1d(np.asarray(one.values))
    return np.empty(0)
