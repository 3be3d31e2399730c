"""A plan's record belongs to one plan, and damage to it is kept aside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.ablation.plan import Ablation, expand, rows
from harness.ablation.record import PlanRecord, Row
from harness.options import RunOptions
from harness.runs.request import Request
from harness.store import Folder, Store

PLAN = Ablation(plan="base,tta", variants=(), seeds=(0,), request=Request(preset="tiny"), command="harness ablate")


def saved(plan: Ablation, root: Path) -> set[str]:
    PlanRecord(plan, Store(root)).save([Row(one) for one in expand(plan.plan, rows(plan.plan, ()), plan.seeds)])
    return {path.name for path in (root / "plans").iterdir()}


def test_a_record_has_the_plan_its_command_and_its_rows(tmp_path: Path) -> None:
    (name,) = saved(PLAN, tmp_path)
    record = Folder(tmp_path / "plans").read(name)
    assert (record["plan"], record["seeds"], record["command"]) == ("base,tta", [0], "harness ablate")
    assert [(cell["label"], cell["status"], cell["run_id"]) for cell in record["cells"]] == [
        ("base", "waiting", None),
        ("tta", "waiting", None),
    ]


@pytest.mark.parametrize(
    "change", [{"seeds": (1,)}, {"match": "flops"}, {"request": Request(preset="tiny", settings={"training.steps": "2"})}]
)
def test_another_plan_has_another_record(tmp_path: Path, change: dict[str, object]) -> None:
    assert len(saved(PLAN, tmp_path) | saved(replace(PLAN, **change), tmp_path)) == 2  # type: ignore[arg-type]


def test_how_cells_run_makes_no_other_plan(tmp_path: Path) -> None:
    others = replace(PLAN, options=RunOptions(auto_batch=True), workers=3, retries=5)
    assert saved(PLAN, tmp_path) == saved(others, tmp_path)


def test_a_damaged_record_is_kept_aside_and_said(tmp_path: Path) -> None:
    (name,) = saved(PLAN, tmp_path)
    (tmp_path / "plans" / name).write_bytes(b"{")
    notes: list[str] = []
    PlanRecord(PLAN, Store(tmp_path)).set_aside_damaged(notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("damaged: ")
    assert [path.read_bytes() for path in tmp_path.glob(f"quarantine/**/{name}")] == [b"{"]
    assert saved(PLAN, tmp_path) == {name}
