"""What may be asked of a study."""

from __future__ import annotations

from typing import Any

import pytest
from study_cells import Lab

from harness.errors import RequestError


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"trials": 0}, "--trials 0; at least 1"),
        ({"seeds_per_trial": 0}, "--seeds-per-trial"),
        ({"timeout": 0.0}, "--timeout 0"),
        ({"timeout": float("nan")}, "--timeout nan"),
        ({"sampler": "tpo"}, "unknown sampler 'tpo'; did you mean 'tpe'"),
        ({"pruner": "medium"}, "unknown pruner 'medium'; did you mean 'median'"),
        ({"objectives": ("seconds",)}, "give ssim, or ssim,seconds"),
        ({"objectives": ("sim",)}, "unknown objective 'sim'; did you mean 'ssim'"),
        ({"sampler": "cmaes"}, "at least two numeric parameters; this study has 1"),
        ({"study_options": frozenset({"l2"})}, "has no option 'l2'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(lab: Lab, plan: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        lab.search(**plan)
