"""What a whole store says: the main table, what stands apart from it, names for one experiment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_store
import pytest
from fake_store import cell, write_run
from filled_stores import analysis, column, fill, first_group, make, table

from reports.analysis.overview import Analysis

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_single_rows_with_settings_of_their_own_are_kept(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path, names=("base",), seeds=(5,), data__speed=0.2)
    page = make(tmp_path)
    (row,) = table(page, "rest").rows
    assert row[1].text == "data.speed 0.2 (first table: 0.1)"


def test_the_most_complete_group_comes_first(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,), training__steps=50)
    fill(tmp_path, seeds=(0, 1))
    assert ", 1800 steps, " in table(make(tmp_path), "ablation").title
    assert column(table(make(tmp_path), "ablation"), "seeds")["base"] == "2"


def test_another_name_for_the_same_experiment_has_its_row(tmp_path: Path) -> None:
    cells = []
    for seed in (0, 1, 2):
        made = cell("base", seed)
        write_run(tmp_path, made)
        alias = cell("tta", seed, settings={"inference.views": "identity"})
        assert alias.run_id == made.run_id
        cells += [("base", made), ("tta", alias)]
    fake_store.write_plan(tmp_path, "add-one", cells)
    page = make(tmp_path)
    assert column(table(page, "ablation"), "verdict")["tta"].startswith("equivalent: identical in all 3 common seeds")


def test_tables_of_equal_cost_have_ids_that_come_once(tmp_path: Path) -> None:
    fill(tmp_path, seeds=(0,))
    group = first_group(tmp_path)
    matched = tuple(replace(group, match=match) for match in ("seconds", "flops", "seconds"))
    found = Analysis((group,), matched, None, None, (), ())
    assert [end for _, end in found.matched_by_id] == ["seconds", "flops", "seconds-2"]


def test_base_with_other_losses_and_rates_are_variations_of_the_first_table(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path, names=("base",), seeds=(0, 1), loss__ssim="none")
    fill(tmp_path, names=("base",), seeds=(0,), training__max_lr=1e-2)
    found = analysis(tmp_path)
    assert len(found.groups) == 1
    assert found.losses is not None
    assert found.rates is not None
    assert [sorted(one.seeds) for one in found.losses.methods] == [[0, 1, 2], [0, 1]]
    (rate,) = found.rates.others
    assert "0.01" in rate.label
    assert found.losses.comparisons.keys() == {one.label for one in found.losses.others}
    assert found.rest == ()


def test_a_plan_of_equal_cost_without_its_reference_gives_a_warning_and_no_table(tmp_path: Path) -> None:
    cells = [("attention", cell("attention", seed, settings={"training.seconds": 100.0})) for seed in (0, 1)]
    for _, made in cells:
        write_run(tmp_path, made)
    fill(tmp_path)
    fake_store.write_plan(tmp_path, "add-one", cells, match="seconds")
    found = analysis(tmp_path)
    assert found.matched == ()
    assert any("has no finished base; it gives no table" in text for text in found.warnings)
