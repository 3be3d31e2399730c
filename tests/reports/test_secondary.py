"""Metrics beside the judged one, frames against a blank one, costs and their front, test sequences, A/A by the paired test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import fake_store
import numpy as np
import pytest
from fake_store import Fake, cell, write_run
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.store import Store
from reports.analysis import copies, costs, secondary, sequences
from reports.analysis.groups import Group
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.analysis.verdicts import Kind

SEEDS = range(6)
ARMS = ("base", "attention", "curriculum")
GAINS = {"base": (0.0, 0.0, 0.0), "attention": (0.02, -3.0, 1.5), "curriculum": (0.02, 0.0, -1.5)}
"""Arm -> what it adds to SSIM, MSE and MAE."""


def figures(name: str, seed: int) -> dict[str, float | None]:
    rng = np.random.default_rng([seed, len(name)])
    ssim, mse, mae = GAINS[name]
    return {
        "ssim": 0.5 + 0.01 * seed + ssim + 0.002 * rng.standard_normal(),
        "mse": 25 + 0.1 * seed + mse + 0.2 * rng.standard_normal(),
        "mae": 50 + 0.1 * seed + mae + 0.2 * rng.standard_normal(),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("secondary")
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
    return root


@pytest.fixture(scope="module")
def main(root: Path) -> Group:
    return analyse(read_store(Store(root))).groups[0]


def test_each_metric_has_its_own_family_and_margin(main: Group) -> None:
    found = {one.metric: one for one in secondary.secondary(main)}
    assert {"mse", "mae", "psnr", "ssim_article"} <= set(found)
    assert "ssim" not in found  # the judged one
    for metric in ("mse", "mae"):
        one = found[metric]
        assert not one.higher_is_better
        d = {arm: [figures(arm, s)[metric] - figures("base", s)[metric] for s in SEEDS] for arm in ARMS[1:]}
        raw = [stats.ttest_1samp(values, 0).pvalue for values in d.values()]
        adjusted = multipletests(raw, method="holm")[1]
        assert [row.p_adjusted for row in one.comparisons] == pytest.approx(adjusted)
        for row in one.comparisons:
            joint = stats.ttest_1samp(d[row.name], 0).confidence_interval(1 - 0.05 / 2)
            assert (row.low_joint, row.high_joint) == pytest.approx((joint.low, joint.high))
    verdicts = {(one.metric, row.name): row.verdict.kind for one in found.values() for row in one.comparisons}
    assert verdicts["mse", "attention"] is Kind.HELPS
    assert verdicts["mae", "attention"] is Kind.HURTS
    assert verdicts["mae", "curriculum"] is Kind.HELPS


def test_a_verdict_that_turns_with_the_metric_is_said_first(main: Group) -> None:
    others = secondary.secondary(main)
    found = secondary.flips(main, others)
    assert [one.name for one in found] == ["attention", "curriculum"]
    assert (found[0].turned, found[1].turned) == (("MAE",), ())
    assert "helps by SSIM" in found[0].words
    assert "hurts by MAE" in found[0].words
    assert "Opposite claims: attention." in secondary.flip_words(found, others)
    assert "the same by all of them" in secondary.flip_words((), others)


def test_frames_above_a_blank_one_by_every_metric(main: Group) -> None:
    found = {one.name: one for one in secondary.above_blank(main)}
    # SSIM of 0.5 is below the blank frame's 0.722 from the first frame on; MSE of 200 above its 178.6 from the fifth.
    curriculum = found["curriculum"]
    assert (curriculum.frames["ssim"], curriculum.frames["mse"], curriculum.frames["mae"]) == (0, 4, 10)
    assert (curriculum.every, curriculum.horizon) == (0, 10)
    assert "curriculum to frame 0 of 10 (first to fail: ssim" in secondary.blank_words((curriculum,))


def test_cost_ratios_are_geometric_means_with_t_intervals_over_seeds(main: Group) -> None:
    found = costs.ratios(main)["attention"]
    base, arm = ({run.seed: run for run in main.runs if run.variant == name} for name in ("base", "attention"))
    for name, of in {"training time": lambda r: r.seconds, "inference time": lambda r: 1 / r.frames_per_second}.items():
        logs = [math.log(of(arm[s]) / of(base[s])) for s in SEEDS]
        interval = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
        assert found[name].ratio == pytest.approx(stats.gmean(np.exp(logs)))
        assert (found[name].low, found[name].high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))
    assert found["parameters"] == (pytest.approx(arm[0].params / base[0].params), None, None, len(SEEDS), False)
    assert costs.ratios(main)["curriculum"]["training operations"].at_most
    assert not found["training operations"].at_most


def test_training_operations_are_those_of_a_flops_plan() -> None:
    """Against `training_flops`, which counts every step of the real network."""
    from harness.component import Shape
    from harness.evaluation.cost import forward_cost, training_flops

    made = cell("attention", 0, "tiny").experiment
    shape = Shape(1, 32, 32, made.data.input_frames, made.data.horizon)
    flops = forward_cost(made, shape, made.data.horizon)[1]
    settings: dict[str, Any] = {
        "inference.views": [view.name for view in made.inference.views],
        "training.batch_size": made.training.batch_size,
    }
    run = type("Run", (), {"settings": settings, "steps": float(made.training.steps or 0), "flops": float(flops)})
    assert costs.operations(run) == pytest.approx(training_flops(made, shape))  # type: ignore[arg-type]


def test_the_front_is_of_arms_that_no_other_beats_in_both(main: Group) -> None:
    found = costs.front(main)
    points = {"base": (1.0, 0.0)} | {
        name: (costs.ratios(main)[name]["training time"].ratio, main.comparisons[name].mean) for name in ARMS[1:]
    }
    on = {a for a, (x, y) in points.items() if not any(p <= x and q >= y and (p, q) != (x, y) for p, q in points.values())}
    assert set(found) == on
    words = costs.front_words({"training time": found, "memory": found, "parameters": ["base"], "inference time": []})
    assert words == (
        "Not beaten by another arm's means (Pareto front) "
        f"against training time and memory: {', '.join(found)}; against parameters: base."
    )


def test_spread_over_seeds_and_over_test_sequences(root: Path, main: Group) -> None:
    found = sequences.spreads(Store(root), main)["attention"]
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


def test_copies_are_judged_by_the_paired_test(main: Group) -> None:
    rng = np.random.default_rng(1)
    base, copy = {s: float(rng.normal()) for s in (0, 1, 2, 3)}, {s: float(rng.normal()) for s in (4, 5, 6, 7)}
    (one,) = copies.judged({"plan": (base, copy)}, main)
    test = stats.ttest_rel(list(copy.values()), list(base.values()))
    assert (one.method, one.p) == ("paired", pytest.approx(test.pvalue))
    assert one.low == pytest.approx(test.confidence_interval(0.95).low)


def test_the_paired_test_of_copies_is_wrong_as_often_as_it_says(main: Group) -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(300):
        base, copy = (dict(enumerate(rng.normal(0, 0.01, 5).tolist(), start)) for start in (0, 5))
        (one,) = copies.judged({"plan": (base, copy)}, main)
        alarms += one.verdict.kind in (Kind.HELPS, Kind.HURTS)
    assert stats.binomtest(alarms, 300, 0.05).pvalue > 1e-3
