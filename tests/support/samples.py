"""Values by seed, for tests of statistics."""

from __future__ import annotations

import itertools
import math

import numpy as np


def sample(n: int, mean: float = 0.8, sd: float = 0.01, seed: int = 0) -> dict[int, float]:
    return dict(enumerate(np.random.default_rng(seed).normal(mean, sd, n).tolist()))


def shifted(values: dict[int, float], by: float, sd: float, seed: int = 1) -> dict[int, float]:
    rng = np.random.default_rng(seed)
    return {key: value + by + float(rng.normal(0, sd)) for key, value in values.items()}


def plan(
    k: int, seeds: int, effects: dict[tuple[str, ...], float], sd: float = 0.3
) -> dict[frozenset[str], dict[int, float]]:
    """A full 2^k plan with known effects (in the -1/2, +1/2 coding) and a shared shift for each seed."""
    rng = np.random.default_rng(5)
    names = "abcd"[:k]
    shift = rng.normal(0, 5, seeds)
    cells = {}
    for size in range(k + 1):
        for cell in itertools.combinations(names, size):
            clean = sum(e * math.prod(0.5 if part in cell else -0.5 for part in name) for name, e in effects.items())
            cells[frozenset(cell)] = {seed: clean + float(shift[seed] + rng.normal(0, sd)) for seed in range(seeds)}
    return cells
