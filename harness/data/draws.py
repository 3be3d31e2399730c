"""Random numbers of the host: each draw has a generator of its own."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, purpose: str, step: int) -> np.random.Generator:
    """Random numbers that depend on (seed, purpose, step) alone, so that step 1000 can be drawn without the first 999.

    `seed` and `step` are not negative; `purpose` is any text ('train', 'test').
    """
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(word, step))))
