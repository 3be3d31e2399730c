"""Records as the report holds them: what a run is, what a plan left open, and the way to JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filled_stores import fill, first_group

from harness.errors import HarnessError
from harness.store import Folder, Store
from reports.analysis.reading import read_document, read_store
from reports.analysis.records import PlannedCell, PlanRecord, Records, Trouble, settings_of


def planned(run_id: str | None, seed: int) -> PlannedCell:
    return PlannedCell(label="base", variant="base", seed=seed, run_id=run_id, status="finished", error="")


def plan(*cells: PlannedCell, **fields: Any) -> PlanRecord:
    return PlanRecord(
        key="k",
        plan="base",
        match="steps",
        preset="cpu",
        reference="base",
        command="",
        cells=cells,
        **fields,
    )


def test_a_run_that_skipped_all_of_its_steps_has_no_metric(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",), seeds=(0,))
    run = first_group(tmp_path).first
    assert run.metric("ssim") == run.metrics["ssim"]
    assert math.isnan(run.metric("gone"))
    assert math.isnan(replace(run, skipped_steps=run.steps).metric("ssim"))
    assert replace(run, steps=0.0).metric("ssim") == run.metrics["ssim"], "a run without training has no steps to skip"


def test_what_has_no_network_is_told_apart(tmp_path: Path) -> None:
    fill(tmp_path, names=("base",), seeds=(0,))
    run = first_group(tmp_path).first
    kinds = [run, replace(run, changes=("predictions",)), replace(run, settings={"inference.predictor": "climatology"})]
    assert [(one.scored, one.untrained) for one in kinds] == [(False, False), (True, True), (False, True)]


def test_a_plan_says_why_it_is_exploratory() -> None:
    assert plan().exploratory == ("no question was written down before the first run",)
    asked = {"digest": "d"}
    assert plan(question=asked).exploratory == ()
    late = plan(question=asked, known_before=1, departures=("seeds were added",)).exploratory
    assert late == ("1 cell of its arms was finished before the question was written", "seeds were added")
    assert plan(question=asked, known_before=2).exploratory[0].startswith("2 cells of its arms were")


def test_the_records_of_a_plan_are_its_runs_and_their_troubles(tmp_path: Path) -> None:
    kept, _ = fill(tmp_path, names=("base",), seeds=(0, 1))
    found = read_store(Store(tmp_path))
    mine = plan(planned(kept, 0), planned("lost", 1), planned(None, 2))
    lost, foreign = (Trouble(where=name, status="failed", reason="x") for name in ("lost", "foreign"))
    part = replace(found, plans=(mine, plan()), troubles=(lost, foreign)).of(mine)
    assert [run.run_id for run in part.runs] == [kept] == list(part.by_id)
    assert (part.plans, part.troubles) == ((mine,), (lost,))


def test_a_document_gives_runs_and_plans_back_and_names_troubles(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    found = read_store(Store(tmp_path))
    first, *others = found.runs
    holed = Records(
        (replace(first, params=math.nan), *others),
        (plan(planned("a", 0)),),
        (Trouble(where="w", status="failed", reason="r"),),
        3,
    )
    (tmp_path / "data.json").write_text(json.dumps(holed.document(), allow_nan=False))
    again = read_document(tmp_path / "data.json")
    assert again.document() | {"troubles": None} == holed.document() | {"troubles": None}
    assert holed.document()["troubles"][0]["reason"] == "r"
    assert again.superseded == 3
    assert math.isnan(again.runs[0].params)
    assert again.plans == holed.plans


def test_settings_are_paths_with_a_component_s_name_at_its_slot(tmp_path: Path) -> None:
    (run_id,) = fill(tmp_path, names=("attention",), seeds=(0,))
    record = Folder(tmp_path / "runs" / run_id).read("experiment.json")
    found = settings_of(record)
    assert found["training.steps"] == 1800
    assert found["architecture.bottleneck"] == "attention"
    broken: tuple[dict[str, object], ...] = ({}, {"experiment": []}, {"experiment": {"training": 3}})
    for damaged in broken:
        with pytest.raises(HarnessError, match="no usable 'experiment'"):
            settings_of(damaged)
