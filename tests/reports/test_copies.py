"""A/A plans: judged by the paired test, and the first screen where nothing else compares."""

from __future__ import annotations

from pathlib import Path

import fake_store
import numpy as np
import pytest
from fake_store import Fake, cell, write_run
from scipy import stats

from harness.store import Folder, Store
from harness.variant import Variants
from reports.analysis import copies
from reports.analysis.groups import Group
from reports.analysis.reading import read_store
from reports.analysis.verdicts import Kind
from reports.page import Page
from reports.pages.sections import make_page

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_copies_are_judged_by_the_paired_test(measured: Group) -> None:
    rng = np.random.default_rng(1)
    base, copy = {s: float(rng.normal()) for s in (0, 1, 2, 3)}, {s: float(rng.normal()) for s in (4, 5, 6, 7)}
    (one,) = copies.judged({"plan": (base, copy)}, measured)
    test = stats.ttest_rel(list(copy.values()), list(base.values()))
    assert (one.method, one.p) == ("paired", pytest.approx(test.pvalue))
    assert one.low == pytest.approx(test.confidence_interval(0.95).low)


def test_the_paired_test_of_copies_is_wrong_as_often_as_it_says(measured: Group) -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(300):
        base, copy = (dict(enumerate(rng.normal(0, 0.01, 5).tolist(), start)) for start in (0, 5))
        (one,) = copies.judged({"plan": (base, copy)}, measured)
        alarms += one.verdict.kind in (Kind.HELPS, Kind.HURTS)
    assert stats.binomtest(alarms, 300, 0.05).pvalue > 1e-3


def page_of(root: Path) -> Page:
    store = Store(root)
    return make_page(store, read_store(store), Variants(third_party=False))


def write_copies(root: Path, name: str, base: list[float], copy: list[float], first: int) -> None:
    """An A/A plan whose runs have these SSIMs, at seeds from `first` on."""
    cells = []
    with fake_store.without_sync():
        for label, values, start in (("base", base, first), ("base-copy", copy, first + len(base))):
            for seed, value in enumerate(values, start):
                run_id = write_run(root, cell("base", seed), Fake(ssim=value))
                cells.append(
                    {"label": label, "variant": "base", "seed": seed, "run_id": run_id, "status": "finished", "error": None}
                )
    texts = {"plan": "a-a", "match": "steps", "preset": "cpu", "reference": "base", "command": "", "cells": cells}
    Folder(root / "plans").write(f"{name}.json", texts | {"question": {}, "known_before": 0, "departures": []})


def test_a_plan_of_copies_answers_whether_noise_is_called_a_difference(tmp_path: Path) -> None:
    base, copy = [0.80, 0.81, 0.79, 0.80], [0.79, 0.82, 0.80, 0.80]
    write_copies(tmp_path, "p", base, copy, 0)
    answer = page_of(tmp_path).answer
    assert answer is not None
    assert answer.headline == "No difference is called between base and its copy."
    reference, row = answer.effects
    test = stats.ttest_rel(copy, base)
    interval = test.confidence_interval(0.95)
    assert (reference.name, reference.sure) == ("base", "4 seeds")
    assert (row.name, row.verdict) == ("its copy", "undecided")
    assert row.gain == pytest.approx(np.mean(np.subtract(copy, base)))
    assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
    assert row.sure == f"4 pairs, sd {np.std(np.subtract(copy, base), ddof=1):.4f}"
    passed = {one.words: one.passed for one in answer.controls}
    assert passed["false verdicts: 0 of 1 A/A plan; by chance one in twenty"] is True
    assert passed["all 8 runs finished"] is True


def test_false_verdicts_of_several_plans_of_copies_are_counted(tmp_path: Path) -> None:
    write_copies(tmp_path, "p", [0.80, 0.81, 0.79, 0.80], [0.79, 0.82, 0.80, 0.80], 0)
    write_copies(tmp_path, "q", [0.800, 0.801, 0.799, 0.800], [0.901, 0.899, 0.900, 0.900], 20)
    answer = page_of(tmp_path).answer
    assert answer is not None
    assert answer.headline == "1 of 2 A/A plans call a difference between base and its copy: false verdicts."
    assert sorted(one.verdict for one in answer.effects[1:]) == ["helps", "undecided"]
    assert (False, "false verdicts: 1 of 2 A/A plans; by chance one in twenty") in [
        (one.passed, one.words) for one in answer.controls
    ]
