"""Which trials are pruned, and which are not."""

from __future__ import annotations

from typing import Any

import pytest
from study_cells import AtOnce, Lab

from harness.presets import preset


def test_a_hopeless_trial_is_pruned_and_counts_but_no_arm_is(lab: Lab) -> None:
    start = preset("tiny").replace({"training.steps": 40, "training.validate_every": 10}), {}

    class Slow(AtOnce):
        def done(self, timeout: float) -> list[Any]:
            ready, self.tasks = self.tasks, {}
            if not hasattr(self, "seen"):
                self.seen: dict[int, int] = {}
            answers = []
            for ticket, task in ready.items():
                self.seen[ticket] = self.seen.get(ticket, 0) + 1
                if ticket not in self.stopped and self.seen[ticket] < 3:
                    self.tasks[ticket] = task
                else:
                    self.tasks |= {ticket: task}
                    answers += super().done(timeout)
            return answers

    cells = lab.cells(curve=lambda x: [0.1, x, x, x], value=lambda x, seed: x)
    search = lab.search(trials=12, cells=cells, start=start, sampler="random")
    monkey = pytest.MonkeyPatch()
    monkey.setattr("harness.tuning.search.WATCH_SECONDS", 0.001)
    search.run(Slow())
    monkey.undo()
    record = search.record()
    assert record["counts"]["pruned"] > 0
    assert record["counts"]["pruned"] + record["counts"]["complete"] == 12
    assert all(trial["state"] == "COMPLETE" for trial in record["trials"] if trial["arm"])
    finished = [trial["params"]["x"] for trial in record["trials"] if trial["state"] == "COMPLETE"]
    assert all(trial["params"]["x"] < max(finished) for trial in record["trials"] if trial["state"] == "PRUNED")


def test_seeds_are_averaged_and_a_surely_worse_setting_is_pruned_between_them(lab: Lab) -> None:
    search = lab.search(trials=6, seeds_per_trial=5, sampler="random")
    search.run(AtOnce())
    record = search.record()
    for trial in record["trials"]:
        assert len(trial["run_ids"]) == 5
        if trial["state"] == "COMPLETE":
            assert trial["value"] == pytest.approx(sum(trial["seed_values"]) / 5)
            assert len(trial["seed_values"]) == 5
        else:
            assert trial["value"] == pytest.approx(sum(trial["seed_values"]) / len(trial["seed_values"]))
    assert record["counts"]["pruned"] > 0
    assert all(trial["state"] == "COMPLETE" for trial in record["trials"] if trial["arm"])
