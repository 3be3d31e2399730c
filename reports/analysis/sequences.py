"""How much of a gain's uncertainty is from seeds, and how much from which test sequences were drawn."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.evaluation.conventions import METRICS
from harness.store import Store
from reports.analysis.groups import Group, Method
from reports.analysis.reading import sequence_scores
from reports.analysis.words import shorten

MOST_RUNS = 200
"""A report reads the scores by sequence of no more runs: they are many numbers."""
METRIC = "ssim"
"""The one that records hold by sequence."""


class Spread(NamedTuple):
    """Of paired differences by seed and test sequence: their mean, and standard errors of it.

    `error_seeds`: how far other seeds would move the mean on these sequences; what the t test uses. `error_sequences`: how far
    another test set of this size would, with these seeds. `sd_sequences`: from sequence to sequence, of the mean over seeds.
    """

    mean: float
    seeds: int
    sequences: int
    error_seeds: float
    error_sequences: float
    sd_sequences: float


def spread(differences: npt.NDArray[np.float64]) -> Spread:
    """From differences (seeds, sequences), both at least 2; sequences are taken to be drawn independently."""
    seeds, sequences = differences.shape
    by_seed, by_sequence = differences.mean(axis=1), differences.mean(axis=0)
    sd = float(by_sequence.std(ddof=1))
    error = float(by_seed.std(ddof=1)) / math.sqrt(seeds)
    return Spread(float(differences.mean()), seeds, sequences, error, sd / math.sqrt(sequences), sd)


def spreads(store: Store, group: Group) -> dict[str, Spread]:
    """Arm -> the spread of its SSIM minus the reference's; only arms with scores by sequence at two common seeds or more."""
    if group.reference is None or len(group.runs) > MOST_RUNS:
        return {}
    base = _scores(store, group.reference)
    found = {}
    for method in group.others:
        own = _scores(store, method)
        rows = [own[seed] - base[seed] for seed in own if seed in base and own[seed].shape == base[seed].shape]
        if len(rows) >= 2 and len({len(row) for row in rows}) == 1 and len(rows[0]) >= 2:
            whole = np.stack(rows)
            if np.isfinite(whole).all():
                found[method.label] = spread(whole)
    return found


def _scores(store: Store, method: Method) -> dict[int, npt.NDArray[np.float64]]:
    read = {seed: sequence_scores(store, run) for seed, run in method.runs.items()}
    return {seed: scores for seed, scores in read.items() if len(scores)}


def spread_words(found: dict[str, Spread]) -> str:
    """The standard errors of each gain from seeds and from test sequences; empty without any."""
    if not found:
        return ""
    parts = [
        f"{shorten(name, 40)} {one.error_seeds:.2g} and {one.error_sequences:.2g}" for name, one in list(found.items())[:12]
    ]
    count = max(one.sequences for one in found.values())
    return (
        f"Standard errors of the gain in {METRICS[METRIC].title}, from seeds and from the draw of {count:,} test sequences: "
        f"{'; '.join(parts)}. Verdicts count seeds: they are for this test set, and the second figure is how far another of its "
        "size would move the gain."
    )
