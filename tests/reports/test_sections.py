"""The page of a whole store, section by section: what is missing, and what to type for it."""

from __future__ import annotations

from pathlib import Path

import fake_store
import pytest
from fake_store import cell, write_run
from filled_stores import fill, make, table

from harness.store import Folder
from reports.pages.sections import MOST_TABLES

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_failed_unfinished_and_missing_cells_are_named(tmp_path: Path) -> None:
    cells = [(name, cell(name, seed)) for seed in (0, 1, 2) for name in ("base", "attention")]
    for _, made in cells[:-2]:
        write_run(tmp_path, made)
    failed = cells[-1][1].run_id
    Folder(tmp_path / "runs" / failed).write(
        "failure.json", {"variant": "attention", "seed": 2, "error": "out of memory", "attempts": 2}
    )
    Folder(tmp_path / "runs" / cells[0][1].run_id).write("failure.json", {"variant": "base", "seed": 0, "error": "once"})
    fake_store.write_plan(tmp_path, "add-one", cells, errors={failed: "out of memory"})
    page = make(tmp_path)
    found = {(row[1].text, row[2].text): (row[3].text, row[4].text) for row in table(page, "missing").rows}
    assert found == {
        ("attention", "2"): ("failed", "out of memory"),
        ("base", "2"): ("waiting", "not run yet in plan add-one (equal steps)"),
    }  # the run that failed once and then finished is not among them
    section = next(section for section in page.sections if section.id == "missing")
    assert section.commands == ("harness ablate --plan add-one --match steps --preset cpu",)
    assert any("2 planned cells are missing" in text for text in page.warnings)


def test_without_checkpoints_the_page_says_so_and_torch_stays_away(tmp_path: Path) -> None:
    fill(tmp_path)
    section = next(section for section in make(tmp_path).sections if section.id == "pictures")
    assert "No checkpoint" in section.paragraphs[0]
    assert not section.pictures


def test_what_was_not_run_is_said_with_its_command(tmp_path: Path) -> None:
    fill(tmp_path, names=("base", "attention", "tta"))
    sections = {section.id: section for section in make(tmp_path).sections}
    assert "Only equal steps were run" in " ".join(sections["costs"].paragraphs)
    assert [one.split(" --preset")[0] for one in sections["costs"].commands] == [
        f"harness ablate --plan attention,tta --equal {match}" for match in ("seconds", "flops")
    ]
    (factorial,) = sections["interactions"].commands
    assert factorial.startswith("harness ablate --plan factorial --variants attention,tta ")
    assert "No A/A plan was run" in sections["statistics"].paragraphs[-1]
    rates = sections["rates"].commands
    own = cell("base", 0).experiment.training.optimizer.lr
    shown = [float(one.partition("lr=")[2].split()[0]) for one in rates]
    assert shown == pytest.approx([own / 3, own * 3], rel=1e-4)


def test_tables_of_other_settings_beyond_the_first_dozen_are_rows_of_one(tmp_path: Path) -> None:
    fill(tmp_path)
    for steps in range(100, 100 + MOST_TABLES + 2):
        fill(tmp_path, seeds=(0,), training__steps=steps)
    page = make(tmp_path)
    others = [section.id for section in page.sections if section.id.startswith("other-")]
    assert others == [f"other-{number}" for number in range(2, 2 + MOST_TABLES)]
    assert len(table(page, "rest").rows) == 2 * 2
