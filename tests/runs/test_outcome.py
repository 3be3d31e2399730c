"""When a stored result is an answer, and when its checkpoint is tested again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from trainings import cell_of

from harness.data.source import Source
from harness.evaluation import conventions, evaluate
from harness.evaluation.metrics import errors
from harness.evaluation.metrics.csi import CriticalSuccessIndex
from harness.runs.cell import run_cell
from harness.runs.context import Context
from harness.store import Cell, Store
from harness.training import loop


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture(scope="module")
def asked() -> tuple[Cell, Source]:
    return cell_of()


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*words: Any, **options: Any) -> Any:
        raise AssertionError("it trains")

    monkeypatch.setattr(loop, "fit", fit)


def with_metrics(cell: Cell, *metrics: Any) -> Cell:
    return replace(cell, experiment=replace(cell.experiment, metrics=metrics))


def test_a_metric_changes_no_key_and_is_measured_without_training(
    store: Store, asked: tuple[Cell, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, source = asked
    before = run_cell(cell, store, source).result
    forbid_training(monkeypatch)
    more = with_metrics(cell, CriticalSuccessIndex())
    assert (more.run_id, more.training_key) == (cell.run_id, cell.training_key)
    notes: list[str] = []
    found = run_cell(more, store, source, context=Context(note=notes.append))
    assert not found.cached
    assert [note for note in notes if "again for csi; nothing is trained" in note]
    assert {name: found.result["metrics"][name] for name in before["metrics"]} == before["metrics"]
    assert 0 <= found.result["metrics"]["csi"] <= 1
    assert found.result["baselines"]["blank"]["csi"] == 0
    assert found.result["measured"]["csi"]["title"] == "CSI"
    for again in (more, cell):  # what was asked for later is an answer to the earlier question as well
        assert run_cell(again, store, source).cached


def test_other_settings_of_a_metric_measure_it_again_and_others_stay(
    store: Store, asked: tuple[Cell, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.evaluation.metrics.sharpness import Sharpness

    cell, source = asked
    run_cell(with_metrics(cell, CriticalSuccessIndex(), Sharpness()), store, source)
    forbid_training(monkeypatch)
    found = run_cell(with_metrics(cell, CriticalSuccessIndex(thresholds=(0.2,))), store, source)
    assert not found.cached
    assert found.result["measured"]["csi"]["identity"]["thresholds"] == [0.2]
    assert "sharpness" in found.result["metrics"]


def test_a_mended_metric_is_measured_again_from_the_checkpoint(
    store: Store, asked: tuple[Cell, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mended(errors.MAE):
        revision: ClassVar[int] = 2

        def values(self, prediction_NCHW: Any, target_NCHW: Any) -> Any:
            return 2 * super().values(prediction_NCHW, target_NCHW)

    cell, source = asked
    before = run_cell(cell, store, source).result
    forbid_training(monkeypatch)
    mended = tuple(Mended() if one.name == "mae" else one for one in conventions.BUILT_IN)
    for module in (conventions, evaluate):
        monkeypatch.setattr(module, "BUILT_IN", mended)
    monkeypatch.setattr("harness.evaluation.metrics.in_unit.BUILT_IN", mended)
    after = run_cell(cell, store, source)
    assert not after.cached
    assert after.result["metrics"]["mae"] == pytest.approx(2 * before["metrics"]["mae"])
    assert after.result["metrics"]["mse"] == before["metrics"]["mse"]
    assert run_cell(cell, store, source).cached


def test_a_record_from_before_metrics_had_revisions_is_an_answer(store: Store, asked: tuple[Cell, Source]) -> None:
    cell, source = asked
    outcome = run_cell(cell, store, source)
    old = {key: value for key, value in json.loads((outcome.path / "result.json").read_text()).items() if key != "measured"}
    store.run(cell).write("result.json", {key: value for key, value in old.items() if key not in ("format", "sha256")})
    assert run_cell(cell, store, source).cached


def test_an_answer_that_other_source_made_under_the_same_revision_says_so(store: Store, asked: tuple[Cell, Source]) -> None:
    cell, source = asked
    made = replace(cell, sources={"mine": "a" * 16})
    run_cell(made, store, source)
    for sources, said in (
        ({"mine": "a" * 16}, []),
        ({"mine": "b" * 16}, ["mine"]),
        ({"mine": "b" * 16, "theirs": "c" * 16}, ["mine"]),
        ({}, ["mine"]),
    ):
        notes: list[str] = []
        asked_again = replace(cell, sources=sources)
        assert run_cell(asked_again, store, source, context=Context(note=notes.append)).cached
        assert [name for note in notes for name in ("mine", "theirs") if f"other source of {name}" in note] == said
