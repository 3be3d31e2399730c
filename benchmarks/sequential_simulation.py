"""What `harness ablate --seeds auto` can promise: simulated plans with a known truth, decided by the harness's own rule.

    python benchmarks/sequential_simulation.py [--plans 10000] [--seed 0] [--out FOLDER]

A plan is a reference and five arms that share it, at most 30 seeds, looks after 4, 6, 9, 13, 20 and 30, a family level of 5%.
Effects and margins are in standard deviations of one arm over seeds. The kinds of noise:

    normal            Gaussian, every run
    heavy tails       Student t with 3 degrees of freedom, scaled to sd 1
    unequal variances arms' sd 0.2, 0.5, 1, 2 and 5 times the reference's
    failed seeds      Gaussian, and each run fails with 2%
    skewed            each run 1 minus an exponential (outside the promise)
    one-sided skew    the differences themselves are so skewed (outside the promise)
    collapse          each run, the reference's too, falls by 30 sd with 3% (outside the promise)
    arms collapse     only arms do, and are that much better otherwise: the means are equal (outside the promise)
    one collapse      one seed of one arm of every plan falls by 30 sd (outside the promise)

The exit code is 1 if a promise is broken: the upper 95% bound of the family-wise error above 5.5%, an interval's coverage
below 95% beyond chance, or more than 70% of the seeds of the fixed design of equal power at a gain of two sd.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.ablation import rule, sequential

Array = npt.NDArray[np.float64]

ARMS, MOST, ALPHA = 5, 30, 0.05
AT = sequential.looks(MOST)
SPREADS = np.array([0.2, 0.5, 1.0, 2.0, 5.0])
FAILURES, COLLAPSES, DEPTH = 0.02, 0.03, 30.0
PROMISED = ("normal", "heavy tails", "unequal variances", "failed seeds")
OUTSIDE = ("skewed", "one-sided skew", "collapse", "arms collapse", "one collapse")
NONE = (0.0,) * ARMS
SMALL_MARGIN, MARGIN = 0.05, 1.0
"""Within the first hardly an arm is ever equivalent, so every null arm is looked at to the end: the worst case."""


def noise(kind: str, plans: int, rng: np.random.Generator) -> Array:
    """Differences (plans, arms, seeds) of arms with no effect on the mean."""
    shape = (plans, ARMS + 1, MOST)
    if kind == "heavy tails":
        runs = rng.standard_t(3, shape) / np.sqrt(3)
    elif kind == "skewed":
        runs = 1 - rng.exponential(size=shape)
    else:
        runs = rng.standard_normal(shape)
    if kind == "unequal variances":
        runs[:, 1:] *= SPREADS[:, None]
    if kind == "failed seeds":
        runs[rng.random(shape) < FAILURES] = np.nan
    if kind == "collapse":
        runs -= DEPTH * (rng.random(shape) < COLLAPSES)
    if kind == "arms collapse":
        runs[:, 1:] -= DEPTH * (rng.random((plans, ARMS, MOST)) < COLLAPSES) - DEPTH * COLLAPSES
    if kind == "one collapse":
        runs[np.arange(plans), rng.integers(1, ARMS + 1, plans), rng.integers(0, MOST, plans)] -= DEPTH
    if kind == "one-sided skew":
        return np.sqrt(2) * (1 - rng.exponential(size=(plans, ARMS, MOST)))
    return runs[:, 1:] - runs[:, :1]


def play(differences: Array, margin: float, at: tuple[int, ...] = AT) -> rule.Looked:
    """Plans from the first look to the last."""
    found = rule.start(differences.shape[:-1])
    for n in at:
        found = rule.look(found, differences[..., :n], at, margin, ALPHA)
    return found


def rate(flags: npt.ArrayLike) -> dict[str, float]:
    """A share with its exact 95% interval (Clopper & Pearson)."""
    given = np.asarray(flags)
    test = stats.binomtest(int(given.sum()), given.size).proportion_ci(0.95)
    return {"rate": float(given.mean()), "low": float(test.low), "high": float(test.high)}


def differ(found: rule.Looked) -> npt.NDArray[np.bool_]:
    """Claims of a difference: the verdicts helps and hurts, and 'equivalent, better by less'."""
    return found.p <= ALPHA


def errors(kind: str, plans: int, rng: np.random.Generator) -> dict[str, Any]:
    """Family-wise errors of a kind of noise: plans with any false claim, at any look."""
    drawn = noise(kind, plans, rng)
    gains, mixed = np.array([2.0, 2.0, 0, 0, 0]), np.array([1.0, 1.0, 1.0, 0, 0])
    scale = np.where(kind == "unequal variances", SPREADS, 1.0)  # an effect at the margin is one in every arm
    null, wide = play(drawn, SMALL_MARGIN), play(drawn, MARGIN)
    some = play(drawn + (gains * scale)[:, None], SMALL_MARGIN)
    edge = play(drawn + MARGIN, MARGIN)
    both = play(drawn + mixed[:, None] * MARGIN, MARGIN)
    naive = np.zeros(plans, bool)
    for n in AT:
        part = drawn[..., :n]
        p = 2 * stats.t.sf(np.abs(part.mean(-1) / part.std(-1, ddof=1) * np.sqrt(n)), n - 1)
        naive |= (rule.holm(np.where(np.isnan(p), 1, p)) <= ALPHA).any(-1)
    false = (differ(both) & (mixed == 0)) | ((both.kind == rule.EQUIVALENT) & (mixed == MARGIN))
    return {
        "no effect, tiny margin": rate(differ(null).any(-1)),
        "no effect, margin 1 sd": rate(differ(wide).any(-1)),
        "two arms gain 2 sd, claims of the others": rate(differ(some)[:, 2:].any(-1)),
        "all arms at the margin, called equivalent": rate((edge.kind == rule.EQUIVALENT).any(-1)),
        "three at the margin, two nil: either error": rate(false.any(-1)),
        "wrong direction": rate((differ(some) & (some.mean < 0) & (gains > 0)).any(-1)),
        "not the rule: a fixed Holm test at every look": rate(naive),
        "failed arms": float((null.kind == rule.FAILED).mean()),
    }


def coverage(kind: str, plans: int, rng: np.random.Generator) -> dict[str, Any]:
    """Intervals at the look at which an arm stopped that hold the truth, arms pooled; a failed arm has that of the look before."""
    drawn = noise(kind, plans, rng)
    found = {}
    for gain in (0.0, 0.5, 1.0, 2.0):
        after = play(drawn + gain, MARGIN)
        good = np.isfinite(after.mean)  # not where a seed failed before the first look
        held = (after.low_alone <= gain) & (gain <= after.high_alone)
        every = ((after.low <= gain) & (gain <= after.high)) | ~good
        found[f"gain {gain:g}"] = {
            **rate(held[good]),
            "all arms at once": float(every.all(-1).mean()),
            "mean minus truth": float((after.mean - gain)[good].mean()),
        }
    return found


def fixed(drawn: Array, gains: Sequence[float]) -> dict[int, tuple[float, float]]:
    """The fixed plan of n seeds, paired t and TOST with Holm: n -> power for the first arm's gain, share of arms decided."""
    treated = drawn + np.asarray(gains)[:, None]
    found = {}
    for n in range(3, MOST + 1):
        part = treated[..., :n]
        mean, error = part.mean(-1), part.std(-1, ddof=1) / np.sqrt(n)
        differs = rule.holm(2 * stats.t.sf(np.abs(mean) / error, n - 1)) <= ALPHA
        same = rule.holm(stats.t.sf((MARGIN - np.abs(mean)) / error, n - 1)) <= ALPHA
        found[n] = float((differs & (mean > 0))[:, 0].mean()), float((differs | same).mean())
    return found


def power(gains: Sequence[float], plans: int, rng: np.random.Generator) -> dict[str, Any]:
    """What the first arm's gain costs under normal noise, and the fixed plan of equal power on the same draws."""
    drawn = noise("normal", plans, rng)
    after = play(drawn + np.asarray(gains)[:, None], MARGIN)
    reached = float((differ(after) & (after.mean > 0))[:, 0].mean())
    plain = fixed(drawn, gains)
    equal = next((n for n, (one, _) in plain.items() if one >= reached), None)
    seeds = float(after.seeds[:, 0].mean())
    return {
        "gains": list(gains),
        "power": reached,
        "seeds of the arm": seeds,
        "90% of arms by": float(np.quantile(after.seeds[:, 0], 0.9)),
        "fixed seeds of equal power": equal,
        "seeds against fixed": None if equal is None else seeds / equal,
        "trainings of the plan": float((after.seeds.sum(-1) + after.seeds.max(-1)).mean()),
        "trainings of the fixed plan": None if equal is None else (ARMS + 1) * equal,
        "arms decided": float((after.kind != rule.OPEN).mean()),
        "arms decided by the fixed plan": None if equal is None else plain[equal][1],
    }


def evalues(drawn: Array, tau: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """The anytime-valid contender: claims and stopping times with a look after every seed from the second.

    The e-process of the t statistic with effects N(0, tau**2) in sd of a difference (Wang & Ramdas 2025, Sequential Analysis 44),
    Holm's steps over 1 / its running maximum (Ville's inequality for each arm).
    """
    plans, arms, most = drawn.shape
    peak = np.zeros((plans, arms))
    claimed, stopped = np.zeros((plans, arms), bool), np.full((plans, arms), most)
    for n in range(2, most + 1):
        part = drawn[..., :n]
        t2 = (part.mean(-1) / part.std(-1, ddof=1)) ** 2 * n
        wide = 1 + n * tau**2
        log = -0.5 * np.log(wide) + n / 2 * (np.log1p(t2 / (n - 1)) - np.log1p(t2 / (n - 1) / wide))
        peak = np.maximum(peak, log)
        new = ~claimed & (rule.holm(np.where(claimed, 0, np.exp(-peak))) <= ALPHA)
        stopped[new] = n
        claimed |= new
    return claimed, stopped


def choice(plans: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Rules beside each other on the same draws, without stops for equivalence: the first arm gains, four do not."""
    drawn = noise("normal", plans, rng)
    draws = {gain: drawn + np.array([gain, 0, 0, 0, 0])[:, None] for gain in (0.0, 0.5, 1.0, 2.0)}
    rows: list[dict[str, Any]] = []

    def add(name: str, decide: Callable[[Array], tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]]) -> None:
        row: dict[str, Any] = {"rule": name}
        for gain, some in draws.items():
            claimed, seeds = decide(some)
            if not gain:
                row["family-wise error"] = rate(claimed.any(-1))["rate"]
            else:
                row[f"power at {gain:g} sd"] = float(claimed[:, 0].mean())
                row[f"seeds at {gain:g} sd"] = float(seeds[:, 0].mean())
        rows.append(row)

    def sequential_claims(some: Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        after = play(some, 1e-9)
        return differ(after), after.seeds

    kept = sequential.EXPONENT
    for exponent in (0.0, 0.5, 1.0, 2.0):
        sequential.EXPONENT = exponent
        sequential._table.cache_clear()
        add(f"group-sequential t, levels as n^{exponent:g}", sequential_claims)
    sequential.EXPONENT = kept
    sequential._table.cache_clear()
    for tau in (0.5, 1.0, 2.0):
        add(f"e-process of t, effects N(0, {tau:g}^2)", lambda some, tau=tau: evalues(some, tau))

    def plain(some: Array, n: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        part = some[..., :n]
        p = 2 * stats.t.sf(np.abs(part.mean(-1) / part.std(-1, ddof=1)) * np.sqrt(n), n - 1)
        return rule.holm(p) <= ALPHA, np.full(p.shape, n)

    for n in (12, 20, 30):
        add(f"fixed, {n} seeds", lambda some, n=n: plain(some, n))
    return rows


def measure(plans: int, seed: int) -> dict[str, Any]:
    """All figures. Every kind has a stream of its own."""
    kinds = (*PROMISED, *OUTSIDE)
    streams = {name: np.random.default_rng([seed, index]) for index, name in enumerate((*kinds, "power", "choice"))}
    return {
        "plans": plans,
        "seed": seed,
        "arms": ARMS,
        "looks": AT,
        "alpha": ALPHA,
        "nominal levels of one arm": {n: sequential.level(ALPHA, n, AT) for n in AT},
        "nominal levels of five arms, first step": {n: sequential.level(ALPHA / ARMS, n, AT) for n in AT},
        "errors": {kind: errors(kind, plans, streams[kind]) for kind in kinds},
        "coverage": {kind: coverage(kind, plans, streams[kind]) for kind in kinds},
        "power": [
            *(power((gain, *NONE[1:]), plans, streams["power"]) for gain in (0.5, 1.0, 1.5, 2.0)),
            *(power((gain,) * ARMS, plans, streams["power"]) for gain in (1.0, 2.0)),
        ],
        "choice": choice(plans, streams["choice"]),
    }


def broken(found: dict[str, Any]) -> list[str]:
    """The promises that the figures break."""
    wrong = []
    judged = ("no effect, tiny margin", "no effect, margin 1 sd", "two arms gain 2 sd, claims of the others",
              "all arms at the margin, called equivalent")  # fmt: skip
    for kind in PROMISED:
        for what in judged:
            if found["errors"][kind][what]["high"] > 0.055:
                wrong.append(f"family-wise error under {kind}: {what}")
        for gain, one in found["coverage"][kind].items():
            if one["high"] < 0.95:
                wrong.append(f"coverage under {kind} at {gain}")
    for one in found["power"]:
        if one["gains"][0] == 2.0 and not (one["seeds against fixed"] or 1.0) <= 0.7:
            wrong.append(f"seeds at gains {one['gains']}")
    return wrong


def markdown(found: dict[str, Any]) -> str:
    """The figures as short tables."""

    def percent(value: float) -> str:
        return f"{100 * value:.2f}"

    def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        return ["| " + " | ".join(one) + " |" for one in (heads, ["---"] * len(heads), *rows)]

    errors = found["errors"]
    names = [name for name in errors["normal"] if name != "failed arms"]
    lines = ["## Family-wise error, percent (upper end of the exact 95% interval)", ""]
    lines += table(
        ["noise", *names],
        [
            [kind, *(f"{percent(row[name]['rate'])} ({percent(row[name]['high'])})" for name in names)]
            for kind, row in errors.items()
        ],
    )
    gains = list(found["coverage"]["normal"])
    lines += ["", "## Intervals after stopping that hold the truth, percent (all five arms at once)", ""]
    lines += table(
        ["noise", *gains],
        [
            [kind, *(f"{percent(row[gain]['rate'])} ({percent(row[gain]['all arms at once'])})" for gain in gains)]
            for kind, row in found["coverage"].items()
        ],
    )
    heads = [name for name in found["power"][0] if name != "gains"]
    lines += ["", "## Power and seeds under normal noise, margin 1 sd", ""]
    lines += table(
        ["gains", *heads],
        [
            [
                ", ".join(f"{gain:g}" for gain in row["gains"]),
                *("-" if row[name] is None else f"{row[name]:.4g}" for name in heads),
            ]
            for row in found["power"]
        ],
    )
    heads = [name for name in found["choice"][0] if name != "rule"]
    lines += ["", "## Rules beside each other, no stops for equivalence: one arm gains, four do not", ""]
    lines += table(["rule", *heads], [[row["rule"], *(f"{row[name]:.4g}" for name in heads)] for row in found["choice"]])
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--plans", type=int, default=10_000, help="plans for every figure (10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (0)")
    parser.add_argument("--out", type=Path, help="write simulation.json and tables.md into this folder")
    options = parser.parse_args(arguments)
    begun = time.perf_counter()
    found = measure(options.plans, options.seed)
    wrong = broken(found)
    found["broken"] = wrong
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "simulation.json").write_text(json.dumps(found, indent=1) + "\n")
        (options.out / "tables.md").write_text(markdown(found))
    print(markdown(found))
    print(f"{time.perf_counter() - begun:.0f} s; {'; '.join(wrong) or 'all promises kept'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
