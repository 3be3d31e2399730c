"""Trials in Optuna's storage: written whole, once, at a known cost."""

from __future__ import annotations

import dataclasses
import itertools
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from study_cells import STUDY, AtOnce, Crash, Lab, completed

from harness.errors import RequestError
from harness.presets import preset
from harness.studies import Float


@pytest.mark.parametrize("call", ["add_trial", "ask"])
def test_a_trial_whose_making_was_answered_by_nobody_is_made_again_and_counted_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    import sqlalchemy
    from optuna.exceptions import StorageInternalError

    monkeypatch.setattr("harness.tuning.leftovers.HEARTBEAT_SECONDS", 0.0)
    search = lab.search(trials=5)
    make, calls = getattr(search.trials.study, call), itertools.count()

    def lost(*args: Any) -> Any:
        answer = make(*args)
        if next(calls) in (1, 3):
            raise StorageInternalError("gone") from sqlalchemy.exc.OperationalError("", {}, Exception("database is locked"))
        return answer

    monkeypatch.setattr(search.trials.study, call, lost)
    search.run(AtOnce())
    assert search.record()["counts"] == {"complete": 5, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert set(lab.trainings()) == {1}
    assert len(lab.trainings()) == 5


def test_a_crash_between_queueing_and_asking_leaves_a_whole_trial(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.tuning.trials import Trials

    with closing(Lab(tmp_path / "whole")) as other:
        whole = other.search(trials=5, study_name="one")
        whole.run(AtOnce())
    lab.search(trials=3, study_name="one").run(AtOnce())

    def die(*args: object) -> None:
        raise Crash

    with monkeypatch.context() as crashing:
        crashing.setattr(Trials, "ask", die)
        with pytest.raises(Crash):
            lab.search(trials=5, study_name="one").run(AtOnce())
    search = lab.search(trials=5, study_name="one")
    (waiting,) = [trial for trial in search.record()["trials"] if trial["state"] == "WAITING"]
    assert waiting["params"] == whole.record()["trials"][3]["params"]
    assert len(waiting["run_ids"]) == 1
    search.run(AtOnce())
    assert completed(search.record()) == completed(whole.record())


def test_another_search_space_or_experiment_under_one_name_is_refused(lab: Lab) -> None:
    lab.search(trials=2, study_name="mine").run(AtOnce())
    wider = dataclasses.replace(STUDY, space=lambda experiment, options: {"x": Float(low=0.0, high=2.0)})
    with pytest.raises(RequestError, match=r"exists with another search space \(x: .*'high': 1.0.*'high': 2.0"):
        lab.search(wider, study_name="mine")
    other = preset("tiny").replace({"training.steps": 7}), {"train": "t", "evaluation": "e"}
    with pytest.raises(RequestError, match=r"exists with .*training\.steps \d+, now 7"):
        lab.search(study_name="mine", start=other)
    assert lab.search(start=other).id != lab.search().id
    assert lab.search(study_name="mine", trials=2).record()["counts"]["complete"] == 2


def test_a_trial_takes_few_statements_however_many_there_were(lab: Lab) -> None:
    from sqlalchemy import event

    def statements(wanted: int) -> int:
        search, seen = lab.search(trials=wanted, study_name="many"), []
        assert search.storage.rdb is not None
        event.listen(search.storage.rdb.engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
        search.run(AtOnce())
        return len(seen)

    statements(10)
    first, second = statements(30), statements(50)
    assert first / 20 < 52
    assert abs(second - first) < 20  # the later twenty cost what the earlier twenty did


def test_optunas_public_interfaces_are_enough() -> None:
    import harness.tuning

    (folder,) = harness.tuning.__path__
    methods = "create_new_|set_trial_|set_study_|get_study_id|get_trial_id|get_all_trials|record_heartbeat"
    private = "_storage|_study_id|_trial_id"
    for path in Path(folder).glob("*.py"):
        assert not re.search(rf"\b({methods})|\.({private})\b", path.read_text("utf-8")), path
