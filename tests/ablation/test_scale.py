"""Plans of many cells: what is worked out once for an arm, and what is read once, answers as if it were done for each cell."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from plan_cells import StubRunner
from study_cells import AtOnce

from harness.ablation import runner as runners
from harness.ablation.plan import Ablation
from harness.ablation.record import Row
from harness.runs.outcome import finished
from harness.runs.request import Request
from harness.store import Store
from harness.variant import Variants


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("base", {}),
        ("attention(heads=2)+residual", {"training.optimizer": "muon"}),
        ("tta", {"training.average": "ema", "training.data_order": "3"}),
        ("curriculum", {"loss.ssim": "none", "metrics": "csi"}),
        ("simvp", {"data.test_sequences": "5"}),
        ("base(training.optimizer.lr=0.002)", {"training.select": "csi", "metrics": "csi"}),
    ],
)
def test_a_cell_with_another_seed_is_the_one_that_the_words_make(text: str, settings: dict[str, object]) -> None:
    request, variants = Request(preset="tiny", settings=settings), Variants()
    first, _ = request.cell(variants, text, 0)
    for seed in (1, 7):
        made, _ = request.cell(variants, text, seed)
        again = request.reseeded(first, variants, seed)
        assert again == made
        assert (again.run_id, again.training_key, again.record()) == (made.run_id, made.training_key, made.record())


ARMS = ("base", "attention", "tta")


class Counting(StubRunner):
    value = staticmethod(lambda variant, seed: 0.5)


def runner(root: Path, seeds: int = 4) -> Counting:
    root.mkdir(exist_ok=True)
    plan = Ablation(plan=",".join(ARMS), variants=(), seeds=tuple(range(seeds)), request=Request(preset="tiny"), retries=0)
    return Counting(plan, Store(root), lambda text: None, lambda slots: AtOnce(slots))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The runs whose records were read, in plans that count as large from the first cell."""
    monkeypatch.setattr(runners, "MANY", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found: list[str] = []

    def watched(store: Store, cell: Any, note: Any) -> Any:
        found.append(cell.run_id)
        return finished(store, cell, note)

    monkeypatch.setattr(runners, "finished", watched)
    return found


def ids(rows: list[Row]) -> dict[tuple[str, int], str]:
    return {(row.planned.label, row.planned.seed): row.cell.run_id for row in rows if row.cell}


def test_a_plan_that_is_done_starts_without_reading_its_runs_again(tmp_path: Path, read: list[str]) -> None:
    made = runner(tmp_path / "store")
    assert [row.status for row in made.run()] == ["finished"] * 12
    read.clear()
    again = runner(tmp_path / "store")
    assert [row.cached for row in again.prepare()] == [True] * 12
    assert read == []
    assert ids(again.rows) == ids(made.rows)


def test_what_changed_is_read_and_what_is_damaged_or_gone_is_not_finished(tmp_path: Path, read: list[str]) -> None:
    rows = runner(tmp_path / "store").run()
    damaged, touched, gone = (ids(rows)[one] for one in (("attention", 0), ("base", 1), ("attention", 2)))
    result = tmp_path / "store" / "runs" / damaged / "result.json"
    result.write_text(result.read_text().replace('"status": "finished"', '"status": "Finished"'))
    os.utime(tmp_path / "store" / "runs" / touched / "environment.json", (1, 1))
    (tmp_path / "store" / "runs" / gone / "result.json").unlink()
    read.clear()
    again = runner(tmp_path / "store").prepare()
    assert sorted(read) == sorted([damaged, touched, gone])
    assert {row.cell.run_id for row in again if row.status != "finished" and row.cell} == {damaged, gone}


def test_files_of_machines_whose_clocks_are_an_hour_apart_are_answers_all_the_same(tmp_path: Path, read: list[str]) -> None:
    runner(tmp_path / "store").run()
    for number, folder in enumerate(sorted(tmp_path.glob("store/*/*"))):
        for file in folder.iterdir() if folder.is_dir() else ():
            time = file.stat().st_mtime + (-1800, 1800)[number % 2]
            os.utime(file, (time, time))
    for _ in range(2):
        assert [row.cached for row in runner(tmp_path / "store").run()] == [True] * 12
    assert sorted(read[-12:]) == sorted(set(read))  # read again once, and then believed


def test_another_question_and_unreadable_marks_are_no_answer(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner(tmp_path / "store").run()
    read.clear()
    with monkeypatch.context() as patch:
        patch.setattr(runners, "question_of", lambda cell: "other source")
        runner(tmp_path / "store").prepare()
    assert len(read) == 12
    (marks,) = (tmp_path / "cache" / "ablation-harness" / "marks").iterdir()
    for content in ("no JSON", json.dumps({"program": "another", "marks": {}}), "[]"):
        marks.write_text(content)
        read.clear()
        assert [row.status for row in runner(tmp_path / "store").prepare()] == ["finished"] * 12
        assert len(read) == 12
