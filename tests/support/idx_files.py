"""Digits of noise as IDX files."""

from __future__ import annotations

import struct

import numpy as np

TRAIN, TEST = "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
