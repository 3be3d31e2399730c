"""What a cell and a gain are called."""

from __future__ import annotations

import pytest

from harness.watching.board import CellSeen, Gain
from harness.watching.words import cell_text, gain_text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (CellSeen("a", 0, "finished", value=0.59444), "0.5944"),
        (CellSeen("a", 0, "finished"), "finished"),
        (CellSeen("a", 0, "running", done=0.45, seconds_left=200.0), "45% 3:20 left"),
        (CellSeen("a", 0, "running"), "0%"),
        (CellSeen("a", 0, "running", done=1), "testing"),
        (CellSeen("a", 0, "unfinished", done=0.25), "stopped at 25%"),
        (CellSeen("a", 0, "unfinished"), "stopped at 0%"),
        (CellSeen("a", 0, "waiting"), "waiting"),
    ],
)
def test_a_cell_says_what_matters_of_its_status(cell: CellSeen, text: str) -> None:
    assert cell_text(cell) == text


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (None, ""),
        (Gain("a", 0, None, None, None), ""),
        (Gain("a", 1, 0.013, None, None), "+0.0130 of 1 seed"),
        (Gain("a", 3, 0.013, -0.0027, 0.0288), "+0.0130 [-0.0027, +0.0288] of 3 seeds"),
        (Gain("a", 9, -0.02, -0.03, -0.01, "hurts"), "-0.0200 [-0.0300, -0.0100] of 9 seeds, hurts"),
    ],
)
def test_a_gain_has_its_interval_and_verdict_where_they_are_known(gain: Gain | None, text: str) -> None:
    assert gain_text(gain) == text
