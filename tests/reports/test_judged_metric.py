"""What a plan judges is what its plots draw: here MAE, in doses, by frame, in validation and for every seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_store
import numpy as np
import pytest
from drawn_page import drawn_page
from fake_store import Fake, cell, write_run

from harness.store import Folder, Store
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.figures import canvas
from reports.page import Page

ARMS = ("base", "attention(heads=1)", "attention(heads=8)", "tta", "attention(heads=8)+tta")
SEEDS = range(4)


def frames(arm: str, seed: int) -> list[float]:
    """The MAE of each frame."""
    return [40.0 + frame - 3 * ARMS.index(arm) + 0.1 * seed**2 for frame in range(10)]


def mae(arm: str, seed: int) -> float:
    return float(np.mean(frames(arm, seed)))


def validated(arm: str, seed: int) -> list[float]:
    return [50.0 + seed, 44.0 - ARMS.index(arm)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, cells = tmp_path_factory.mktemp("judged"), []
    with fake_store.without_sync():
        for arm in ARMS:
            for seed in SEEDS:
                by_frame = {"ssim": [0.5] * 10, "mae": frames(arm, seed)}
                fake = Fake(
                    ssim=0.5, metrics={"ssim": 0.5, "mae": mae(arm, seed)}, overrides={"metrics_per_frame": by_frame}
                )
                made = cell(arm, seed)
                run_id = write_run(root, made, fake)
                lines = [
                    {"step": step, "seconds": float(step), "validation": {"ssim": 0.4, "mae": value}}
                    for step, value in zip((5, 10), validated(arm, seed), strict=True)
                ]
                log = "".join(f"{json.dumps(line)}\n" for line in lines)
                (root / "trainings" / made.training_key / "metrics.jsonl").write_text(log)
                cells.append(
                    {"label": arm, "variant": arm, "seed": seed, "run_id": run_id, "status": "finished", "error": None}
                )
    asked = {
        "contrasts": [{"name": arm, "treated": arm, "reference": "base"} for arm in ARMS[1:]],
        "metric": "mae", "higher_is_better": False, "margin": 0.5, "margin_from": "given", "digest": "d1", "budget": "steps",
        "held_equal": ["data"], "differs": {},
    }  # fmt: skip
    texts = {"plan": "doses", "match": "steps", "preset": "cpu", "reference": "base", "command": "", "cells": cells}
    Folder(root / "plans").write("p.json", texts | {"question": asked, "known_before": 0, "departures": []})
    return root


DRAWN: dict[str, list[Any]] = {}


@pytest.fixture(scope="module")
def page(root: Path) -> Iterator[Page]:
    with drawn_page(root, DRAWN) as made:
        yield made


def test_the_plan_judges_by_it(root: Path) -> None:
    assert analyse(read_store(Store(root))).groups[0].metric == "mae"


def test_doses(page: Page) -> None:
    (axes,) = DRAWN["dose-1"]
    assert axes.get_ylabel() == "test MAE"
    (curve,) = [bar for bar in axes.containers if bar.get_label() == "attention"]
    assert list(curve.lines[0].get_xdata()) == [1, 8]
    means = [np.mean([mae(arm, seed) for seed in SEEDS]) for arm in ARMS[1:3]]
    assert list(curve.lines[0].get_ydata()) == pytest.approx(means)
    (base,) = [line for line in axes.lines if line.get_label() == "base"]
    np.testing.assert_allclose(base.get_ydata(), np.mean([mae("base", seed) for seed in SEEDS]))
    (figure,) = [one for section in page.sections for one in section.figures if one.id == "dose-1"]
    assert figure.alt.startswith(f"Test MAE by architecture.bottleneck.heads: attention at 1: {means[0]:.4f} [")


def test_by_frame_draws_the_judged_metric_first_and_ssim_beside_it(page: Page) -> None:
    by_frame = [one for section in page.sections for one in section.figures if one.id.startswith("by-frame")]
    assert [one.title for one in by_frame] == ["MAE by predicted frame", "SSIM by predicted frame"]
    axes = DRAWN["by-frame"][0]
    assert axes.get_ylabel() == "test MAE"
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    for arm in ARMS:
        np.testing.assert_allclose(lines[arm], np.mean([frames(arm, seed) for seed in SEEDS], axis=0))
    assert "summed over a frame's pixels" in by_frame[0].caption
    assert "summed" not in by_frame[1].caption


def test_validation(page: Page) -> None:
    axes = DRAWN["validation"][0]
    assert axes.get_ylabel() == "validation MAE"
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["tta"], np.mean([validated("tta", seed) for seed in SEEDS], axis=0))


def test_every_seed_and_interactions_name_it(page: Page) -> None:
    assert DRAWN["differences"][0].get_xlabel().startswith("test MAE minus")
    assert DRAWN["interactions"][1].get_ylabel() == "effect on test MAE"
    titles = {one.id: one for section in page.sections for one in section.tables}
    assert "mean difference (MAE)" in titles["statistics"].columns
    assert all("SSIM" not in column for table in ("statistics", "pairs", "effects") for column in titles[table].columns)


def test_controls_take_no_arm_s_place_in_a_plot_of_lines(root: Path) -> None:
    main = analyse(read_store(Store(root))).groups[0]
    checks = tuple(replace(main.comparisons[arm], name=arm) for arm in ARMS[1:3])
    shown = [one.label for one in canvas.chosen(replace(main, controls=checks), 3)]
    assert shown == ["base", "tta", "attention(heads=8)+tta"]
    assert {one.label for one in canvas.chosen(replace(main, controls=checks))} == set(ARMS)
