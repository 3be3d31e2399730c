"""Moving MNIST as plain loops, one sequence, one frame and one digit at a time: what the vectorised generator must equal.

It is written the way the data sets of video-prediction frameworks (OpenSTL's, for one) go about it: numpy scalars for a
position, arrays for its path, a slice of a float canvas for every digit of every frame, a division, a stack of sequences.
It shares no code with the package.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Path = tuple[NDArray[np.int32], NDArray[np.int32]]


def trajectory(start: tuple[float, float], direction: tuple[float, float], frames: int, speed: float, free: int) -> Path:
    """Tops and lefts of one digit: step, put on the wall and turn, scale, truncate."""
    y, x = start
    v_y, v_x = direction
    start_y = np.zeros(frames)
    start_x = np.zeros(frames)
    for i in range(frames):
        y += v_y * speed
        x += v_x * speed
        if x <= 0:
            x = 0
            v_x = -v_x
        if x >= 1.0:
            x = 1.0
            v_x = -v_x
        if y <= 0:
            y = 0
            v_y = -v_y
        if y >= 1.0:
            y = 1.0
            v_y = -v_y
        start_y[i] = y
        start_x[i] = x
    return (free * start_y).astype(np.int32), (free * start_x).astype(np.int32)


def sequence(
    images: Sequence[NDArray[np.uint8]],
    paths: Sequence[Path],
    canvas: int,
    flip_horizontal: bool = False,
    flip_vertical: bool = False,
) -> NDArray[np.float32]:
    """Frames (T, 1, canvas, canvas), float32 in [0, 1]."""
    frames = np.zeros((len(paths[0][0]), canvas, canvas), dtype=np.float32)
    for image, (start_y, start_x) in zip(images, paths, strict=True):
        size = image.shape[0]
        for i in range(len(frames)):
            top, left = start_y[i], start_x[i]
            bottom, right = top + size, left + size
            frames[i, top:bottom, left:right] = np.maximum(frames[i, top:bottom, left:right], image)
    if flip_horizontal:
        frames = frames[:, :, ::-1]
    if flip_vertical:
        frames = frames[:, ::-1, :]
    return np.ascontiguousarray(frames[:, None] / np.float32(255))


def generate(
    images: NDArray[np.uint8], count: int, canvas: int, digits: int, frames: int, speed: float, rng: random.Random
) -> NDArray[np.float32]:
    """A batch (B, T, 1, canvas, canvas) with its own random numbers: the distribution, and the cost, of the plain loop."""
    batch = []
    for _ in range(count):
        chosen, paths = [], []
        for _ in range(digits):
            x, y = rng.random(), rng.random()
            theta = rng.random() * 2 * np.pi
            paths.append(trajectory((y, x), (np.sin(theta), np.cos(theta)), frames, speed, canvas - images.shape[1]))
            chosen.append(images[rng.randint(0, len(images) - 1)])
        batch.append(sequence(chosen, paths, canvas))
    return np.stack(batch)
