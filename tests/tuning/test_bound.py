"""A study's own code: what it raises, and what it may not give."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from study_cells import STUDY, AtOnce, Lab

from harness.errors import HarnessError, RequestError
from harness.experiment import Experiment
from harness.studies import Arm


def test_a_study_that_raises_is_named_and_nothing_is_lost(lab: Lab) -> None:
    calls = itertools.count()

    def moody(params: Any, experiment: Experiment) -> dict[str, object]:
        if params["x"] not in (0.0, 0.5) and next(calls) < 3:
            raise ZeroDivisionError("third party's fault")
        return {"stub.x": params["x"]}

    study = dataclasses.replace(STUDY, to_settings=moody)
    search = lab.search(study, trials=5, max_failures=2)
    with pytest.raises(
        HarnessError, match=r"study 'stub' raised in its to_settings: ZeroDivisionError: third party's fault"
    ):
        search.run(AtOnce())
    assert search.record()["counts"]["complete"] == 2
    search = lab.search(study, trials=5)
    search.run(AtOnce())
    assert search.record()["counts"]["complete"] == 5

    def broken(experiment: Experiment, options: object) -> Any:
        raise KeyError("gone")

    with pytest.raises(HarnessError, match="study 'stub' raised in its space: KeyError: 'gone'"):
        lab.search(dataclasses.replace(STUDY, space=broken))


def test_an_arm_outside_its_space_is_refused(lab: Lab) -> None:
    study = dataclasses.replace(STUDY, arms=lambda experiment, options: (Arm(name="far", params={"x": 2.0}),))
    with pytest.raises(RequestError, match=r"arm 'far' has x = 2\.0"):
        lab.search(study)
