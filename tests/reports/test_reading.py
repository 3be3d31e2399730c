"""Records of a store that are damaged, incomplete or no longer there: named, never a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from filled_stores import VARIANTS, fill, make, rewrite, table

from harness.store import Folder, Store
from reports import ablation
from reports.analysis import overview
from reports.analysis.reading import DATA_FILE, read_document, read_store

pytestmark = pytest.mark.usefixtures("plots_not_drawn")


def test_damaged_and_superseded_runs_are_left_out_and_named(tmp_path: Path) -> None:
    first, second, third, *_ = fill(tmp_path)
    (tmp_path / "runs" / first / "result.json").write_text("{")
    rewrite(tmp_path, second, params="many")
    Path(tmp_path / "runs" / third / "experiment.json").unlink()
    os.rename(tmp_path / "runs" / first, tmp_path / "runs" / f"{first}~1")
    (tmp_path / "runs" / "not ours").mkdir()
    page = make(tmp_path)
    reasons = {row[0].text: row[4].text for row in table(page, "missing").rows}
    assert set(reasons) == {first, second, third}
    assert reasons[first] == "trained, but not tested"
    assert "params is no number" in reasons[second]
    assert "no experiment.json" in reasons[third]
    assert "1 superseded" in " ".join(text for section in page.sections for text in section.paragraphs)


def test_damaged_plans_stop_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "0000.json").write_text("[]")
    Folder(tmp_path / "plans").write("1111.json", {"cells": [{"label": 3}]})
    page = make(tmp_path)
    assert {row[0].text for row in table(page, "missing").rows} == {"plans/0000.json", "plans/1111.json"}


@pytest.mark.parametrize("record", ["result.json", "experiment.json"])
def test_a_record_with_any_field_missing_or_of_another_type_is_no_traceback(tmp_path: Path, record: str) -> None:
    (run_id,) = fill(tmp_path, names=("attention",), seeds=(0,))
    whole = Folder(tmp_path / "runs" / run_id).read(record)
    for name in whole:
        for value in (None, "text", 3, [1], {"a": {}}):
            rewrite(tmp_path, run_id, record, **(whole | {name: value}))
            found = read_store(Store(tmp_path))
            assert len(found.runs) + len(found.troubles) == 1
            overview.analyse(found)


def test_json_holds_no_nan(tmp_path: Path) -> None:
    run_id = fill(tmp_path)[0]
    rewrite(tmp_path, run_id, params=None)
    json.dumps(read_store(Store(tmp_path)).document(), allow_nan=False)


def test_data_file_gives_the_records_back(tmp_path: Path) -> None:
    fill(tmp_path / "store")
    ablation.build(Store(tmp_path / "store"), VARIANTS, tmp_path / "out")
    found = read_document(tmp_path / "out" / DATA_FILE)
    assert found.document()["runs"] == read_store(Store(tmp_path / "store")).document()["runs"]
