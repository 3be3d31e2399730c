"""What the reports' statistics can promise: simulated experiments with a known truth, judged by the reports' own functions.

    python benchmarks/statistics_simulation.py [--experiments 2000] [--json]

For 3 to 10 seeds and each kind of noise it draws null experiments and experiments with a known effect. An experiment is a
table: a baseline and four variants over common seeds. All noise has mean 0; differences have standard deviation 1, so
effects are in standard deviations of a difference. The first three kinds of noise fall on the differences themselves, the
worst case; in the last two each arm has its own, so that differences are symmetric, as in any comparison of a thing with
itself.

    normal          Gaussian
    skewed          1 minus an exponential: now and then a seed does far worse (skewness -2)
    bimodal         one seed in five collapses to a second level, four scatters below the first
    skewed arms     the difference of two skewed runs
    bimodal arms    the difference of two bimodal runs

The exit code is 1 if the promise for 5 seeds under normal noise is broken (at most 6% false positives, at least 93%
coverage).
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reports.analysis import promises, ttests

Array = npt.NDArray[np.float64]

SEEDS = range(3, 11)
COMPARISONS = 4
ALPHA = 0.05
MARGIN = 2.0
"""The margin of equivalence, in standard deviations of a difference."""
EFFECTS = (0.0, 1.0, -1.0, 2.0, -2.0)
"""True effects, in standard deviations. Skewed noise treats the two signs differently: COLUMNS report the worse one."""
RESAMPLES = 999
NOISES = ("normal", "skewed", "bimodal", "skewed arms", "bimodal arms")

COLUMNS = {
    "false_positive": "claims of a difference in null comparisons, paired t at 5%",
    "family_wise": "tables of 4 null comparisons with any such claim, after Holm",
    "coverage": "95% t intervals that hold the true mean difference",
    "power_1sd": "true effects of 1 sd that are claimed, single comparison (the worse sign)",
    "power_1sd_holm": "the same in a table of 4, after Holm",
    "power_2sd": "true effects of 2 sd that are claimed, single comparison (the worse sign)",
    "wrong_sign": "true effects of 1 sd that are claimed with the wrong sign (the worse sign)",
    "false_equivalence": "true effects of 2 sd called 'no difference beyond 2 sd', single comparison (the worse sign)",
    "equivalence_power": "null comparisons that are called so, single comparison",
    "a_a": "claims where a thing meets its copy on other seeds, Welch at 5%",
    "a_a_coverage": "95% Welch intervals that hold the true difference of nil",
    "sign_flip": "not used: claims of the exact sign-flip test in null comparisons",
    "bootstrap": "not used: percentile bootstrap intervals that hold the true mean difference",
    "median": "95% intervals for the median (from 6 seeds) that hold it",
}


class Tables(NamedTuple):
    """Simulated tables: `baseline` is (experiments, seeds), `treated` is (experiments, comparisons, seeds)."""

    baseline: Array
    treated: Array


class Claims(NamedTuple):
    """What reports would say of tables, each (experiments, comparisons)."""

    mean: Array
    low: Array
    high: Array
    p: Array
    p_adjusted: Array
    p_equivalence: Array
    p_equivalence_adjusted: Array


def noise(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Independent draws of mean 0 and standard deviation 1."""
    if kind == "normal":
        return rng.standard_normal(shape)
    if kind == "skewed":
        return 1 - rng.exponential(size=shape)
    low, apart = 0.2, 4.0
    level = apart * (low - (rng.random(shape) < low))
    draws: Array = (level + rng.standard_normal(shape)) / np.sqrt(1 + apart**2 * low * (1 - low))
    return draws


def tables(kind: str, experiments: int, seeds: int, effect: float, rng: np.random.Generator) -> Tables:
    """Draw tables whose first variant has a true effect (in sd of a difference) and whose others have none."""
    shape = (experiments, COMPARISONS, seeds)
    baseline = 3 * rng.standard_normal((experiments, seeds))  # what a seed does to all arms alike: pairing removes it
    if kind.endswith(" arms"):
        own = kind.removesuffix(" arms")
        treated = baseline[:, None, :] + noise(own, shape, rng) / np.sqrt(2)
        baseline = baseline + noise(own, (experiments, seeds), rng) / np.sqrt(2)
    else:
        treated = baseline[:, None, :] + noise(kind, shape, rng)
    treated[:, 0, :] += effect
    return Tables(baseline, treated)


def claims(drawn: Tables, margin: float = MARGIN) -> Claims:
    """The path of `comparisons.compare_all`, many tables at a time."""
    test = ttests.paired_t(drawn.treated - drawn.baseline[:, None, :], margin)
    adjusted, equivalent = ttests.holm(test.p), ttests.holm(test.p_equivalence)
    return Claims(test.mean, test.low, test.high, test.p, adjusted, test.p_equivalence, equivalent)


def sign_flip(differences: Array) -> Array:
    """Two-sided p of the exact sign-flip (permutation) test over the last axis."""
    n = differences.shape[-1]
    flips = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    sums = np.abs(differences @ flips.T)
    p: Array = np.mean(sums >= sums[..., :1] * (1 - 1e-12), axis=-1)
    return p


def bootstrap(differences: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Percentile bootstrap interval (95%) of the mean over the last axis."""
    n = differences.shape[-1]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    low, high = np.quantile(differences @ weights.T, (0.025, 0.975), axis=-1)
    return low, high


def true_median(kind: str) -> float:
    """Of a difference."""
    from scipy import optimize, stats

    if kind == "skewed":
        return float(1 - np.log(2))
    if kind == "bimodal":
        scale = np.sqrt(1 + 16 * 0.16)

        def excess(x: float) -> float:
            return float(0.8 * stats.norm.cdf(x * scale - 0.8) + 0.2 * stats.norm.cdf(x * scale + 3.2) - 0.5)

        return float(optimize.brentq(excess, -3, 3))
    return 0.0


def measure(kind: str, seeds: int, experiments: int, rng: np.random.Generator) -> dict[str, float | None]:
    """Every rate of COLUMNS for one kind of noise and one number of seeds."""
    # Null rates are over all four comparisons of a table, power over the first, which alone has an effect.
    drawn = {effect: tables(kind, experiments, seeds, effect, rng) for effect in EFFECTS}
    said = {effect: claims(drawn[effect]) for effect in EFFECTS}
    null = said[0.0]

    def rate(flags: npt.ArrayLike) -> float:
        return float(np.asarray(flags, dtype=np.float64).mean())

    def claimed(effect: float, p: Array) -> float:
        return rate((p[:, 0] <= ALPHA) & (said[effect].mean[:, 0] * effect > 0))

    def reversed_(effect: float) -> float:
        return rate((said[effect].p[:, 0] <= ALPHA) & (said[effect].mean[:, 0] * effect < 0))

    # The methods not used are slower: one comparison of each table will do.
    first = (drawn[0.0].treated - drawn[0.0].baseline[:, None, :])[:, 0, :]
    low, high = bootstrap(first, rng)
    median = true_median(kind)
    enough = seeds >= ttests.DISTRIBUTION_FREE_SEEDS
    spans = [ttests.median_interval(row.tolist()) for row in first] if enough else []

    own = kind.removesuffix(" arms")
    copy = ttests.welch_t(noise(own, (experiments, seeds), rng), noise(own, (experiments, seeds), rng), MARGIN)
    return {
        "false_positive": rate(null.p <= ALPHA),
        "family_wise": rate((null.p_adjusted <= ALPHA).any(axis=1)),
        "coverage": rate((null.low <= 0) & (null.high >= 0)),
        "power_1sd": min(claimed(effect, said[effect].p) for effect in (1.0, -1.0)),
        "power_1sd_holm": min(claimed(effect, said[effect].p_adjusted) for effect in (1.0, -1.0)),
        "power_2sd": min(claimed(effect, said[effect].p) for effect in (2.0, -2.0)),
        "wrong_sign": max(reversed_(effect) for effect in (1.0, -1.0)),
        "false_equivalence": max(rate(said[effect].p_equivalence[:, 0] <= ALPHA) for effect in (2.0, -2.0)),
        "equivalence_power": rate(null.p_equivalence <= ALPHA),
        "a_a": rate(copy.p <= ALPHA),
        "a_a_coverage": rate((copy.low <= 0) & (copy.high >= 0)),
        "sign_flip": rate(sign_flip(first) <= ALPHA),
        "bootstrap": rate((low <= 0) & (high >= 0)),
        "median": rate([a <= median <= b for a, b in spans if a is not None and b is not None]) if spans else None,
    }


def simulate(experiments: int, seed: int = 0) -> list[dict[str, object]]:
    """One row for each kind of noise and number of seeds. Rows have streams of their own, so each can be redone alone."""
    rows: list[dict[str, object]] = []
    for (index, kind), seeds in itertools.product(enumerate(NOISES), SEEDS):
        rng = np.random.default_rng([seed, index, seeds])
        rows.append({"noise": kind, "seeds": seeds, **measure(kind, seeds, experiments, rng)})
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """All rates as percentages."""
    heads = [key.replace("_", " ") for key in COLUMNS]
    widths = [max(len(word) for word in head.split()) for head in heads]
    depth = max(len(head.split()) for head in heads)
    lines = []
    for level in range(depth):
        words = [(head.split() + [""] * depth)[level] for head in heads]
        left = f"{'noise':<12}  {'seeds':>5}" if level == 0 else " " * 19
        lines.append(f"{left}  " + "  ".join(f"{word:>{max(w, 5)}}" for word, w in zip(words, widths, strict=True)))
    for row in rows:
        cells = ["-" if row[key] is None else f"{100 * float(str(row[key])):.1f}" for key in COLUMNS]
        figures = "  ".join(f"{cell:>{max(w, 5)}}" for cell, w in zip(cells, widths, strict=True))
        lines.append(f"{row['noise']:<12}  {row['seeds']:>5}  {figures}")
    return "\n".join(lines)


def constant(rows: list[dict[str, object]]) -> str:
    """The table MEASURED of reports/analysis/promises.py, as source text."""
    lines = []
    for seeds in SEEDS:
        chosen = {str(row["noise"]): row for row in rows if row["seeds"] == seeds}
        rates = [[round(float(str(chosen[kind][key])), 3) for key in promises.Rates._fields] for kind in promises.NOISES]
        cells = ", ".join(f"({', '.join(map(str, each))})" for each in rates)
        lines.append(f"    {seeds}: ({cells}),")
    return "MEASURED = {\n" + "\n".join(lines) + "\n}  # fmt: skip"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--experiments", type=int, default=2000, help="for each effect, noise and number of seeds (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (0)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--constant", action="store_true", help="print the table that reports/analysis/promises.py keeps")
    options = parser.parse_args(arguments)
    if options.experiments < 1:
        parser.error("--experiments must be at least 1")

    start = time.perf_counter()
    rows = simulate(options.experiments, options.seed)
    seconds = time.perf_counter() - start
    five = next(row for row in rows if row["noise"] == "normal" and row["seeds"] == 5)
    false_positive, coverage = float(str(five["false_positive"])), float(str(five["coverage"]))
    kept = false_positive <= 0.06 and coverage >= 0.93
    error = 2 * (0.05 * 0.95 / options.experiments) ** 0.5
    if options.json:
        document = {
            "experiments": options.experiments,
            "seed": options.seed,
            "alpha": ALPHA,
            "comparisons": COMPARISONS,
            "margin_sd": MARGIN,
            "two_standard_errors_at_5_percent": error,
            "columns": COLUMNS,
            "rows": rows,
            "promise": {"false_positive": false_positive, "coverage": coverage, "kept": kept},
            "seconds": round(seconds, 2),
        }
        print(json.dumps(document, indent=2))
    elif options.constant:
        print(constant(rows))
    else:
        print(f"{options.experiments} null experiments and as many with each effect, for every row; percent\n")
        print(table(rows))
        print()
        for key, meaning in COLUMNS.items():
            print(f"{key.replace('_', ' '):<18} {meaning}")
        print(f"\nA rate of 5% is measured to +-{100 * error:.1f} points (two standard errors). {seconds:.0f} s.")
        print(
            f"5 seeds, normal noise: {100 * false_positive:.1f}% false positives (at most 6), {100 * coverage:.1f}% coverage"
            f" (at least 93): {'kept' if kept else 'BROKEN'}."
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
