"""CMA-ES that is told every generation again: what it proposes follows from the trials alone, and comes near the top."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from cmaes import CMA
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from harness.tuning.evolution import ReplayedCmaEs

UNIT = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
POINTS = np.random.default_rng(0).random((20, 2))


def value(x: float, y: float) -> float:
    return -((x - 0.8) ** 2) - (y - 0.3) ** 2


def study_of(points: Any, startup: int = 2, direction: str = "maximize") -> optuna.Study:
    """A study with those complete trials."""
    study = optuna.create_study(direction=direction, sampler=ReplayedCmaEs(seed=5, startup=startup))
    for x, y in points:
        study.add_trial(create_trial(params={"x": x, "y": y}, distributions=UNIT, value=value(x, y)))
    return study


def proposed(study: optuna.Study) -> list[float]:
    trial = study.ask(UNIT)
    return [trial.params["x"], trial.params["y"]]


@pytest.mark.parametrize("sign", [1, -1], ids=["maximize", "minimize"])
@pytest.mark.parametrize("more", [0, 5, 7], ids=lambda more: f"{more} trials after a generation")
def test_a_proposal_is_that_of_the_package_told_whole_generations(sign: int, more: int) -> None:
    by_hand = CMA(mean=np.full(2, 0.5), sigma=1 / 6, bounds=np.array([[0.0, 1.0]] * 2), seed=5)
    size = by_hand.population_size
    points = POINTS[: 2 + size + more]
    for start in range(2, len(points) - size + 1, size):
        by_hand.tell([(point, -sign * value(*point)) for point in points[start : start + size]])
    study = study_of(points, direction="maximize" if sign > 0 else "minimize")
    assert proposed(study) == pytest.approx(by_hand.ask().tolist())


def test_trials_that_failed_or_are_under_way_change_nothing() -> None:
    study, other = study_of(POINTS[:10]), study_of(POINTS[:10])
    other.add_trial(create_trial(params={"x": 0.1, "y": 0.1}, distributions=UNIT, state=TrialState.FAIL))
    other.ask(UNIT)
    assert proposed(other) == proposed(study)


def test_before_enough_trials_are_complete_and_for_one_parameter_it_draws_at_random() -> None:
    assert proposed(study_of(POINTS[:1])) == proposed(study_of([])) != proposed(study_of(POINTS[:2]))
    study = optuna.create_study(sampler=ReplayedCmaEs(seed=5, startup=0))
    found = [study.ask({"x": FloatDistribution(0.0, 1.0)}).params["x"] for _ in range(5)]
    assert len(set(found)) == 5


def test_it_comes_near_the_top() -> None:
    study = study_of([], startup=4)
    for number in range(90):
        study.sampler = ReplayedCmaEs(seed=number, startup=4)  # each trial has its own, as `make_sampler` says
        trial = study.ask(UNIT)
        study.tell(trial, value(trial.params["x"], trial.params["y"]))
    assert study.best_params == pytest.approx({"x": 0.8, "y": 0.3}, abs=0.03)
    late = [trial.params for trial in study.trials[-12:]]
    assert np.mean([abs(one["x"] - 0.8) for one in late]) < 0.1


def test_whole_numbers_steps_and_logarithms_stay_within_their_ranges_and_choices_are_drawn() -> None:
    space: dict[str, Any] = {
        "layers": IntDistribution(1, 3),
        "batch": IntDistribution(1, 64, log=True),
        "share": FloatDistribution(0.0, 1.0, step=0.25),
        "rate": FloatDistribution(1e-4, 1e-1, log=True),
        "kind": CategoricalDistribution(("a", "b")),
    }
    study = optuna.create_study(direction="minimize", sampler=ReplayedCmaEs(seed=1, startup=3))
    for number in range(40):
        params = study.ask(space).params
        study.tell(number, float(np.log10(params["rate"]) ** 2 + params["layers"]))
    found = [trial.params for trial in study.trials]
    assert {one["layers"] for one in found} <= {1, 2, 3}
    assert all(isinstance(one["batch"], int) and 1 <= one["batch"] <= 64 for one in found)
    assert {one["share"] for one in found} <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert all(1e-4 <= one["rate"] <= 1e-1 for one in found)
    assert {one["kind"] for one in found} == {"a", "b"}
