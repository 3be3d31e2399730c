"""Rows of runs: the settings in which they differ, damage as a row, and cells that fit a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_store import cell, without_sync, write_run

from harness.cli import listing
from harness.store import Folder


def test_another_component_shows_by_its_name_alone(tmp_path: Path) -> None:
    with without_sync():
        for optimizer in ("adamw", "muon"):
            write_run(tmp_path, cell("base", 0, "tiny", {"training.optimizer": optimizer}))
    rows = listing.runs(tmp_path)
    assert sorted(row["settings"]["training.optimizer"] for row in rows) == ["adamw", "muon"]
    assert all("training.optimizer.momentum" not in row["settings"] for row in rows)


def test_a_record_whose_names_are_no_text_is_a_damaged_row(tmp_path: Path) -> None:
    with without_sync():
        write_run(tmp_path, cell("base", 0, "tiny"))
        write_run(tmp_path, cell("attention", 0, "tiny"))
    folder = Folder(tmp_path / "runs" / cell("base", 0, "tiny").run_id)
    folder.write("experiment.json", folder.read("experiment.json") | {"preset": [["tiny"]]})
    status = {row["run_id"]: row["status"] for row in listing.runs(tmp_path)}
    assert status == {cell("base", 0, "tiny").run_id: "damaged", cell("attention", 0, "tiny").run_id: "finished"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.123456, "0.1235"),
        (3, "3"),
        (("a", 2), "a,2"),
        ({"training.steps": 4, "loss.mse": 1}, "training.steps, loss.mse"),
        ("x" * 120, "x" * 120),
        ("x" * 1200, "x" * 90 + "... (1,200 characters)"),
    ],
)
def test_a_cell_of_a_table_is_short(value: object, text: str) -> None:
    assert listing.cell(value) == text


def test_a_table_has_a_column_for_each_setting_that_differs_up_to_eight() -> None:
    settings = {f"training.a{number}": number for number in range(10)}
    shown, left_out = listing.table([{"run_id": "x", "settings": settings}, {"run_id": "y", "settings": {"training.a0": 9}}])
    assert shown == [{"run_id": "x"} | {f"a{number}": str(number) for number in range(8)}, {"run_id": "y", "a0": "9"}]
    assert left_out == ["training.a8", "training.a9"]
    assert listing.table([{"run_id": "x"}]) == ([{"run_id": "x"}], [])


def test_settings_have_their_value_at_a_preset_and_what_they_mean() -> None:
    rows = {row["path"]: row for row in listing.settings("tiny")}
    assert rows["data.canvas"]["value"] == "16"
    assert rows["data.canvas"]["meaning"] == "height and width of a frame, pixels"
    assert rows["data.canvas"]["range"] == "at least 8, at most 4,096"
    assert rows["architecture.gain"]["neutral"] == 1.0
    assert "neutral" not in rows["data.canvas"]


def test_components_are_a_row_a_field_in_a_table() -> None:
    rows = listing.fields(
        [
            {"slot": "s", "name": "plain", "origin": "here", "error": None, "summary": "does nothing", "fields": []},
            {"slot": "s", "name": "broken", "origin": "there", "error": "it broke"},
            {
                **{"slot": "s", "name": "two", "origin": "here", "error": None, "summary": ""},
                "fields": [
                    {"name": "a", "default": 1, "meaning": "A."},
                    {"name": "b", "default": None, "meaning": "B."},
                ],
            },
        ]
    )
    assert [(row["name"], row["field"], row["meaning"], row.get("error")) for row in rows] == [
        ("plain", "", "does nothing", None),
        ("broken", "", None, "it broke"),
        ("two", "a", "A.", None),
        ("two", "b", "B.", None),
    ]
    assert [row["default"] for row in rows] == ["", "", "1", "none"]
