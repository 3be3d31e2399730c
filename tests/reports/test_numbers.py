"""Every number in the page, traced from the raw records by plain numpy and scipy, apart from the report's code.

For each table there is a tracer that works out its cells from the JSON files of a small store. A table, column, row, plot or
sentence with a digit that no tracer knows fails: nothing new gets into the page untraced.

One file, however long: the tracers share one store and one set of routes, and the claims at its end count that none is missing.
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fake_store
import numpy as np
import pytest
from drawn_page import drawn_page
from scipy import stats
from study_cells import confirmed_study

from harness.ablation.plan import COPY
from harness.evaluation.conventions import METRICS
from harness.store import Folder
from harness.version import __version__
from reports.page import Page, Table, Value
from reports.pages.folder import write

SEEDS = (0, 1, 2, 3)
METHODS = ("base", "attention", "tta", "attention+tta")
LOSSES = {"1 MSE": fake_store.LOSSES[0], "0.5 MSE + 0.5 (1 - SSIM)": fake_store.LOSSES[2]}
DECIMALS = {"ssim": 4, "ssim_article": 4, "ssim_openstl": 4, "mse": 2, "mae": 2, "psnr": 2}
MARGIN = 0.005
SECONDS, OPERATIONS, SHORT, LONE = 240.0, 600, 500, 300
"""The budgets of attention at equal seconds and operations, of another table, and of a run that stands alone."""
SKIPPED = 3
"""Steps of attention's training with seed 2 whose loss was not finite."""
CLAIMS = {"base": ("8.7M", "1x", "0.82"), "attention": ("10.3M", "1.3x", "+0.03"), "tta": ("same", "-", "-")}
"""The article's section 5, typed from it."""
STUDY = {
    "study": "learning-rate",
    "variant": "base",
    "preset": "cpu",
    "command": "harness study learning-rate",
    "space": {
        "training.max_lr": {"kind": "float", "low": 1e-4, "high": 1e-1, "log": True},
        "training.batch_size": {"kind": "int", "low": 2, "high": 64, "log": False},
    },
    "counts": {"complete": 7, "pruned": 1},
    "trials": [
        {
            "number": number,
            "state": "PRUNED" if number == 4 else "COMPLETE",
            "arm": "article" if number == 0 else None,
            "params": {"training.max_lr": 10 ** (-3 + 0.23 * number), "training.batch_size": 2 + 9 * (number % 5)},
            "value": 0.4123 + 0.0137 * (number % 6),
            "run_ids": [f"{number:016x}", f"{number + 64:016x}"],
        }
        for number in range(8)
    ],
    "arms": [
        {"name": "article", "params": {"training.max_lr": 3e-3}, "value": 0.4123, "reference": True, "note": "section 3"},
        {"name": "preset", "params": {}, "value": None, "reference": False, "note": "pruned at step 40"},
    ],
    "best": {"number": 5, "params": {"training.max_lr": 10 ** (-3 + 0.23 * 5)}, "value": 0.4808, "arm": None},
}
"""With what the engine writes when it confirms a study: see `root`."""


# --- a small store with everything that gives a table


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("numbers")
    with fake_store.without_sync():
        cells = [(name, fake_store.cell(name, seed)) for seed in SEEDS for name in METHODS]
        for name, made in cells:
            skipped = SKIPPED if name.startswith("attention") and made.seed == 2 else 0  # both are of one training
            fake_store.write_run(root, made, fake_store.Fake(skipped_steps=skipped))
        fake_store.write_plan(root, "factorial", cells)
        for settings in (*LOSSES.values(), {"training.max_lr": 1e-2}):
            for seed in SEEDS[:3]:
                fake_store.write_run(root, fake_store.cell("base", seed, settings=settings))
        copies = [(COPY, fake_store.cell("base", 10 + seed)) for seed in SEEDS]
        for _, made in copies:
            fake_store.write_run(root, made)
        fake_store.write_plan(root, "a-a", [*(one for one in cells if one[0] == "base"), *copies])
        for match, settings, seconds in (
            ("seconds", {"training.seconds": SECONDS}, SECONDS),
            ("flops", {"training.steps": OPERATIONS}, None),
        ):
            matched = [one for one in cells if one[0] in ("base", "tta")]
            for seed in SEEDS:
                made = fake_store.cell("attention", seed, settings=settings)
                fake_store.write_run(root, made, fake_store.Fake(seconds=seconds))
                matched.append(("attention", made))
            lost = fake_store.cell("curriculum", 3, settings=settings)
            errors = {lost.run_id: "RuntimeError: broke at step 17"} if match == "flops" else {}
            fake_store.write_plan(root, "add-one", [*matched, ("curriculum", lost)], match=match, errors=errors)
        for seed, name in itertools.product(SEEDS[:3], ("base", "attention", "tta")):
            lost_value = {"ssim": None} if (name, seed) == ("tta", 1) else None
            made = fake_store.cell(name, seed, settings={"training.steps": SHORT})
            fake_store.write_run(root, made, fake_store.Fake(metrics=lost_value))
        fake_store.write_run(root, fake_store.cell("base", 0, settings={"training.steps": LONE}))
        made = confirmed_study(tmp_path_factory.mktemp("study"))
        Folder(root / "studies").write("one.json", STUDY | {"confirm": made["confirm"]})
    return root


DRAWN: dict[str, list[Any]] = {}
"""Figure -> its axes, kept when the page is made."""


@pytest.fixture(scope="module")
def page(root: Path) -> Iterator[Page]:
    with drawn_page(root, DRAWN) as made:
        yield made


class Raw:
    """The store's JSON files, read without the harness."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = []
        for path in sorted((root / "runs").iterdir()):
            result = json.loads((path / "result.json").read_text())
            result["settings"] = json.loads((path / "experiment.json").read_text())["experiment"]
            result["environment"] = json.loads((path / "environment.json").read_text())
            self.runs.append(result)
        self.plans = [json.loads(path.read_text()) for path in sorted((root / "plans").iterdir())]

    def select(self, method: str, *, loss: tuple[float, float] = (0.7, 0.3), max_lr: float = 2e-2, **budget: Any) -> dict:
        """Seed -> record; by default those of the first table."""
        steps = None if "seconds" in budget else budget.get("steps", 1800)
        found = {}
        for one in self.runs:
            training, weights = one["settings"]["training"], one["settings"]["loss"]
            if (
                one["variant"] == method
                and one["seed"] in SEEDS
                and tuple(weights.get(name, {}).get("weight", 0.0) for name in ("mse", "ssim")) == loss
                and training["optimizer"]["lr"] == max_lr
                and training["seconds"] == budget.get("seconds")
                and (steps is None or training["steps"] == steps)
            ):
                found[one["seed"]] = one
        return dict(sorted(found.items()))

    def group(self, suffix: str) -> dict[str, dict[int, dict]]:
        """Method -> seed -> record of the tables whose ids end so."""
        others = {"-seconds": {"seconds": SECONDS}, "-flops": {"steps": OPERATIONS}}
        if suffix == "-2":
            return {name: self.select(name, steps=SHORT) for name in METHODS[:3]}
        if suffix in others:
            return {name: self.select(name, **(others[suffix] if name == "attention" else {})) for name in METHODS[:3]}
        assert suffix == "", f"no tracing for tables that end in {suffix!r}"
        return {name: self.select(name) for name in METHODS}

    def validations(self, run: dict) -> dict[int, tuple[float, float]]:
        lines = (self.root / "trainings" / run["training_key"] / "metrics.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return {one["step"]: (one["seconds"], one["validation"]["ssim"]) for one in found if "validation" in one}


@pytest.fixture(scope="module")
def raw(root: Path) -> Raw:
    return Raw(root)


# --- figures by another route


class Near(float):
    """A number that the page shows with three significant digits."""

    def fits(self, text: str) -> bool:
        return float(text.replace(",", "")) == pytest.approx(float(self), rel=6e-3, abs=0.51 if self >= 1000 else 0)


def signed(value: float, decimals: int = 4) -> str:
    value = round(value, decimals) + 0.0
    return f"{value:+.{decimals}f}" if value else f"{0:.{decimals}f}"


def interval(values: list[float], level: float = 0.05) -> tuple[float, float]:
    mean, n = np.mean(values), len(values)
    half = stats.t.ppf(1 - level / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n)
    return float(mean - half), float(mean + half)


def bracket(values: list[float], decimals: int = 4, sign: bool = False, level: float = 0.05) -> str:
    if len(values) < 2 or np.ptp(values) == 0:
        return "-"
    low, high = interval(values, level)
    form = (lambda v: signed(v, decimals)) if sign else (lambda v: f"{v:,.{decimals}f}")
    return f"[{form(low)}, {form(high)}]"


def finite(runs: dict[int, dict], metric: str = "ssim") -> list[float] | str:
    """A metric's values over seeds, or the words that stand for them."""
    values = {seed: one["metrics"][metric] for seed, one in runs.items()}
    lost = [seed for seed, value in values.items() if value is None]
    return f"not finite (seed {', '.join(map(str, lost))})" if lost else list(values.values())


def average(runs: dict[int, dict], metric: str = "ssim") -> str:
    values = finite(runs, metric)
    return values if isinstance(values, str) else f"{np.mean(values):,.{DECIMALS[metric]}f}"


def spread(runs: dict[int, dict], metric: str = "ssim") -> str:
    values = finite(runs, metric)
    return "-" if isinstance(values, str) else bracket(values, DECIMALS[metric])


def levels(p: list[float]) -> list[float]:
    """The level of each step of Holm; from the first that fails on, its level."""
    found, stopped = [0.0] * len(p), 0.0
    for step, index in enumerate(np.argsort(p, kind="stable")):
        found[index] = stopped or 0.05 / (len(p) - step)
        if p[index] > found[index]:
            stopped = found[index]
    return found


def holm(p: list[float]) -> list[float]:
    order = np.argsort(p)
    adjusted, highest = [0.0] * len(p), 0.0
    for step, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - step) * p[index]))
        adjusted[index] = highest
    return adjusted


def chance(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def tost(values: list[float]) -> float:
    above = stats.ttest_1samp(values, -MARGIN, alternative="greater").pvalue
    return max(above, stats.ttest_1samp(values, MARGIN, alternative="less").pvalue)


def seeds_that_settle(sd: float, effect: float, alpha: float, arms: int, both: bool) -> int:
    """The least n with 80% power for `effect` and, with `both`, for showing its absence: noncentral t by hand."""
    for n in range(3, 10_000):
        df, shift = arms * (n - 1), abs(effect) / sd * math.sqrt(n / arms)
        two_sided = stats.t.isf(alpha / 2, df)
        found = stats.nct.sf(two_sided, df, shift) + np.nan_to_num(stats.nct.cdf(-two_sided, df, shift))
        absent = 2 * stats.nct.sf(stats.t.isf(alpha, df), df, shift) - 1
        if found >= 0.8 and (not both or absent >= 0.8):
            return n
    raise AssertionError("the store's spread is too large for this test")


def judged(differences: dict[str, list[float] | None], words: dict[str, tuple[str, str]] | None = None) -> dict[str, dict]:
    """What the differences of a table allow to say; None for a comparison with a value that is not finite."""
    raw = [1.0 if one is None else stats.ttest_1samp(one, 0.0).pvalue for one in differences.values()]
    p, at = holm(raw), levels(raw)
    q = holm([1.0 if one is None else tost(one) for one in differences.values()])
    return {
        name: {"p": p[k], "q": q[k], "level": at[k]}
        | verdict(name, one, p[k], q[k], len(differences), (words or {}).get(name), at[k])
        for k, (name, one) in enumerate(differences.items())
    }


def verdict(
    name: str, one: list[float] | None, p: float, q: float, table: int, words: tuple[str, str] | None, level: float
) -> dict:
    if one is None:
        lost = "failed: its seed 1 gave no finite result; the other seeds are not judged without"
        return {"short": lost, "long": f"{lost} (seeds without a finite value: 1)"}
    mean = float(np.mean(one))
    if q <= 0.05:
        claim = f"equivalent within {MARGIN:g}" + ("" if p > 0.05 else f", {'worse' if mean < 0 else 'better'} by less")
        return {"short": claim, "long": claim}
    if p <= 0.05:
        low, high = interval(one, level)
        size = (
            f" by more than {MARGIN:g}"
            if low > MARGIN or high < -MARGIN
            else f", though by more than {MARGIN:g} is not shown"
        )
        claim = (words or ("helps", "hurts"))[mean < 0] + size
        return {"short": claim, "long": claim}
    n, sd = len(one), float(np.std(one, ddof=1))
    total = seeds_that_settle(sd, MARGIN, 0.05 / table, 1, True)
    assert total > n, f"{name}: this case of a verdict needs a tracing of its own"
    long = f"undecided: {n} seeds seen; about {total} in all ({total - n} more) would settle a difference of {MARGIN:g}"
    seen = seeds_that_settle(sd, mean, 0.05 / table, 1, False) if abs(mean) > MARGIN else total
    if n < seen < total:
        long += f"; about {seen} would do if the effect is what it looks like ({mean:+.3g})"
    return {"short": f"undecided ({n} of about {total} seeds)", "long": long}


ABSENT = {
    "-seconds": ("curriculum", "undecided: 0 seeds seen; at least 3 are needed to judge the spread (3 more)"),
    "-flops": ("curriculum", "failed: its seed 3 gave no finite result; the other seeds are not judged without"),
}
"""The arm that a plan names and that has no run: it stays in the family, with a p of 1."""


def differences(group: dict[str, dict[int, dict]], suffix: str = "") -> dict[str, list[float] | None]:
    """Method -> SSIM minus base's at the seeds of both; None where a value is missing, and for the absent arm."""
    base, found = group["base"], {}
    for method, runs in group.items():
        if method != "base":
            pairs = [
                (runs[seed]["metrics"]["ssim"], base[seed]["metrics"]["ssim"]) for seed in sorted(set(runs) & set(base))
            ]
            found[method] = None if any(None in pair for pair in pairs) else [a - b for a, b in pairs]
    return found | ({ABSENT[suffix][0]: None} if suffix in ABSENT else {})


def adjusted(group: dict[str, dict[int, dict]], suffix: str = "") -> dict[str, tuple[list[float], tuple[float, float]]]:
    """Method -> its differences, and their interval at the level at which Holm tests them; those whose values are finite."""
    found = differences(group, suffix)
    said = judged(found)
    return {name: (one, interval(one, said[name]["level"])) for name, one in found.items() if one is not None}


def gain(one: list[float] | None, said: dict | None) -> dict[str, str]:
    if one is None or said is None:
        return dict.fromkeys(("gain", "interval", "p"), "-")
    return {
        "gain": signed(float(np.mean(one))),
        "interval": bracket(one, sign=True, level=said["level"]),
        "p": chance(said["p"]),
    }


def time_ratio(runs: dict[int, dict], base: dict[int, dict]) -> str:
    common = set(runs) & set(base)
    found = stats.gmean([runs[seed]["training"]["seconds"] / base[seed]["training"]["seconds"] for seed in common])
    return f"{found:.2f}x"


# --- one tracer for each kind of table: (raw records, end of the id) -> rows, each column -> text or number

Row = dict[str, Any]
Tracer = Callable[[Raw, str], list[Row]]


def trace_ablation(raw: Raw, suffix: str) -> list[Row]:
    group = raw.group(suffix)
    delta = differences(group, suffix)
    said = judged(delta)
    rows: list[Row] = [dict(zip(("method", "verdict"), ABSENT[suffix], strict=True))] if suffix in ABSENT else []
    for method, runs in group.items():
        shown = gain(delta.get(method), said.get(method))
        claim = CLAIMS.get(method, ("-", "-", "-"))
        rows.append(
            {
                "method": method,
                "parameters": f"{runs[0]['params'] / 1e6:.2f}M",
                "training time (x base)": time_ratio(runs, group["base"]),
                "SSIM, mean": average(runs),
                "SSIM, 95% interval": spread(runs),
                "gain over base (SSIM)": shown["gain"],
                "gain, adjusted interval": shown["interval"],
                "p (Holm)": shown["p"],
                "verdict": said[method]["short"] if method in said else "reference",
                "seeds": str(len(runs)),
                **dict(zip((f"claimed {what}" for what in ("parameters", "time", "SSIM")), claim, strict=True)),
            }
        )
    for words, key in (("blank frame", "blank"), ("repeat last frame", "repeat_last")):
        ssim = f"{group['base'][0]['baselines'][key]['ssim']:.4f}"
        rows.append({"method": words, "parameters": "0", "SSIM, mean": ssim, "verdict": "baseline"})
    return rows


def trace_metrics(raw: Raw, suffix: str) -> list[Row]:
    heads = {name: info.title for name, info in METRICS.items()}
    units = {"mse": "per frame, lower", "mae": "per frame, lower", "psnr": "dB, higher"}
    mean = {name: f"{title} ({units.get(name, 'higher')} is better)" for name, title in heads.items()}
    rows = []
    for method, runs in raw.group(suffix).items():
        row = {"method": method}
        for name, title in heads.items():
            row |= {mean[name]: average(runs, name), f"{title}, 95% interval": spread(runs, name)}
        rows.append(row)
    for words, key in (("blank frame", "blank"), ("repeat last frame", "repeat_last")):
        values = raw.select("base")[0]["baselines"][key]
        rows.append({"method": words, **{mean[name]: f"{values[name]:,.{DECIMALS[name]}f}" for name in heads}})
    return rows


def trace_costs(raw: Raw, suffix: str) -> list[Row]:
    group = raw.group(suffix)
    rows = []
    for method, runs in group.items():

        def over(part: str, name: str, runs: dict = runs) -> float:
            return float(np.mean([one[part][name] for one in runs.values()]))

        seconds = [one["training"]["seconds"] for one in runs.values()]
        rows.append(
            {
                "method": method,
                "parameters": f"{runs[0]['params']:,}",
                "GFLOP a sequence": Near(runs[0]["flops_per_sequence"] / 1e9),
                "training time (s)": f"{np.mean(seconds):.1f}",
                "training time, 95% interval (s)": bracket(seconds, 1),
                "training time (x base)": time_ratio(runs, group["base"]),
                "steps": f"{over('training', 'steps'):,.0f}",
                "training sequences/s": Near(over("training", "sequences_per_second")),
                "predicted frames/s": Near(over("inference", "frames_per_second")),
                "predicted frames/s, batch 1": Near(over("inference", "frames_per_second_batch_1")),
                "process memory (GiB)": Near(over("memory", "host_peak_bytes") / 2**30),
            }
        )
    return rows


def trace_ratios(raw: Raw, suffix: str) -> list[Row]:
    group = raw.group(suffix)
    batch = raw.select("base")[0]["settings"]["training"]["batch_size"]
    costs = {
        "training time": lambda run: run["training"]["seconds"],
        "inference time": lambda run: 1 / run["inference"]["frames_per_second"],
        "training operations": lambda run: (
            3 * batch * run["training"]["steps"] * run["flops_per_sequence"] / len(run["settings"]["inference"]["views"])
        ),
        "inference operations": lambda run: run["flops_per_sequence"],
        "memory": lambda run: run["memory"]["host_peak_bytes"],
        "parameters": lambda run: run["params"],
    }
    rows = []
    deltas = differences(group, suffix)
    said = judged(deltas)
    for method in group.keys() - {"base"}:
        shown = gain(deltas[method], said.get(method))
        row = {"method": method, "gain over base (SSIM)": shown["gain"], "gain, adjusted interval": shown["interval"]}
        for name, of in costs.items():
            logs = [
                math.log(of(run) / of(group["base"][seed])) for seed, run in group[method].items() if seed in group["base"]
            ]
            shown = f"{math.exp(np.mean(logs)):.2f}x"
            if np.ptp(logs) > 1e-12:
                low, high = np.exp(stats.ttest_1samp(logs, 0).confidence_interval(0.95))
                shown += f" [{low:.2f}x, {high:.2f}x]"
            row[f"{name} (x base)"] = shown
        rows.append(row)
    return rows


def trace_seeds(raw: Raw, suffix: str) -> list[Row]:
    rows = []
    for method, run in ((method, run) for method, runs in raw.group(suffix).items() for run in runs.values()):
        training = run["training"]
        values = {METRICS[name].title: (run["metrics"][name], digits) for name, digits in DECIMALS.items()}
        rows.append(
            {
                "method": method,
                "seed": str(run["seed"]),
                "run": run["run_id"],
                **{name: "not finite" if value is None else f"{value:,.{d}f}" for name, (value, d) in values.items()},
                "validation SSIM": f"{training['validation_ssim']:.4f}",
                "steps": f"{training['steps']:,}",
                "best step": f"{training['best_step']:,}",
                "skipped steps": f"{training['skipped_steps']:,}",
                "training time (s)": f"{training['seconds']:.1f}",
                "training sequences/s": Near(training["sequences_per_second"]),
                "predicted frames/s": Near(run["inference"]["frames_per_second"]),
                "process memory (GiB)": Near(run["memory"]["host_peak_bytes"] / 2**30),
            }
        )
    return rows


def trace_statistics(raw: Raw, suffix: str) -> list[Row]:
    group = raw.group(suffix)
    delta = differences(group, suffix)
    said = judged(delta)
    rows: list[Row] = []
    if suffix in ABSENT:
        name, words = ABSENT[suffix]
        lost = ", 3" if suffix == "-seconds" else "; seeds without a finite value: 3"
        more = f" (seeds that only one side has: 0, 1, 2{lost})"
        rows.append({"comparison": f"{name} - base", "pairs": "0", "verdict": words + more})
        del delta[name]
    for method, values in delta.items():
        row = {"comparison": f"{method} - base", "verdict": said[method]["long"]}
        if values is None:  # the seeds that gave a number are described, and nothing is concluded from them
            there = {seed: run for seed, run in group[method].items() if run["metrics"]["ssim"] is not None}
            (values,) = differences({"base": group["base"], method: there}).values()
            assert values is not None
        else:
            row |= {"p (t test)": chance(stats.ttest_1samp(values, 0.0).pvalue), "p (Holm)": chance(said[method]["p"])}
            row["p (equivalence, Holm)"] = chance(said[method]["q"])
        up = sum(value > 0 for value in values)
        rows.append(
            row
            | {
                "pairs": str(len(values)),
                "mean difference (SSIM)": signed(float(np.mean(values))),
                "adjusted interval": bracket(values, sign=True, level=said[method]["level"]),
                "95%, alone": bracket(values, sign=True),
                "sd of differences": f"{np.std(values, ddof=1):.4f}",
                "seeds better / worse": f"{up} / {len(values) - up}",
                "p (sign test)": chance(stats.binomtest(up, len(values)).pvalue),
                "median difference": signed(float(np.median(values))),
            }
        )
    return rows


def trace_pairs(raw: Raw, suffix: str) -> list[Row]:
    group = raw.group(suffix)
    rows = []
    for method, seed in itertools.product(group, SEEDS):
        if method != "base":
            a, b = (group[name][seed]["metrics"]["ssim"] for name in ("base", method))
            shown = {"base's SSIM": f"{a:.4f}", "SSIM": f"{b:.4f}", "difference": signed(b - a)}
            rows.append({"method": method, "seed": str(seed), **shown})
    return rows


def trace_a_a(raw: Raw, suffix: str) -> list[Row]:
    """The paired test, the first seed of base with the first of the copy and so on."""
    base = [one["metrics"]["ssim"] for _, one in sorted(raw.select("base").items())]
    copy = [one["metrics"]["ssim"] for one in sorted(raw.runs, key=lambda one: one["seed"]) if one["seed"] >= 10]
    test = stats.ttest_rel(copy, base)
    low, high = test.confidence_interval(0.95)
    total = seeds_that_settle(float(np.std(np.subtract(copy, base), ddof=1)), MARGIN, 0.05, 1, True)
    (key,) = [path.stem for path in sorted((raw.root / "plans").iterdir()) if json.loads(path.read_text())["plan"] == "a-a"]
    return [
        {
            "plan": f"a-a, preset cpu ({key[:8]})",
            "pairs": "4",
            "SSIM of base, mean": f"{np.mean(base):.4f}",
            "SSIM of copy, mean": f"{np.mean(copy):.4f}",
            "difference": signed(float(np.mean(copy) - np.mean(base))),
            "95% interval": f"[{signed(low)}, {signed(high)}]",
            "sd of differences": f"{np.std(np.subtract(copy, base), ddof=1):.4f}",
            "p": chance(test.pvalue),
            "verdict": f"undecided: 4 seeds seen; about {total} in all ({total - 4} more) would settle a difference of {MARGIN:g}",
        }
    ]


def contrasts(raw: Raw) -> dict[str, list[float] | None]:
    y = {method: np.array([one["metrics"]["ssim"] for one in raw.select(method).values()]) for method in METHODS}
    none, a, t, both = (y[method] for method in METHODS)
    return {
        "attention": list((a + both) / 2 - (none + t) / 2),
        "tta": list((t + both) / 2 - (none + a) / 2),
        "attention x tta": list((both - t) - (a - none)),
    }


def trace_effects(raw: Raw, suffix: str) -> list[Row]:
    found = contrasts(raw)
    said = judged(found, {"attention x tta": ("together better than the sum", "together worse than the sum")})
    return [
        {
            "effect": name,
            "kind": "interaction" if " x " in name else "main effect",
            "seeds": "4",
            "mean (SSIM)": signed(float(np.mean(values))),
            "adjusted interval": bracket(values, sign=True, level=said[name]["level"]),
            "p (Holm)": chance(said[name]["p"]),
            "verdict": said[name]["long"],
        }
        for name, values in found.items()
        if values is not None
    ]


GAINS = ("gain (SSIM)", "gain, adjusted interval", "p (Holm)")


def variations(rows: dict[str, dict[int, dict]], first: str) -> list[Row]:
    """Runs of base with other settings, against those of the first row."""
    base, *others = rows
    delta = differences({"base": rows[base], **{label: rows[label] for label in others}})
    said = judged(delta)
    return [
        {
            first: label,
            "seeds": str(len(runs)),
            "validation SSIM, mean": f"{np.mean([one['training']['validation_ssim'] for one in runs.values()]):.4f}",
            "SSIM, mean": average(runs),
            "SSIM, 95% interval": spread(runs),
            "MSE, mean": average(runs, "mse"),
            **dict(zip(GAINS, gain(delta.get(label), said.get(label)).values(), strict=True)),
            "verdict": said[label]["short"] if label in said else "reference",
        }
        for label, runs in rows.items()
    ]  # fmt: skip


def trace_losses(raw: Raw, suffix: str) -> list[Row]:
    ramp = "; SSIM off for the first 20% of training, then rising over 40%"
    rows = {
        f"0.7 MSE + 0.3 (1 - SSIM){ramp}": raw.select("base"),
        f"0.5 MSE + 0.5 (1 - SSIM){ramp}": raw.select("base", loss=(0.5, 0.5)),
        "1 MSE": raw.select("base", loss=(1.0, 0.0)),
    }
    claims = {"MSE": "~0.78", "MSE + SSIM": "0.85+"}
    kinds = ("MSE + SSIM", "MSE + SSIM", "MSE")
    return [
        row | {"kind": kind, "claimed SSIM": claims[kind]} for row, kind in zip(variations(rows, "loss"), kinds, strict=True)
    ]


def trace_rates(raw: Raw, suffix: str) -> list[Row]:
    words = "max lr {}, pct_start 0.15, weight decay 0.01, batch 16"
    rows = {words.format("0.02"): raw.select("base"), words.format("0.01"): raw.select("base", max_lr=1e-2)}
    return variations(rows, "setting")


def trace_rest(raw: Raw, suffix: str) -> list[Row]:
    runs = raw.select("base", steps=LONE)
    what = f"training.steps {LONE} (first table: 1800)"
    named = {"method": "base", "what differs from the first table": what, "seeds": "1"}
    return [named | {"SSIM, mean": average(runs), "SSIM, 95% interval": "-", "MSE, mean": average(runs, "mse")}]


def trace_missing(raw: Raw, suffix: str) -> list[Row]:
    there = {one["run_id"] for one in raw.runs}
    lost = [(plan["match"], cell) for plan in raw.plans for cell in plan["cells"] if cell["run_id"] not in there]
    reasons = {"flops": "RuntimeError: broke at step 17", "seconds": "not run yet in plan add-one (equal seconds)"}
    return [
        {
            "run": cell["run_id"],
            "variant": cell["label"],
            "seed": str(cell["seed"]),
            "status": cell["status"],
            "reason": reasons[match],
        }
        for match, cell in lost
    ]


def trace_conventions(raw: Raw, suffix: str) -> list[Row]:
    ranges = {"mse": "from 0", "mae": "from 0", "psnr": "0 to 100"}
    recorded, scores = raw.runs[0]["conventions"], raw.select("base")[0]["baselines"]
    return [
        {
            "metric": METRICS[name].title,
            "range": ranges.get(name, "-1 to 1"),
            "what is computed": recorded[name],
            "blank frame": f"{scores['blank'][name]:,.{DECIMALS[name]}f}",
            "repeat last frame": f"{scores['repeat_last'][name]:,.{DECIMALS[name]}f}",
        }
        for name in DECIMALS
    ]


NOISE = {"ssim_article": 0.00134, "ssim_openstl": 0.00203, "mse": 0.145, "mae": 0.172, "psnr": 0.0293}
"""One sd of differences at preset cpu (docs/results/2026-11-26-cpu); to one digit, the margin of a metric that does not decide."""


def verdicts_by_metric(raw: Raw) -> dict[str, dict[str, tuple[str, str]]]:
    """Method -> metric -> (verdict, mean difference with its interval at Holm's level within the metric)."""
    found: dict[str, dict[str, tuple[str, str]]] = {method: {} for method in METHODS[1:]}
    for metric in DECIMALS:
        values = {
            method: np.array([one["metrics"][metric] for one in raw.select(method).values()])
            - np.array([one["metrics"][metric] for one in raw.select("base").values()])
            for method in METHODS[1:]
        }
        margin = float(f"{NOISE[metric]:.0e}") if metric in NOISE else MARGIN
        alone = [stats.ttest_1samp(one, 0).pvalue for one in values.values()]
        p, at, decimals = holm(alone), levels(alone), 1 - math.floor(math.log10(margin))
        low = [stats.ttest_1samp(one, -margin, alternative="greater").pvalue for one in values.values()]
        high = [stats.ttest_1samp(one, margin, alternative="less").pvalue for one in values.values()]
        q = holm([max(pair) for pair in zip(low, high, strict=True)])
        for k, (method, one) in enumerate(values.items()):
            better = one.mean() > 0 if METRICS[metric].higher_is_better else one.mean() < 0
            word = "equivalent" if q[k] <= 0.05 else "undecided" if p[k] > 0.05 else "helps" if better else "hurts"
            gain = f"{signed(float(one.mean()), decimals)} {bracket(one.tolist(), decimals, sign=True, level=at[k])}"
            found[method][metric] = word, gain
    return found


def trace_by_metric(raw: Raw, suffix: str) -> list[Row]:
    return [
        {
            "arm": method,
            **{
                "SSIM decides" if metric == "ssim" else METRICS[metric].title: f"{word} {gain}"
                for metric, (word, gain) in by_metric.items()
            },
        }
        for method, by_metric in verdicts_by_metric(raw).items()
    ]


def trace_chosen(raw: Raw, suffix: str) -> list[Row]:
    def on_validation(method: str) -> np.ndarray:
        return np.array([one["training"]["validation_ssim"] for one in raw.select(method).values()])

    rows: list[Row] = []
    for method in METHODS:
        runs, chosen = raw.select(method), on_validation(method)
        tested = np.array(finite(runs))
        row = {
            "method": method,
            "validation SSIM, mean": f"{chosen.mean():.4f}",
            "validation SSIM, 95% interval": bracket(list(chosen)),
            "SSIM, mean": average(runs),
            "SSIM, 95% interval": spread(runs),
            "validation minus test": signed(float(np.mean(chosen - tested))),
        }
        if method != "base":
            row["gain over base on validation"] = signed(float(np.mean(chosen - on_validation("base"))))
            row["gain over base on test"] = signed(float(np.mean(tested - np.array(finite(raw.select("base"))))))
        rows.append(row)
    return rows


def trace_provenance(raw: Raw, suffix: str) -> list[Row]:
    run = raw.runs[0]
    environment = run["environment"]
    for name in ("device_name", "git", "harness", "python", "platform", "packages"):
        assert all(one["environment"][name] == environment[name] for one in raw.runs)
    values = {
        "test set": run["test_digest"],
        "digits": f"{run['digits']['source']}: {run['digits']['digest']}",
        "training revision": str(run["revisions"]["training"]),
        "metric conventions, version": run["conventions"]["version"],
        "device": environment["device_name"],
        "code (git)": environment["git"]["commit"][:12],
        **{name: environment[name] for name in ("harness", "python", "platform")},
        **environment["packages"],
    }
    return [{"what": name, "value": str(value)} for name, value in values.items()]


def trace_sources(raw: Raw, suffix: str) -> list[Row]:
    plugins = {name: importlib.import_module(f"variants.{name}").VARIANT for name in ("attention", "base", "tta")}
    return [
        {"variant": name, "what it does": one.summary, "source": one.source, "cite": one.citation or one.source}
        for name, one in plugins.items()
    ]


def trace_trials(raw: Raw, suffix: str) -> list[Row]:
    study = json.loads((raw.root / "studies" / "one.json").read_text())
    return [
        {
            "trial": str(one["number"]),
            "state": one["state"].lower(),
            **{name: f"{value:.4g}" for name, value in one["params"].items()},
            "validation SSIM": f"{one['value']:.4f}",
            "seeds": "2",
            "runs": " ".join(one["run_ids"]),
        }
        for one in study["trials"]
    ]


def trace_arms(raw: Raw, suffix: str) -> list[Row]:
    return [
        {"arm": "article", "setting": "training.max_lr 0.003", "validation SSIM": "0.4123", "note": "section 3"},
        {"arm": "preset", "setting": "the preset's", "validation SSIM": "-", "note": "pruned at step 40"},
    ]


def trace_confirmed(raw: Raw, suffix: str) -> list[Row]:
    study = json.loads((raw.root / "studies" / "one.json").read_text())
    return [
        {
            "setting": one["name"],
            "parameters": f"stub.x {one['settings']['stub.x']:.4g}",
            "test SSIM, mean": f"{np.mean(list(one['values'].values())):.4f}",
            **{f"seed {seed}": f"{value:.4f}" for seed, value in one["values"].items()},
        }
        for one in study["confirm"]["rows"]
    ]


TRACERS: dict[str, Tracer] = {
    "ablation": trace_ablation, "metrics": trace_metrics, "costs": trace_costs, "seeds": trace_seeds, "ratios": trace_ratios,
    "statistics": trace_statistics, "pairs": trace_pairs, "a-a": trace_a_a, "effects": trace_effects,
    "losses": trace_losses, "rates": trace_rates, "rest": trace_rest, "missing": trace_missing,
    "by-metric": trace_by_metric, "chosen": trace_chosen,
    "conventions": trace_conventions, "provenance": trace_provenance, "sources": trace_sources,
    "study-1-trials": trace_trials, "study-1-arms": trace_arms, "study-1-confirmed": trace_confirmed,
}  # fmt: skip


def tracer(id_: str) -> tuple[Tracer, str]:
    """The tracer of a table and the rest of its id. Raises AssertionError for a table that nothing traces."""
    for name in sorted(TRACERS, key=len, reverse=True):
        if id_ == name or (id_.startswith(f"{name}-") and id_.removeprefix(name) in ("-seconds", "-flops", "-2")):
            return TRACERS[name], id_.removeprefix(name)
    raise AssertionError(f"table {id_!r} is traced by nothing")


def check(raw: Raw, found: Table) -> int:
    """Holds every cell with a digit against its tracing; returns how many there were."""
    trace, suffix = tracer(found.id)
    expected = trace(raw, suffix)
    assert len(expected) == len(found.rows), f"{found.id}: {len(found.rows)} rows, {len(expected)} traced"
    key = "seed" if found.columns[1] == "seed" else found.columns[0]
    by_key = {(row[found.columns[0]], row[key]): row for row in expected}
    assert len(by_key) == len(expected)
    count = 0
    for cells in found.rows:
        shown = dict(zip(found.columns, (cell.text for cell in cells), strict=True))
        row = by_key.pop((shown[found.columns[0]], shown[key]), None)
        assert row is not None, f"{found.id}: the row {cells[0].text!r} is traced by nothing"
        assert set(row) <= set(shown), f"{found.id} lacks {set(row) - set(shown)}"
        for column, text in shown.items():
            where = f"{found.id}, {cells[0].text}, {column}: {text!r}"
            if column in row:
                value = row[column]
                assert value.fits(text) if isinstance(value, Near) else text == value, f"{where}, traced {value!r}"
            assert column in row or not re.search(r"\d", text), f"{where} is traced by nothing"
            count += bool(re.search(r"\d", text))
    return count


# --- the claims


def tables(page: Page) -> list[Table]:
    return [table for section in page.sections for table in section.tables]


def table(page: Page, id_: str) -> Table:
    return next(table for table in tables(page) if table.id == id_)


def rows(page: Page, id_: str) -> dict[str, dict[str, str]]:
    found = table(page, id_)
    return {row[0].text: {name: cell.text for name, cell in zip(found.columns, row, strict=True)} for row in found.rows}


def test_every_number_of_every_table_is_traced(page: Page, raw: Raw) -> None:
    counts = {found.id: check(raw, found) for found in tables(page)}
    assert set(counts) == {
        "ablation", "ablation-seconds", "ablation-flops", "ablation-2", "metrics", "costs", "costs-seconds", "costs-flops",
        "by-metric", "chosen", "ratios", "ratios-seconds", "ratios-flops",
        "seeds", "seeds-seconds", "seeds-flops", "seeds-2", "statistics", "statistics-seconds", "statistics-flops",
        "statistics-2", "pairs", "pairs-seconds", "pairs-flops", "a-a", "effects", "losses", "rates", "rest", "missing",
        "study-1-trials", "study-1-arms", "study-1-confirmed", "conventions", "provenance", "sources",
    }  # fmt: skip
    assert sum(counts.values()) > 1400
    assert all(counts.values())


def test_steps_that_were_skipped_stand_beside_their_run(page: Page) -> None:
    found = table(page, "seeds")
    shown = [dict(zip(found.columns, (cell.text for cell in row), strict=True)) for row in found.rows]
    skipped = {(row["method"], row["seed"]): row["skipped steps"] for row in shown if row["skipped steps"] != "0"}
    assert skipped == {("attention", "2"): str(SKIPPED), ("attention+tta", "2"): str(SKIPPED)}


@pytest.mark.parametrize("id_", ["ablation-seconds", "costs-flops", "seeds-2", "study-1-trials", "missing"])
def test_a_wrong_or_new_number_does_not_pass_the_tracing(page: Page, raw: Raw, id_: str) -> None:
    good = table(page, id_)
    column = next(k for k, cell in enumerate(good.rows[0]) if k > 1 and re.fullmatch(r"[\d.,]+", cell.text))
    wrong = list(good.rows[0])
    wrong[column] = Value(f"{wrong[column].text}1")
    with pytest.raises(AssertionError, match="traced"):
        check(raw, replace(good, rows=(tuple(wrong), *good.rows[1:])))
    new = tuple((*row, Value("0.5")) for row in good.rows)
    with pytest.raises(AssertionError, match="is traced by nothing"):
        check(raw, replace(good, columns=(*good.columns, "new"), rows=new))
    with pytest.raises(AssertionError, match="rows"):
        check(raw, replace(good, rows=good.rows[1:]))
    with pytest.raises(AssertionError, match="traced by nothing"):
        check(raw, replace(good, id="new"))


class _Cells(HTMLParser):
    """Table id -> rows of cells, as the page's HTML has them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []  # of the first screen, whose numbers have a test of their own
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        if tag == "div" and named.get("class") == "table":
            self._rows = self.tables.setdefault(str(named["id"]).removeprefix("table-"), [])
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._inside = True
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self._rows[-1][-1] += data


def test_the_html_has_the_tables_that_were_traced_and_no_other(page: Page, tmp_path: Path) -> None:
    write(page, tmp_path)
    text = (tmp_path / "index.html").read_text()
    shown = _Cells(text).tables
    assert text.count("<table") == len(shown) + 1  # the first screen's
    assert shown == {one.id: [list(one.columns), *([cell.text for cell in row] for row in one.rows)] for one in tables(page)}


def numbers(text: str) -> list[str]:
    return re.findall(r"[-+]?\d[\d,]*\.?\d*(?<!,)(?<!\.)", text)


def figures(raw: Raw) -> dict[str, tuple[list[str], list[str]]]:
    """Figure -> the numbers of its text alternative and of its caption, in order."""
    main, found = raw.group(""), {}
    outside = [f"{raw.select('base')[0]['baselines'][name]['ssim']:.4f}" for name in ("blank", "repeat_last")]
    seconds, parameters = [], []
    for suffix in ("", "-seconds", "-flops"):
        for runs in raw.group(suffix).values():
            seconds += [average(runs), f"{np.mean([one['training']['seconds'] for one in runs.values()]):,.3g}"]
    for runs in main.values():
        parameters += [average(runs), f"{runs[0]['params'] / 1e6:.3g}"]
    found["ssim-against-time"] = (seconds, ["95", *outside])
    found["ssim-against-parameters"] = (parameters, ["95", *outside])
    for suffix in ("", "-seconds", "-flops"):
        words = []
        for values, ends in adjusted(raw.group(suffix), suffix).values():
            words += [signed(float(np.mean(values))), *map(signed, ends)]
        found[f"differences{suffix}"] = (words, [f"{MARGIN:g}"])
    found["interactions"] = ([signed(float(np.mean(one))) for one in contrasts(raw).values() if one], ["0.05"])
    for id_, metric in (("by-frame", "ssim"), ("by-frame-mse", "mse")):
        by_frame = [np.mean([one["metrics_per_frame"][metric] for one in runs.values()], axis=0) for runs in main.values()]
        found[id_] = (["1", "10", *(f"{mean[k]:.3f}" for mean in by_frame for k in (0, -1))], [])
    ends = [f"{np.mean([raw.validations(one)[1800][1] for one in runs.values()]):.3f}" for runs in main.values()]
    found["validation"] = (ends, [])
    complete = [one for one in STUDY["trials"] if one["state"] == "COMPLETE"]
    best = max(complete, key=lambda one: one["value"])
    at = [f"{value:.4g}" for value in best["params"].values()]
    found["study-1-history"] = ([f"{complete[0]['value']:.4f}", f"{best['value']:.4f}", "7"], [])
    found["study-1-slices"] = (at, [])
    found["study-1-contour"] = (["7", *at], [])
    return found


def test_every_number_beside_a_plot_is_traced(page: Page, raw: Raw) -> None:
    expected = figures(raw)
    shown = {figure.id: figure for section in page.sections for figure in section.figures}
    assert set(shown) == {*expected, "study-1-importance"}
    for id_, (alt, caption) in expected.items():
        assert (numbers(shown[id_].alt), numbers(shown[id_].caption)) == (alt, caption), id_
    # Importance is a random forest's: two shares of one whole, from the complete trials.
    assert sum(map(int, numbers(shown["study-1-importance"].alt))) == pytest.approx(100, abs=1)
    assert numbers(shown["study-1-importance"].caption) == ["7"]


def test_the_plots_draw_what_the_records_say(page: Page, raw: Raw) -> None:
    main = raw.group("")
    for axes, metric in ((DRAWN["by-frame"][0], "ssim"), (DRAWN["by-frame-mse"][0], "mse")):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        for method, runs in main.items():
            frames = np.mean([one["metrics_per_frame"][metric] for one in runs.values()], axis=0)
            np.testing.assert_allclose(lines[method], frames, rtol=1e-12)
        np.testing.assert_allclose(lines["blank frame"], raw.runs[0]["baselines_per_frame"]["blank"][metric])
    for axes, column in zip(DRAWN["validation"], (None, 0), strict=True):
        for line in axes.lines:
            curves = [raw.validations(one) for one in main[line.get_label()].values()]
            np.testing.assert_allclose(line.get_ydata(), np.mean([[v for _, v in one.values()] for one in curves], axis=0))
            x = list(curves[0]) if column is None else np.mean([[s for s, _ in one.values()] for one in curves], axis=0)
            np.testing.assert_allclose(line.get_xdata(), x)
    for suffix in ("", "-seconds", "-flops"):
        (axes,) = DRAWN[f"differences{suffix}"]
        ticks = [line.get_xdata() for line in axes.lines if line.get_marker() == "." and line.get_linestyle() == "None"]
        expected = list(differences(raw.group(suffix)).values())
        per_seed = [list(one) for one in ticks if len(one) == len(SEEDS)]
        assert per_seed == [pytest.approx(one) for one in expected]
        bars = [bar.lines[2][0].get_segments()[0][:, 0] for bar in axes.containers]
        assert [list(bar) for bar in bars] == [
            pytest.approx(ends) for _, ends in adjusted(raw.group(suffix), suffix).values()
        ]
    for axes in (DRAWN["study-1-slices"][0], DRAWN["study-1-contour"][0]):
        assert (axes.get_xscale(), axes.xaxis.get_major_formatter()(0.01, 0)) == ("log", "0.01")
    heat = DRAWN["interactions"][0].collections[0].get_array()
    effects = [float(np.mean(one)) for one in contrasts(raw).values() if one]
    assert heat[~np.ma.getmaskarray(heat)].ravel().tolist() == pytest.approx([effects[0], effects[2], effects[1]])
    points = {bar.get_label(): bar.lines[0].get_xydata()[0] for bar in DRAWN["ssim-against-parameters"][0].containers}
    for method, runs in main.items():
        assert points[method] == pytest.approx((runs[0]["params"] / 1e6, np.mean(finite(runs))))


def test_every_number_of_the_summary_and_the_facts_is_traced(page: Page, raw: Raw) -> None:
    main = rows(page, "ablation")
    first, *sentences = page.summary
    low, high = interval(finite(raw.select("base")))
    baselines = [main[name]["SSIM, mean"] for name in ("blank frame", "repeat last frame")]
    assert numbers(first) == [
        main["base"]["SSIM, mean"],
        f"{low:.4f}",
        f"{high:.4f}",
        "4",
        "1800",
        "32",
        "12",
        "12",
        *baselines,
    ]
    assert "ab12ab12" in first
    for method, sentence in zip(METHODS[1:], sentences, strict=False):
        row = main[method]
        assert sentence == (
            f"{method}: {row['gain over base (SSIM)']} SSIM {row['gain, adjusted interval']} over base, "
            f"{costs_in_words(raw, method, row)}, 4 seeds: "
            f"{rows(page, 'statistics')[f'{method} - base']['verdict']}."
        )
    for match, sentence in zip(("seconds", "flops"), sentences[3:], strict=True):
        shown = rows(page, f"ablation-{match}")
        for method in METHODS[1:3]:
            row, words = shown[method], rows(page, f"statistics-{match}")[f"{method} - base"]["verdict"]
            assert f"{method} {row['gain over base (SSIM)']} SSIM {row['gain, adjusted interval']}: {words}" in sentence
        assert len(numbers(sentence)) == sum(len(numbers(part)) for part in re.split(": |; ", sentence.split(": ", 1)[1]))
    settings = raw.select("base")[0]["settings"]
    assert page.facts == {
        "Preset": "cpu: 32x32 canvas, 14-pixel digits, three layers; minutes on two cores",
        "Budget": f"{settings['training']['steps']} steps, batch {settings['training']['batch_size']}",
        "Precision": settings["training"]["precision"],
        "Loss": loss_in_words(settings),
        "Seeds": "0, 1, 2, 3",
        "Runs": f"{len(METHODS) * len(SEEDS)} in the first table",
        "Device": fake_store.DEVICE,
        "Test set": f"{raw.runs[0]['test_digest'][:16]}, {settings['data']['test_sequences']} sequences",
        "Versions": "torch 2.13.0",
        "Margin": f"{MARGIN:g} SSIM",
    }


def costs_in_words(raw: Raw, method: str, row: dict[str, str]) -> str:
    one, base = raw.select(method)[0], raw.select("base")[0]
    more = f"{one['params'] / base['params'] - 1:+.0%} parameters"
    inference = f"{one['flops_per_sequence'] / base['flops_per_sequence']:.2f}x inference"
    costs = (f"{row['training time (x base)']}{time_interval(raw, method)} training time", more, inference)
    return ", ".join(cost for cost in costs if cost not in ("+0% parameters", "1.00x inference"))


def time_interval(raw: Raw, method: str) -> str:
    """' [1.15x, 1.26x]', by scipy; empty where the same trainings are behind both."""
    own, base = raw.select(method), raw.select("base")
    logs = np.log(
        [one["training"]["seconds"] / base[seed]["training"]["seconds"] for seed, one in own.items() if seed in base]
    )
    if np.ptp(logs) < 1e-12:
        return ""
    low, high = np.exp(stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs)))
    return f" [{low:.2f}x, {high:.2f}x]"


def test_every_number_of_the_first_screen_is_traced(page: Page, raw: Raw) -> None:
    answer, main, tests = page.answer, rows(page, "ablation"), rows(page, "statistics")
    assert answer is not None
    base, *effects = answer.effects
    assert (base.name, base.text) == ("base", f"{main['base']['SSIM, mean']} {main['base']['SSIM, 95% interval']}")
    assert [one.name for one in effects] == [*METHODS[1:3], "all together"]
    deltas = adjusted(raw.group(""))
    for one, method in zip(effects, METHODS[1:], strict=True):
        row, (values, ends) = main[method], deltas[method]
        assert one.gain == pytest.approx(np.mean(values))
        assert (one.low, one.high) == pytest.approx(ends)
        assert one.text == f"{row['gain over base (SSIM)']} {row['gain, adjusted interval']}"
        assert one.cost == costs_in_words(raw, method, row)
        if one.verdict in ("helps", "hurts"):
            assert one.sure == f"p {tests[f'{method} - base']['p (Holm)']}, 4 seeds"
        assert tests[f"{method} - base"]["verdict"].startswith(one.verdict)
    assert answer.margin == MARGIN
    blank = main["blank frame"]["SSIM, mean"]
    a_a, learnt, lost, *others, asked = answer.controls
    assert [(one.passed, numbers(one.words)) for one in (a_a, lost)] == [(True, ["1"]), (False, ["2"])]
    frames = [
        [
            np.mean([one["metrics_per_frame"][metric] for one in raw.select(method).values()], axis=0)
            - raw.select("base")[0]["baselines_per_frame"]["blank"][metric]
            for metric in DECIMALS
        ]
        for method in METHODS
    ]
    signs = np.array([1 if METRICS[metric].higher_is_better else -1 for metric in DECIMALS])[None, :, None]
    assert (np.array(frames) * signs > 0).all(), "this store's runs beat the blank frame everywhere"
    assert (learnt.passed, numbers(learnt.words)) == (True, [blank, "10"])
    flipped = {
        method: {word for word, _ in by_metric.values()}
        for method, by_metric in verdicts_by_metric(raw).items()
        if any(
            one[0] != by_metric["ssim"][0] and {one[0], by_metric["ssim"][0]} & {"helps", "hurts"}
            for one in by_metric.values()
        )
    }
    assert flipped == {}, "a flip needs a tracing of its own"
    assert [(one.passed, one.words) for one in others] == [(True, "5 other metrics give the same verdicts")]
    assert asked.words == "exploratory: no plan asked before the first run"


def sequences_of(raw: Raw, run_id: str) -> list[float]:
    found: list[float] = json.loads((raw.root / "runs" / run_id / "sequences.json").read_text())["ssim"]
    return found


def loss_in_words(settings: dict) -> str:
    loss = settings["loss"]
    return (
        f"{loss['mse']['weight']} MSE + {loss['ssim']['weight']} (1 - SSIM); SSIM off for the first "
        f"{loss['ssim']['start']:.0%} of training, then rising over {loss['ssim']['ramp']:.0%}"
    )


def test_every_number_of_prose_is_traced(page: Page, raw: Raw) -> None:
    prose = {section.id: [one for one in section.paragraphs if re.search(r"\d", one)] for section in page.sections}
    assert {name for name, found in prose.items() if found} == {"costs", "statistics", "interactions", "study-1", "method"}
    assert prose["costs"] == list(page.summary[4:])
    _, promised, secondary, spread, margin, a_a = prose["statistics"]
    expected = []
    for name in METHODS[1:]:
        sides = [[sequences_of(raw, one["run_id"]) for _, one in sorted(raw.select(who).items())] for who in (name, "base")]
        d = np.subtract(*sides)
        expected.append(f"{name} {stats.sem(d.mean(axis=1)):.2g} and {stats.sem(d.mean(axis=0)):.2g}")
        assert f"draw of {d.shape[1]:,} test sequences" in spread
    assert f"{'; '.join(expected)}." in spread
    assert promised.startswith("4 seeds, 3 comparisons, after Holm's steps: at most")  # see test_promises.py
    assert secondary.startswith("Secondary metrics, each Holm-adjusted in a family of its own")  # see test_secondary.py
    assert numbers(margin) == [f"{MARGIN:g}"]
    assert numbers(a_a) == ["1", "0"]
    assert numbers(prose["interactions"][0]) == ["4"]
    counts, best, confirmed = prose["study-1"]
    assert counts.startswith("Trials: 7 complete, 1 pruned.")
    over = [f"{0.4808 - STUDY['arms'][0]['value']:+.4f}", f"{STUDY['arms'][0]['value']:.4f}"]
    assert numbers(best) == ["5", f"{10 ** (-3 + 0.23 * 5):.4g}", "0.4808", *over, "7"]
    assert confirmed.endswith(json.loads((raw.root / "studies" / "one.json").read_text())["confirm"]["verdict"])
    assert prose["method"][0].startswith(f"Rebuilt from {len(raw.runs)} finished runs by harness {__version__};")
    assert "0 superseded records" in prose["method"][0]
    assert prose["method"][1].startswith(f"Headline metric: SSIM, {raw.runs[0]['conventions']['ssim']}.")
    warnings = " ".join(page.warnings)
    assert "2 planned cells are missing" in warnings
    assert numbers(warnings) == ["1800", str(SHORT), "2"]  # the tables' budgets, the missing cells


def test_missing_losses_are_named_with_their_command(page: Page) -> None:
    section = next(section for section in page.sections if section.id == "losses")
    assert any("Missing: SSIM." in text for text in section.paragraphs)
    assert section.commands == (
        "harness ablate --plan base --preset cpu --seeds 0,1,2,3 --set training.precision=float32 --set loss.mse=none "
        "--set loss.ssim=1 --set loss.ssim.start=0 --set loss.ssim.ramp=0",
    )


def test_copies_stay_out_of_the_rows_of_base(page: Page) -> None:
    assert all(int(cell.text) < 10 for row in table(page, "seeds").rows for cell in [row[1]])


def test_sort_keys_are_the_numbers_shown(page: Page) -> None:
    for one in tables(page):
        for row in one.rows:
            for numeric, cell in zip(one.numeric, row, strict=True):
                match = re.search(r"-?[\d,]+(\.\d+)?", cell.text)
                if numeric and cell.sort is not None and match and not cell.text.startswith("<"):
                    value = float(match.group().replace(",", "")) * (1e6 if cell.text.endswith("M") else 1)
                    assert value == pytest.approx(cell.sort, rel=0.02, abs=6e-3), (one.id, cell)


def test_ids_are_unique(page: Page) -> None:
    ids = [item.id for section in page.sections for item in (*section.tables, *section.figures, *section.pictures)]
    assert len(ids) == len(set(ids))
    assert len(ids) > 40
