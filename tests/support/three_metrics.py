"""A store of three arms that differ by several metrics, frames and test sequences."""

from __future__ import annotations

from pathlib import Path

import fake_store
import numpy as np
from fake_store import Fake, cell, write_run

SEEDS = range(6)


ARMS = ("base", "attention", "curriculum")


GAINS = {"base": (0.0, 0.0, 0.0), "attention": (0.02, -3.0, 1.5), "curriculum": (0.02, 0.0, -1.5)}
"""Arm -> what it adds to SSIM, MSE and MAE."""


def figures(name: str, seed: int) -> dict[str, float]:
    """What a run measures."""
    rng = np.random.default_rng([seed, len(name)])
    ssim, mse, mae = GAINS[name]
    return {
        "ssim": 0.5 + 0.01 * seed + ssim + 0.002 * rng.standard_normal(),
        "mse": 25 + 0.1 * seed + mse + 0.2 * rng.standard_normal(),
        "mae": 50 + 0.1 * seed + mae + 0.2 * rng.standard_normal(),
    }


def fill(root: Path) -> None:
    """Writes the runs of all arms and seeds."""
    with fake_store.without_sync():
        for name in ARMS:
            for seed in SEEDS:
                made = figures(name, seed)
                frames = {key: [value] * 10 for key, value in made.items()}
                frames["mse"][4:] = [200.0] * 6  # a blank frame has 178.6
                whole = {"metrics_per_frame": frames} if name == "curriculum" else {}
                scores = (made["ssim"] + 0.05 * np.random.default_rng([9, seed, len(name)]).standard_normal(40)).tolist()
                fake = Fake(ssim=made["ssim"], metrics=made, overrides=whole, sequences=scores)
                write_run(root, cell(name, seed), fake)
