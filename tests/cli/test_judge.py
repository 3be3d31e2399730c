"""`harness judge`: exit codes, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command

ROWS = [(arm, seed, 0.8 + gain + 0.001 * (seed % 3)) for arm, gain in (("base", 0.0), ("mine", 0.02)) for seed in range(6)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two arms of six seeds, by a metric of no known direction."""
    path = tmp_path / "results.csv"
    path.write_text("\n".join(["arm,seed,u", *(",".join(map(str, row)) for row in ROWS)]) + "\n")
    return path


def test_a_direction_that_is_not_known_is_asked_for_and_one_is_enough(table: Path, harness: Command) -> None:
    answer = harness("judge", table)
    assert answer.code == 2
    assert "--higher-is-better or --lower-is-better" in answer.error
    assert harness("judge", table, "--higher-is-better", "--lower-is-better").code == 2
    assert "mine" in harness("judge", table, "--higher-is-better", "--out", table.parent / "report").out
