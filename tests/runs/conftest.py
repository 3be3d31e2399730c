"""What the tests of forecasts share."""

from __future__ import annotations

from pathlib import Path

import pytest
from radar import write_radar


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording and two trained seeds (see `radar`); read it alone."""
    return write_radar(tmp_path_factory.mktemp("forecast"))
