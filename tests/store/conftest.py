"""What the tests of the store share."""

from __future__ import annotations

from pathlib import Path

import pytest
from records_of_stores import RECORD

from harness.store import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A run's folder with a result."""
    found = Folder(tmp_path / "runs" / ("a" * 16))
    found.write("result.json", RECORD)
    return found
