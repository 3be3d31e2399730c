"""The contract of a study."""

from __future__ import annotations

from typing import Any

import pytest
from study_cells import STUDY

from harness.errors import RequestError
from harness.studies import Float, Study


@pytest.mark.parametrize(
    "wrong", [{"low": 1.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True}, {"low": 0.0, "high": float("inf")}]
)
def test_a_range_that_cannot_be_searched_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Float(**wrong)
    with pytest.raises(RequestError):
        Study(name="Wrong Name", summary="", owns=(), space=STUDY.space, to_settings=STUDY.to_settings)
