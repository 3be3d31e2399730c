"""Studies whose processes die: nothing is lost, nothing counts twice."""

from __future__ import annotations

import dataclasses
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from study_cells import STUDY, AtOnce, Crash, Lab, completed

from harness.studies import Arm, Float


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_a_study_that_died_again_and_again_ends_as_one_that_did_not(lab: Lab, tmp_path: Path, sampler: str) -> None:
    space = {"x": Float(low=0.0, high=1.0)} | ({"y": Float(low=0.0, high=1.0)} if sampler == "cmaes" else {})
    arms = (Arm(name="low", params=dict.fromkeys(space, 0.0)),)
    study = dataclasses.replace(STUDY, space=lambda experiment, options: space, arms=lambda experiment, options: arms)
    with closing(Lab(tmp_path / "whole")) as other:
        whole = other.search(study, trials=9, sampler=sampler)
        whole.run(AtOnce())
    for _ in range(40):
        search = lab.search(study, trials=9, sampler=sampler)
        try:
            search.run(AtOnce(dies_after=1))
            break
        except Crash:
            continue
    else:
        pytest.fail("it never ended")
    assert completed(search.record()) == completed(whole.record())
    assert search.record()["counts"] == whole.record()["counts"]
    assert set(lab.trainings()) == {1}


def test_a_crash_in_the_middle_of_asking_loses_no_arm(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.tuning.search import Search

    def die(self: object, *args: object, **options: object) -> None:
        raise Crash

    search = lab.search(trials=4)
    monkeypatch.setattr(search.cells, "make", die)
    with pytest.raises(Crash):
        search.run(AtOnce())
    search = lab.search(trials=4)
    monkeypatch.setattr(Search, "_finish", die)
    with pytest.raises(Crash):
        search.run(AtOnce())
    monkeypatch.undo()
    search = lab.search(trials=4)
    search.run(AtOnce())
    record = search.record()
    assert sorted(trial["arm"] for trial in record["trials"] if trial["arm"]) == ["low", "middle"]
    assert record["counts"] == {"complete": 4, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}


def test_two_processes_share_a_study(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.tuning.leftovers.HEARTBEAT_SECONDS", 0.2)

    class Interleaved(AtOnce):
        def done(self, timeout: float) -> list[Any]:
            if self.tickets == 2:
                self.tickets += 1
                other = lab.search(trials=5)
                with pytest.raises(Crash):  # it finds the first one's trial taken, and dies with one of its own
                    other.run(AtOnce(dies_after=1))
            return super().done(timeout)

    search = lab.search(trials=5)
    search.run(Interleaved())
    record = search.record()
    assert record["counts"] == {"complete": 5, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert sorted(trial["arm"] for trial in record["trials"] if trial["arm"]) == ["low", "middle"]


def test_a_trial_of_a_machine_that_died_before_its_first_heartbeat_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.tuning.leftovers.HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr("harness.tuning.search.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("harness.tuning.leftovers.GRACE_SECONDS", 1)
    url = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    with closing(Lab(tmp_path / "here", url)) as here, closing(Lab(tmp_path / "there", url)) as there:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("socket.gethostname", lambda: "elsewhere")
            with pytest.raises(Crash):
                there.search(trials=4).run(AtOnce(dies_after=3))
        search = here.search(trials=4)
        search.run(AtOnce())
        assert search.record()["counts"] == {"complete": 4, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}


@pytest.mark.parametrize("kind", ["sqlite:///", "journal:"])
def test_a_trial_of_another_store_is_queued_again_once_its_process_is_silent_and_given_up_in_the_end(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.tuning.leftovers.GRACE_SECONDS", 0.3)
    monkeypatch.setattr("harness.tuning.leftovers.MAX_RETRIES", 1)
    url = f"{kind}{tmp_path / 'shared'}"
    with closing(Lab(tmp_path / "here", url)) as here, closing(Lab(tmp_path / "there", url)) as there:
        study = dataclasses.replace(STUDY, arms=lambda experiment, options: ())
        search = here.search(study, trials=4)
        search.leftovers.adopt(())
        for last in (False, True):
            with pytest.raises(Crash):
                (other := there.search(study, trials=4)).run(AtOnce(dies_after=0))
            shutil.rmtree(there.root / "locks")  # its machine is gone
            for _ in range(5):
                other.leftovers.beat()
                search.leftovers.adopt(())
                assert search.record()["counts"]["running"] == 1
                time.sleep(0.1)
            time.sleep(0.4)
            search.leftovers.adopt(())
            assert search.record()["counts"]["running"] == 0
            assert search.record()["counts"]["failed"] == last
        assert ["queued again" in note for note in here.notes] == [True, False]
        assert "given up" in here.notes[-1]
