"""The loop of a study, with cells that take no training: what counts, what is kept, when it stops."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from typing import Any

import pytest
from study_cells import STUDY, AtOnce, Lab

from harness.errors import HarnessError, Interrupted
from harness.studies import Choice


def test_the_arms_come_first_and_n_trials_are_n_trials(lab: Lab) -> None:
    search = lab.search(trials=6)
    search.run(AtOnce())
    record = search.record()
    assert [trial["arm"] for trial in record["trials"]] == ["low", "middle", None, None, None, None]
    assert record["counts"] == {"complete": 6, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert [(arm["name"], arm["value"], arm["reference"]) for arm in record["arms"]] == [
        ("low", pytest.approx(0.64), False),
        ("middle", pytest.approx(0.99), True),
    ]
    best = max(record["trials"], key=lambda trial: trial["value"])
    assert (record["best"]["number"], record["best"]["value"]) == (best["number"], best["value"])


def test_a_finished_study_is_not_run_again_and_a_larger_one_goes_on(lab: Lab) -> None:
    lab.search(trials=4).run(AtOnce())
    executor = AtOnce()
    lab.search(trials=4).run(executor)
    assert executor.tickets == 0
    lab.search(trials=7).run(executor)
    assert executor.tickets == 3
    assert lab.search(trials=7).record()["counts"]["complete"] == 7


def test_a_setting_that_is_in_the_store_is_not_trained_again(lab: Lab) -> None:
    study = dataclasses.replace(STUDY, space=lambda experiment, options: {"x": Choice((0.0, 0.5, 1.0))}, name="coarse")
    lab.search(study, trials=12).run(AtOnce())
    assert lab.trainings() == [1, 1, 1]


def test_workers_share_the_trials(lab: Lab) -> None:
    executor = AtOnce(slots=3)
    search = lab.search(trials=8)
    search.run(executor)
    assert executor.most == 3
    assert search.record()["counts"]["complete"] == 8


def test_the_search_finds_the_top_better_than_the_arms(lab: Lab) -> None:
    search = lab.search(trials=20, cells=lab.cells(value=lambda x, seed: 1 - (x - 0.83) ** 2))
    search.run(AtOnce())
    assert search.record()["best"]["params"]["x"] == pytest.approx(0.83, abs=0.06)


def test_told_to_stop_it_queues_what_was_under_way(lab: Lab) -> None:

    class Told(AtOnce):
        def done(self, timeout: float) -> list[Any]:
            if self.tickets == 3 and not self.stopped:
                os.kill(os.getpid(), signal.SIGTERM)
                return []
            return super().done(timeout)

    search = lab.search(trials=5)
    with pytest.raises(Interrupted, match=r"2 complete of 5 trials; run the same command again"):
        search.run(Told())
    record = search.record()
    assert record["counts"] == {"complete": 2, "pruned": 0, "failed": 0, "running": 0, "waiting": 1}
    waiting = record["trials"][-1]["params"]
    search = lab.search(trials=5)
    search.run(AtOnce())
    assert search.record()["trials"][2]["params"] == waiting
    assert search.record()["counts"]["complete"] == 5


def test_a_timeout_is_kept_and_said(lab: Lab) -> None:
    search = lab.search(trials=1000, timeout=1.0, cells=lab.cells(seconds=0.2))
    search.run(AtOnce())
    assert search.record()["counts"]["running"] == 0
    assert "the time is over" in lab.notes[-1]


def test_a_study_that_always_fails_stops_and_says_why(lab: Lab) -> None:
    search = lab.search(trials=50, cells=lab.cells(error=lambda x: "training diverged"), max_failures=4)
    with pytest.raises(HarnessError, match=r"4 trials in a row failed, the last one because: training diverged"):
        search.run(AtOnce())
    assert search.record()["counts"]["failed"] == 4
    assert {trial["error"] for trial in search.record()["trials"]} == {"training diverged", None} - {None}


def test_an_arm_that_failed_gets_another_chance(lab: Lab) -> None:
    with pytest.raises(HarnessError):
        lab.search(trials=4, cells=lab.cells(error=lambda x: "no memory"), max_failures=2).run(AtOnce())
    search = lab.search(trials=4)
    search.run(AtOnce())
    assert [arm["state"] for arm in search.record()["arms"]] == ["COMPLETE", "COMPLETE"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_an_objective_that_is_no_finite_number_fails_the_trial_alone(lab: Lab, value: float | None) -> None:
    cells = lab.cells(value=lambda x, seed: value if x == 0.0 else x)
    search = lab.search(trials=3, cells=cells)
    search.run(AtOnce())
    record = search.record()
    assert record["counts"]["complete"] == 3
    assert record["trials"][0]["state"] == "FAIL"
    assert "gave no finite number" in record["trials"][0]["error"]
    json.dumps(record, allow_nan=False)
