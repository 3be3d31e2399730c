"""The curriculum's horizon over the budget."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.errors import RequestError
from variants.curriculum import GrowingHorizon


def test_each_horizon_gets_an_equal_share_and_the_full_one_the_rest() -> None:
    steps = 1000
    found = [GrowingHorizon(start=2, until=0.5).horizon(step / steps, 10) for step in range(steps)]
    assert found == sorted(found)
    counts = Counter(found)
    assert set(counts) == set(range(2, 11))
    assert {counts[frames] for frames in range(2, 10)} <= {62, 63}  # eight shorter horizons share 500 steps
    assert counts[10] == 500


@pytest.mark.parametrize("until", [0.1, 1.0])
def test_the_last_step_predicts_all_frames(until: float) -> None:
    assert GrowingHorizon(until=until).horizon(1.0, 10) == 10


def test_a_start_beyond_the_horizon_predicts_all_frames_at_once() -> None:
    assert {GrowingHorizon(start=20).horizon(progress, 3) for progress in (0.0, 0.2, 1.0)} == {3}


def test_no_frame_at_first_and_no_time_to_grow_are_refused() -> None:
    with pytest.raises(RequestError, match="start"):
        GrowingHorizon(start=0)
    with pytest.raises(RequestError, match="until"):
        GrowingHorizon(until=0)
