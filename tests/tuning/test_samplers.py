"""Samplers: every one runs, and what one proposes depends on the trials alone."""

from __future__ import annotations

import dataclasses

import pytest
from study_cells import STUDY, AtOnce, Lab

from harness.studies import Float, Int
from harness.tuning import samplers as proposing
from harness.tuning.pruning import make_pruner


@pytest.mark.parametrize("sampler", ["gp", "random", "cmaes"])
def test_every_sampler_runs(lab: Lab, sampler: str) -> None:
    study = dataclasses.replace(
        STUDY,
        space=lambda experiment, options: {"x": Float(low=0.0, high=1.0), "y": Int(low=1, high=64, log=True)},
        arms=lambda experiment, options: (),
    )
    search = lab.search(study, trials=6, sampler=sampler)
    search.run(AtOnce())
    found = search.record()["trials"]
    assert len({trial["params"]["x"] for trial in found}) == 6
    assert all(isinstance(trial["params"]["y"], int) and 1 <= trial["params"]["y"] <= 64 for trial in found)


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "median"), ("tpe", "hyperband"), ("cmaes", "none")])
def test_what_is_thought_out_in_memory_is_what_the_storage_would_have_answered(sampler: str, pruner: str) -> None:
    import optuna

    space = proposing.distributions({"x": Float(low=0.0, high=1.0), "y": Float(low=1e-3, high=1.0, log=True)})
    study = optuna.create_study(direction="maximize", study_name="a", pruner=make_pruner(pruner, 9, 1, ("ssim",)))
    for number in range(9):
        study.sampler = proposing.make_sampler(sampler, "a study", number)
        again = proposing.make_sampler(sampler, "a study", number)
        params = proposing.propose(again, study, space, study.get_trials(deepcopy=False))
        trial = study.ask(space)
        assert dict(trial.params) == params
        if number != 7:  # one stays under way
            study.tell(trial, 1 - (params["x"] - 0.3) ** 2)


def test_what_a_sampler_proposes_depends_on_the_trials_alone() -> None:
    import optuna

    def propose(before: int) -> float:
        study = optuna.create_study(sampler=proposing.make_sampler("tpe", "a study", before))
        return float(study.ask().suggest_float("x", 0, 1))

    assert propose(3) == propose(3) != propose(4)
