"""What the tests of studies share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from study_cells import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A store with studies of cells that take no training."""
    with closing(Lab(tmp_path / "store")) as made:
        yield made
