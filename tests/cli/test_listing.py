"""Rows of runs: the settings in which they differ, and damage as a row."""

from __future__ import annotations

from pathlib import Path

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
