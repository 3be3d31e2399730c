"""Trackio finds again what was written: curves with steps, final figures, and the way to the record."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("tracked", ["trackio"], indirect=True)
@pytest.mark.filterwarnings("default")
def test_trackio(tracked: Any) -> None:
    from trackio.sqlite_storage import SQLiteStorage

    _, result, curve = tracked
    rows = SQLiteStorage.get_logs("ablation-harness", f"attention seed 0 {result['run_id']}")
    assert {row["step"]: row["validation/ssim"] for row in rows if "validation/ssim" in row} == pytest.approx(curve)
    assert [row["test/ssim"] for row in rows if "test/ssim" in row] == [pytest.approx(result["metrics"]["ssim"])]
