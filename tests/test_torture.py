"""A sample of `make torture`: kills at random moments of run, ablate, study and report, and calls that fail once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def torture(script: str, *words: str) -> dict[str, Any]:
    """What a script of tests/torture found."""
    done = subprocess.run(
        [sys.executable, HERE / "torture" / script, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE / "support")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_ten_kills_lose_nothing_tear_nothing_and_change_no_number() -> None:
    found = torture("kills.py", "--kills", "10", "--seed", "3")
    assert found["complaints"] == []
    assert found["kills"] >= 10
    assert all(found[f"kills of {stage}"] >= 2 for stage in ("run", "ablate", "study", "report"))
    assert found["rounds"] >= 4


@pytest.mark.slow
def test_calls_of_a_resumed_run_that_fail_once_lose_nothing() -> None:
    found = torture("sites.py", "--works", "resume", "--every", "16")
    assert (found["complaints"], found["unreached"]) == ([], [])
    assert found["failed"]["resume"] >= 4
