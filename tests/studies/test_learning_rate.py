"""The study of rates: every trial sees as many sequences, and the recipes that are known are tried first."""

from __future__ import annotations

import pytest

from harness.presets import preset
from harness.studies import Float, Int
from studies.learning_rate import STUDY

NONE: frozenset[str] = frozenset()
POINT = {"max_lr": 1e-3, "pct_start": 0.2, "weight_decay": 1e-4}


@pytest.mark.parametrize("name", ["paper", "cpu", "tiny"])
@pytest.mark.parametrize("factor", [0.25, 0.5, 1, 2, 4])
def test_every_trial_sees_as_many_sequences_and_validations(name: str, factor: float) -> None:
    experiment = preset(name).replace({"training.steps": 1600, "training.epochs": None, "training.validate_every": 200})
    own = experiment.training.batch_size
    batch = round(own * factor)
    trial = experiment.replace(STUDY.to_settings(POINT | {"batch_size": batch}, experiment))
    assert trial.training.batch_size == batch
    assert trial.training.steps * batch == pytest.approx(1600 * own, rel=0.01)
    assert trial.training.steps / trial.training.validate_every == pytest.approx(8, rel=0.01)
    assert trial.training.optimizer.lr == 1e-3
    assert trial.training.schedule.pct_start == 0.2


def test_a_budget_in_seconds_stays_as_it_is() -> None:
    experiment = preset("tiny").replace({"training.steps": None, "training.seconds": 9.0})
    found = STUDY.to_settings(POINT | {"batch_size": 1}, experiment)
    assert "training.steps" not in found
    assert experiment.replace(found).training.seconds == 9.0


def test_the_batch_size_is_searched_around_the_experiments_own() -> None:
    space = STUDY.space(preset("cpu"), NONE)
    assert space["batch_size"] == Int(low=4, high=64, log=True)
    assert STUDY.space(preset("cpu").replace({"training.batch_size": 1}), NONE)["batch_size"] == Int(low=1, high=4, log=True)
    assert isinstance(space["max_lr"], Float)
    assert space["max_lr"].log


def test_the_articles_recipe_is_the_reference_and_a_presets_own_stands_beside_it() -> None:
    (alone,) = STUDY.arms(preset("paper"), NONE)
    assert (alone.reference, alone.params["max_lr"], alone.params["pct_start"]) == (True, 3e-3, 0.3)
    article, own = STUDY.arms(preset("cpu"), NONE)
    training = preset("cpu").training
    assert article.reference
    assert not own.reference
    assert own.params["max_lr"] == training.optimizer.lr != article.params["max_lr"]
    space = STUDY.space(preset("cpu"), NONE)
    assert all(space[name].holds(value) for arm in (article, own) for name, value in arm.params.items())


def test_a_recipe_outside_the_space_is_no_arm() -> None:
    fast = preset("paper").replace({"training.optimizer.lr": 0.5})
    assert [arm.name for arm in STUDY.arms(fast, NONE)] == ["the article's recipe"]
