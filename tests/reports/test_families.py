"""The family of comparisons is the plan's; failures stay in it; what else lies in the store is exploratory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_store
import pytest
from fake_store import Fake, cell, write_run
from scipy import stats
from statsmodels.stats.multitest import multipletests

from harness.store import Folder, Store
from harness.variant import Variants
from reports.analysis.overview import analyse
from reports.analysis.reading import read_document, read_store
from reports.analysis.verdicts import Kind
from reports.pages.plan import plan_words
from reports.pages.sections import make_page

SEEDS = range(5)
NOISE = {"base": (0, 3, 1, 4, 2), "attention": (2, 5, 2, 7, 3), "residual": (1, 3, 3, 4, 4), "tta": (9, 1, 5, 2, 8)}


def ssim(name: str, seed: int) -> float:
    return 0.8 + 0.001 * NOISE[name][seed % 5]


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, dict[tuple[str, int], str]]:
    with fake_store.without_sync():
        ids = {
            (name, seed): write_run(tmp_path, cell(name, seed), Fake(ssim=ssim(name, seed)))
            for name in NOISE
            for seed in SEEDS
        }
        ids["base", 5] = write_run(tmp_path, cell("base", 5), Fake(ssim=0.1))
        ids["attention", 5] = write_run(tmp_path, cell("attention", 5), Fake(ssim=0.9))
    return tmp_path, ids


def plan(root: Path, ids: dict[tuple[str, int], str], failed: tuple[tuple[str, int], ...] = (), **question: Any) -> None:
    arms = ("base", "attention", "residual", "attention+residual")[: 4 if failed else 3]
    cells = [
        {
            "label": name,
            "variant": name,
            "seed": seed,
            "run_id": None if (name, seed) in failed else ids.get((name, seed)),
            "status": "failed" if (name, seed) in failed else "finished",
            "error": None,
        }
        for name in arms
        for seed in SEEDS
    ]
    asked = {
        "contrasts": [{"name": name, "treated": name, "reference": "base"} for name in arms[1:]],
        "metric": "ssim", "higher_is_better": True, "margin": 0.01, "margin_from": "given", "digest": "d1",
    }  # fmt: skip
    texts = {"plan": "add-one", "match": "steps", "preset": "tiny", "reference": "base", "command": "", "cells": cells}
    Folder(root / "plans").write("p.json", texts | {"question": asked | question, "known_before": 0, "departures": []})


def test_the_family_and_the_seeds_are_the_plans(filled: tuple[Path, dict[tuple[str, int], str]]) -> None:
    root, ids = filled
    plan(root, ids)
    (group, *_) = analyse(read_store(Store(root))).groups
    p = [
        stats.ttest_rel([ssim(name, s) for s in SEEDS], [ssim("base", s) for s in SEEDS]).pvalue
        for name in ("attention", "residual")
    ]
    adjusted = multipletests(p, method="holm")[1]
    for name, value in zip(("attention", "residual"), adjusted, strict=True):
        assert group.comparisons[name].p_adjusted == pytest.approx(value)
        assert group.comparisons[name].n == 5  # base and attention have a sixth seed in the store
    assert (group.margin, group.exploratory) == (0.01, ("tta",))
    words = " ".join(plan_words(group))
    assert "Plan d1" in words
    assert "Exploratory: seeds 5 lie in the store" in words
    assert "not in the plan's family: tta" in words


def test_failed_cells_block_their_arm_and_stay_in_the_family(filled: tuple[Path, dict[tuple[str, int], str]]) -> None:
    root, ids = filled
    plan(root, ids, failed=(("residual", 3), *(("attention+residual", seed) for seed in SEEDS)))
    (group, *_) = analyse(read_store(Store(root))).groups
    assert group.comparisons["residual"].verdict.kind is Kind.FAILED
    assert "its seed 3" in group.comparisons["residual"].verdict.words
    assert group.comparisons["attention+residual"].verdict.kind is Kind.FAILED
    p = stats.ttest_rel([ssim("attention", s) for s in SEEDS], [ssim("base", s) for s in SEEDS]).pvalue
    assert group.comparisons["attention"].p_adjusted == pytest.approx(min(1, 3 * p))


def test_another_metric_is_judged_in_its_direction(filled: tuple[Path, dict[tuple[str, int], str]]) -> None:
    root, ids = filled
    plan(root, ids, metric="mse", higher_is_better=False, margin=0.5)
    (group, *_) = analyse(read_store(Store(root))).groups
    runs = {method.label: method.values("mse") for method in group.methods}
    found = group.comparisons["attention"]
    assert found.mean == pytest.approx(sum(runs["attention"][s] - runs["base"][s] for s in SEEDS) / 5)
    assert (group.metric, group.margin) == ("mse", 0.5)


def test_a_plan_is_judged_by_the_test_that_it_names(filled: tuple[Path, dict[tuple[str, int], str]]) -> None:
    root, ids = filled
    plan(root, ids, test="exact Wilcoxon signed-rank over seeds")
    main = analyse(read_store(Store(root))).groups[0]
    for one in main.contrasts:
        d = [round(ssim(one.name, seed) - ssim("base", seed), 6) for seed in SEEDS]
        pairs = sorted((a + b) / 2 for i, a in enumerate(d) for b in d[i:])
        assert (one.test, one.mean) == ("signed-rank", pytest.approx(pairs[len(pairs) // 2]))
        assert one.verdict.kind in (Kind.EQUIVALENT, Kind.UNDECIDED)  # five seeds reach .0625 at best
    text = " ".join(next(one for one in make_page(Store(root), read_store(Store(root)), Variants()).sections
                         if one.id == "statistics").paragraphs)  # fmt: skip
    assert "5 seeds, 2 comparisons: the least p of the signed-rank test is 0.062" in text


def test_a_margin_set_afterwards_is_exploratory(filled: tuple[Path, dict[tuple[str, int], str]]) -> None:
    root, ids = filled
    plan(root, ids)
    (group, *_) = analyse(read_store(Store(root)), 0.002).groups
    assert group.margin == 0.002
    assert "Exploratory: the margin was set to 0.002 afterwards." in plan_words(group)


def test_a_run_that_skipped_all_steps_is_a_failure(filled: tuple[Path, dict[tuple[str, int], str]]) -> None:
    root, ids = filled
    folder = Folder(root / "runs" / ids["residual", 2])
    result = folder.read("result.json")
    result["training"]["skipped_steps"] = result["training"]["steps"]
    folder.write("result.json", {name: value for name, value in result.items() if name not in ("format", "sha256")})
    plan(root, ids)
    (group, *_) = analyse(read_store(Store(root))).groups
    assert group.comparisons["residual"].verdict.kind is Kind.FAILED
    assert "its seed 2" in group.comparisons["residual"].verdict.words


def test_controls_pass_or_fail_in_words(filled: tuple[Path, dict[tuple[str, int], str]]) -> None:
    root, ids = filled
    plan(root, ids, controls={"tta": "helps"})
    record = Folder(root / "plans").read("p.json")
    more = [dict(record["cells"][0], label="tta", variant="tta", seed=s, run_id=ids["tta", s]) for s in SEEDS]
    kept = {name: value for name, value in record.items() if name not in ("format", "sha256")}
    Folder(root / "plans").write("p.json", kept | {"cells": [*record["cells"], *more]})
    (group, *_) = analyse(read_store(Store(root))).groups
    (control,) = group.controls
    p = stats.ttest_rel([ssim("tta", s) for s in SEEDS], [ssim("base", s) for s in SEEDS]).pvalue
    assert control.p_adjusted == pytest.approx(p)  # a family of its own
    assert plan_words(group)[-1].startswith(
        "The regime failed its controls, so its verdicts mean little: tta equivalent within 0.01 (must be helps)"
    )
    store = Store(root)
    answer = make_page(store, read_store(store), Variants(third_party=False)).answer
    assert answer is not None
    assert "tta" not in [one.name for one in answer.effects]  # a control is no idea
    (check,) = (one for one in answer.controls if one.words.startswith("tta"))
    assert (check.passed, "tta equivalent" in check.words, ", must help" in check.words) == (False, True, True)
    record["question"]["controls"]["base(training.steps=12)"] = "helps"  # planned and not run: no alarm, and not passed
    Folder(root / "plans").write("p.json", {n: v for n, v in record.items() if n not in ("format", "sha256")})
    page = make_page(store, read_store(store), Variants(third_party=False))
    assert page.answer is not None
    (late,) = (one for one in page.answer.controls if one.words.startswith("base(training.steps=12)"))
    assert (late.passed, late.words.endswith("not run, must help")) == (None, True)


def test_a_plan_whose_reference_alone_ran_is_the_plan_of_its_runs(tmp_path: Path) -> None:
    with fake_store.without_sync():
        ids = {("base", seed): write_run(tmp_path, cell("base", seed), Fake(ssim=ssim("base", seed))) for seed in SEEDS}
    plan(tmp_path, ids, controls={"residual": "hurts"})
    store = Store(tmp_path)
    answer = make_page(store, read_store(store), Variants(third_party=False)).answer
    assert answer is not None
    words = [one.words for one in answer.controls]
    assert "as plan d1 asked beforehand" in words
    assert "residual not run, must hurt" in words
    (attention,) = (one for one in answer.effects if one.name == "attention")
    assert attention.verdict == "undecided"


def test_a_reports_data_keeps_the_plan(filled: tuple[Path, dict[tuple[str, int], str]], tmp_path: Path) -> None:
    import json

    root, ids = filled
    plan(root, ids)
    found = read_store(Store(root))
    (tmp_path / "data.json").write_text(json.dumps(found.document()))
    assert read_document(tmp_path / "data.json").plans == found.plans
