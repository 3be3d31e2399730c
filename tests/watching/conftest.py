"""A plan whose board is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from plan_cells import ssim, stub_runner, three_arms

from harness.store import Cell, Store
from harness.watching.board import Reader


def broken(variant: str, seed: int) -> float | None:
    """Attention at seed 1 fails; the third seed of residual is not there yet."""
    return None if (variant, seed) == ("attention", 1) else ssim(variant, seed)


@pytest.fixture
def whole(tmp_path: Path) -> Reader:
    """A plan run to its end, with one failure."""
    runner = stub_runner(tmp_path, three_arms(), value=broken)
    runner.run()
    return Reader(Store(tmp_path), runner.record_name)


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Reader, dict[tuple[str, int], Cell]]:
    """A plan whose record is there and whose cells are not."""
    runner = stub_runner(tmp_path, three_arms())
    runner.prepare()
    runner._save()
    cells = {(row.planned.label, row.planned.seed): row.cell for row in runner.rows if row.cell is not None}
    return Reader(Store(tmp_path), runner.record_name), cells
