"""One pass over all values of a file or folder of frames: its digest, and by frame what checks, scalings and counts are made from.

Letters of the shapes: R recordings, N sequences of an array, T frames, C channels, H and W pixels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.formats import Array
from harness.data.layout import Layout

_PART_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over the values found. Missing values (NaN, or `missing`) take no part.

    `low`, `high`, `total` and `count` are by recording, frame and channel, a list of float64 (T, C); `hashes` by recording and
    frame, 0 where axes of the file lie so that a frame is not read whole.
    """

    digest: str
    low: list[NDArray[np.float64]]
    high: list[NDArray[np.float64]]
    total: list[NDArray[np.float64]]
    count: list[NDArray[np.int64]]
    hashes: list[NDArray[np.uint64]]


def scan(arrays: Sequence[Array], layout: Layout, missing: float | None) -> Scan:
    """Reads everything once. Raises RequestError for a damaged file, HarnessError for one that changes meanwhile."""
    parts = [_scan(one, layout, missing) for one in arrays]
    digests = [one.digest for one in parts]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return Scan(
        digest,
        [item for one in parts for item in one.low],
        [item for one in parts for item in one.high],
        [item for one in parts for item in one.total],
        [item for one in parts for item in one.count],
        [item for one in parts for item in one.hashes],
    )


def _scan(array: Array, layout: Layout, missing: float | None) -> Scan:
    hashed = hashlib.sha256(f"{array.shape} {array.dtype.str}\n".encode())
    n, t, c, _, _ = layout.sizes(array.shape)
    low, high = np.full((n, t, c), np.inf), np.full((n, t, c), -np.inf)
    total, count, hashes = np.zeros((n, t, c)), np.zeros((n, t, c), np.int64), np.zeros((n, t), np.uint64)
    first = layout.letters[0]
    step = max(1, _PART_BYTES // max(1, array.bytes // array.shape[0]))
    for start in range(0, array.shape[0], step):
        stop = min(start + step, array.shape[0])
        part = np.ascontiguousarray(array.read(slice(start, stop)))
        hashed.update(part.reshape(-1).view(np.uint8).data)
        at = tuple(slice(start, stop) if letter == first else slice(None) for letter in "NTC")
        frames = layout.ordered(part)
        if first in "NT":
            hashes[at[:2]] = [[_hash(one) for one in several] for several in frames]
        known = _known(frames, missing)
        exact = np.int64 if frames.itemsize < 8 else np.float64
        if known is None:  # nothing can be missing: no copy is made
            lowest, highest = frames.min((-2, -1)), frames.max((-2, -1))
            sums, counts = frames.sum((-2, -1), dtype=exact), math.prod(frames.shape[-2:])
        else:
            lowest = np.where(known, frames, np.inf).min((-2, -1))
            highest = np.where(known, frames, -np.inf).max((-2, -1))
            sums, counts = np.where(known, frames, 0).sum((-2, -1), dtype=np.float64), known.sum((-2, -1))
        np.minimum(low[at], lowest, out=low[at])
        np.maximum(high[at], highest, out=high[at])
        total[at] += sums
        count[at] += counts
    return Scan(hashed.hexdigest(), list(low), list(high), list(total), list(count), list(hashes))


def _known(frames: NDArray[Any], missing: float | None) -> NDArray[np.bool_] | None:
    """Where values are known; None where all are, as of integers without a missing value."""
    if frames.dtype.kind != "f" and missing is None:
        return None
    known: NDArray[np.bool_] = ~np.isnan(frames)
    if missing is not None:
        known &= frames != missing
    return known


def _hash(frame: NDArray[Any]) -> int:
    content = np.ascontiguousarray(frame).reshape(-1).view(np.uint8).data
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
