"""The spread of a gain over seeds and over test sequences, against scipy and by drawing again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from three_metrics import ARMS, SEEDS, figures

from harness.store import Store
from reports.analysis import sequences
from reports.analysis.groups import Group


def test_spread_over_seeds_and_over_test_sequences(measured_store: Path, measured: Group) -> None:
    found = sequences.spreads(Store(measured_store), measured)["attention"]
    rng = {name: [np.random.default_rng([9, s, len(name)]).standard_normal(40) for s in SEEDS] for name in ARMS}
    d = np.array(
        [
            [
                figures("attention", s)["ssim"] - figures("base", s)["ssim"] + 0.05 * (a - b)
                for a, b in zip(*pair, strict=True)
            ]
            for s, pair in zip(SEEDS, zip(rng["attention"], rng["base"], strict=True), strict=True)
        ]
    )
    assert found.mean == pytest.approx(d.mean())
    assert found.error_seeds == pytest.approx(stats.sem(d.mean(axis=1)))
    assert found.error_sequences == pytest.approx(stats.sem(d.mean(axis=0)))
    assert (found.seeds, found.sequences) == (6, 40)
    assert "from the draw of 40 test sequences" in sequences.spread_words({"attention": found})


def test_errors_of_seeds_and_sequences_are_how_far_redrawn_ones_move_the_mean() -> None:
    """Brute force: the spread of the mean over redrawn test sets, with the seeds' effects as they are, and the other way round."""
    rng = np.random.default_rng(0)
    seeds, effects = rng.normal(0.01, 0.004, (8, 1)), rng.normal(0, 0.06, (1, 100))
    found = sequences.spread(seeds + effects + rng.normal(0, 0.01, (8, 100)))
    again = [(seeds + rng.normal(0, 0.06, (1, 100)) + rng.normal(0, 0.01, (8, 100))).mean() for _ in range(2000)]
    assert found.error_sequences == pytest.approx(np.std(again), rel=0.25)
    others = [(rng.normal(0.01, 0.004, (8, 1)) + effects).mean() for _ in range(2000)]
    assert found.error_seeds == pytest.approx(np.std(others), rel=0.6)
