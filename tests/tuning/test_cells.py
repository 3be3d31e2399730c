"""Cells of trials: made from settings and a seed, answered from the store, and damage left to their task."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RequestError
from harness.runs.request import Request
from harness.store import Store
from harness.tuning.cells import StoreCells, TrialCell
from harness.tuning.request import StudyRequest
from harness.variant import Variants


def cells(root: Path) -> StoreCells:
    asked = StudyRequest(study="learning-rate", variant="base", request=Request(preset="tiny"), trials=1)
    return StoreCells(asked, "base", Store(root), Variants(third_party=False))


def made(root: Path, seed: int = 0, **settings: object) -> tuple[StoreCells, TrialCell]:
    found = cells(root)
    return found, found.make({name.replace("__", "."): value for name, value in settings.items()}, seed)


def test_the_cell_of_no_settings_is_the_one_that_run_trains_and_is_answered_from_the_store(tiny_store: Path) -> None:
    found, cell = made(tiny_store)
    store = Store(tiny_store)
    run = next(run for run in store.runs() if run.read("result.json")["variant"] == "base")
    assert cell.run_id == run.run_id
    assert found.tested(cell) == run.read("result.json")["metrics"]
    training = store.training_of(run)
    assert found.summary(cell) == training.read("training.json")
    curve = [line["ssim"] for line in training.validations()]
    assert found.validations(cell) == [(1, curve[0]), (2, max(curve))]


def test_settings_and_seeds_make_other_cells_of_which_nothing_is_known(tiny_store: Path) -> None:
    keys = set()
    for seed, settings in ((0, {"training__optimizer__lr": 0.02}), (1, {}), (1, {"training__optimizer__lr": 0.02})):
        found, cell = made(tiny_store, seed, **settings)
        keys.add(cell.run_id)
        assert (found.summary(cell), found.tested(cell), found.validations(cell)) == (None, None, [])
    assert len(keys) == 3


def test_its_task_trains_and_tests_when_asked(tmp_path: Path) -> None:
    found, cell = made(tmp_path, 7)
    job = found.task(cell)
    assert (job.seed, job.variant, job.evaluate, job.store) == (7, "base", False, tmp_path)
    assert job.training == cell.cell.training_key
    assert found.task(cell, evaluate=True).evaluate


def test_a_damaged_record_is_no_answer(store: Path) -> None:
    found, cell = made(store)
    Store(store).run(cell.cell).path.joinpath("result.json").write_text("{")
    Store(store).training(cell.cell).path.joinpath("training.json").write_text("{")
    assert (found.summary(cell), found.tested(cell)) == (None, None)


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="pct_start"):
        made(tmp_path, 0, training__schedule__pct_start=7.0)


def test_trials_start_from_the_request(tmp_path: Path) -> None:
    experiment, identity = cells(tmp_path).experiment()
    assert experiment.data.canvas == 16
    assert set(identity) == {"train", "evaluation"}
    assert cells(tmp_path).text == ""


def test_what_a_training_has_shown_is_the_best_so_far_by_the_number_of_the_validation(tmp_path: Path) -> None:
    found, cell = made(tmp_path)  # it validates every three steps
    folder = Store(tmp_path).training(cell.cell)
    folder.path.mkdir(parents=True)
    for step, ssim in ((3, None), (6, 0.5), (7, 0.25), (9, 0.75)):  # stopped at step 7, which is validated too
        folder.append("metrics.jsonl", {"step": step, "seconds": 1.0, "validation": {"ssim": ssim}})
    assert found.validations(cell) == [(2, 0.5), (3, 0.5), (3, 0.75)]
