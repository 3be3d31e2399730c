"""What a preset's regime can tell apart: noise over seeds, data order and test sequences, and how often noise alone gets a verdict.

python benchmarks/assay.py STORE --preset tiny --train 400 --out docs/results/DATE-noise

Reads the finished runs of base of the preset from STORE, after training seeds 0 to `--train` - 1 where they are missing, and writes
noise-PRESET.json. `harness.ablation.noise` holds the figures that `harness ablate --dry-run` uses.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import harness
from harness.ablation.noise import Noise, reach
from harness.presets import PRESETS
from harness.results import Result
from harness.store.store import Run
from reports.analysis.comparisons import MARGIN, compare_all
from reports.analysis.verdicts import Kind

METRICS = ("ssim", "ssim_article", "ssim_openstl", "mse", "mae", "psnr")
ARMS, SEEDS = 5, (3, 5, 8)
"""Comparisons of the plans, and their seeds, for which the smallest gain that is found is stated."""


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Mean and standard deviation of several values, and how many."""
    found = np.asarray(values, float)
    return {"n": len(found), "mean": float(found.mean()), "sd": float(found.std(ddof=1)) if len(found) > 1 else math.nan}


def arms_of(runs: Sequence[Result], preset: str) -> dict[str, list[Result]]:
    """Arm -> its runs of the preset's own budget. What was run as base with another data order is an arm, as in a plan."""
    budget, found = PRESETS[preset][1].training, dict[str, list[Result]]()
    for one in runs:
        training = one.experiment.training
        if (one.preset, training.steps, training.epochs) == (preset, budget.steps, budget.epochs):
            order = f"(training.data_order={training.data_order})" if one.variant == "base" and training.data_order else ""
            found.setdefault(one.variant + order, []).append(one)
    return found


def over_data_order(arms: Mapping[str, Sequence[Result]], metric: str) -> dict[str, float | int] | None:
    """The standard deviation over data orders at the same seed, pooled over seeds, and their number; None without other orders."""
    by_seed: dict[int, list[float]] = {}
    for one in (one for name, runs in arms.items() if name == "base" or "data_order" in name for one in runs):
        by_seed.setdefault(one.seed, []).append(float(one.metrics[metric] or math.nan))
    several = [np.var(values, ddof=1) for values in by_seed.values() if len(values) > 1]
    return {"seeds": len(several), "sd": float(np.sqrt(np.mean(several)))} if several else None


def smallest_gain(sd: float, seeds: int) -> float:
    """The gain that plans of `ARMS` comparisons find with 80% power after Holm's adjustment; `sd`: of paired differences."""
    found = reach(Noise(sd, seeds, ""), seeds, ARMS, MARGIN)
    assert found is not None
    return found.gain


def false_verdicts(values: Sequence[float], seeds: int) -> dict[str, Any]:
    """Plans of base against five copies of itself with other seeds, disjoint: how many get any claim of a difference, by Wilson."""
    from statsmodels.stats.proportion import proportion_confint

    arms = ARMS + 1
    plans = len(values) // (arms * seeds)
    pairs, alarms, false = 0, 0, 0
    for plan in range(plans):
        block = np.asarray(values[plan * arms * seeds : (plan + 1) * arms * seeds]).reshape(arms, seeds)
        base, *copies = (dict(enumerate(row.tolist())) for row in block)
        found = compare_all(base, {f"copy {number}": row for number, row in enumerate(copies)}, margin=MARGIN)
        claims = sum(one.verdict.kind in (Kind.HELPS, Kind.HURTS) for one in found)
        pairs, false, alarms = pairs + len(found), false + claims, alarms + bool(claims)
    low, high = proportion_confint(alarms, plans, method="wilson")
    return {
        "seeds": seeds,
        "pairs": pairs,
        "false": false,
        "plans": plans,
        "plans_with_a_false_verdict": alarms,
        "share": alarms / plans,
        "low": float(low),
        "high": float(high),
    }


def paired_sd(arms: Sequence[Sequence[Result]], base: dict[int, Result], metric: str) -> float:
    """Root mean square over arms of the standard deviation of arm minus base at the same seed."""
    found = [
        np.std([one.metrics[metric] - base[one.seed].metrics[metric] for one in runs if one.seed in base], ddof=1)  # type: ignore[operator]
        for runs in arms
    ]
    return float(np.sqrt(np.mean(np.square(found)))) if found else math.nan


def main() -> None:
    """Reads or trains the runs and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--preset", default="tiny", choices=PRESETS)
    parser.add_argument("--train", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path())
    asked = parser.parse_args()
    for seed in range(asked.train):
        harness.run("base", preset=asked.preset, seed=seed, store=asked.store, progress=False)
    by_arm = arms_of(list(harness.open_store(asked.store)), asked.preset)
    base = {one.seed: one for one in by_arm.get("base", [])}
    if len(base) < 2:
        raise SystemExit(f"{asked.store} has {len(base)} runs of base at preset {asked.preset}; train some with --train")
    others = {name: some for name, some in by_arm.items() if name != "base" and len(some) > 1}
    document: dict[str, Any] = {
        "preset": asked.preset,
        "settings": next(iter(base.values())).record["experiment"],
        "seeds": sorted(base),
        "arms_of_paired_sd": list(others),
        "metrics": {},
    }
    for metric in METRICS:
        values = [float(base[seed].metrics[metric] or math.nan) for seed in sorted(base)]
        over_seeds = spread(values)
        # Without other arms: two independent seeds differ by the root of 2 more than one does.
        sd = paired_sd(list(others.values()), base, metric) if others else math.sqrt(2) * float(over_seeds["sd"])
        document["metrics"][metric] = {
            "over_seeds": over_seeds,
            "over_data_order": over_data_order(by_arm, metric),
            "paired_sd": sd,
            "smallest_gain": {str(count): smallest_gain(sd, count) for count in SEEDS},
        }
    kept = [one.path for one in base.values() if (one.path / "sequences.json").exists()]  # published records have none
    sequences = np.asarray([Run(path).read("sequences.json")["ssim"] for path in kept], float)
    document["over_test_sequences"] = {"metric": "ssim", **spread(sequences.mean(axis=0).tolist())} if kept else None
    ssim = [float(base[seed].metrics["ssim"] or math.nan) for seed in sorted(base)]
    enough = [count for count in SEEDS if len(ssim) >= (ARMS + 1) * count]
    document["false_verdicts"] = [false_verdicts(ssim, count) for count in enough]
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / f"noise-{asked.preset}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({name: one for name, one in document.items() if name not in ("settings", "seeds")}, indent=1))


if __name__ == "__main__":
    main()
