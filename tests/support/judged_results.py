"""A table of results as others have them, with known verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.judging.judge import judge

SEEDS = 6


RANDOM = np.random.default_rng(0)


BASE = 0.8 + 0.01 * RANDOM.standard_normal(SEEDS)


ARMS = {
    "base": BASE,
    "better": BASE + 0.02 + 0.002 * RANDOM.standard_normal(SEEDS),
    "worse": BASE - 0.02 + 0.002 * RANDOM.standard_normal(SEEDS),
    "same": BASE + 0.0004 * RANDOM.standard_normal(SEEDS),
    "noisy": BASE + 0.03 * RANDOM.standard_normal(SEEDS),
}


VERDICTS = {"better": "helps", "worse": "hurts", "same": "equivalent", "noisy": "undecided"}


def tidy() -> pd.DataFrame:
    rows = [(arm, seed, value) for arm, values in ARMS.items() for seed, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["arm", "seed", "ssim"])


def save(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


def verdicts(path: Path, **asked: Any) -> dict[str, str]:
    return {row["arm"]: row["verdict"] for row in judge(path, **asked).document["comparisons"]}
