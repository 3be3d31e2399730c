"""Moving MNIST as plain loops, one sequence, one frame and one digit at a time: what the vectorised generator must equal.

It shares no code with the package, and stays as plain as the description of the data set.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pair = tuple[float, float]


def trajectory(start: Pair, direction: Pair, frames: int, speed: float, free: int) -> list[tuple[int, int]]:
    """Top-left corners (y, x): step, put on the wall and turn, scale, truncate."""
    y, x = start
    v_y, v_x = direction
    corners = []
    for _ in range(frames):
        y += v_y * speed
        x += v_x * speed
        if y <= 0:
            y, v_y = 0.0, -v_y
        if y >= 1:
            y, v_y = 1.0, -v_y
        if x <= 0:
            x, v_x = 0.0, -v_x
        if x >= 1:
            x, v_x = 1.0, -v_x
        corners.append((int(free * y), int(free * x)))
    return corners


def sequence(
    images: Sequence[NDArray[np.uint8]],
    paths: Sequence[Sequence[tuple[int, int]]],
    canvas: int,
    flip_horizontal: bool = False,
    flip_vertical: bool = False,
) -> NDArray[np.float32]:
    """Frames (T, 1, canvas, canvas), float32 in [0, 1]."""
    frames = np.zeros((len(paths[0]), canvas, canvas), dtype=np.float32)
    for image, path in zip(images, paths, strict=True):
        size = image.shape[0]
        for t, (top, left) in enumerate(path):
            window = frames[t, top : top + size, left : left + size]
            frames[t, top : top + size, left : left + size] = np.maximum(window, image)
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
            y, x, angle = rng.random(), rng.random(), rng.random() * 2 * math.pi
            direction = (math.sin(angle), math.cos(angle))
            paths.append(trajectory((y, x), direction, frames, speed, canvas - images.shape[1]))
            chosen.append(images[rng.randint(0, len(images) - 1)])
        batch.append(sequence(chosen, paths, canvas))
    return np.stack(batch)
