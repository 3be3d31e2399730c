"""What the tests of executors share."""

from __future__ import annotations

import pytest
from cluster import LONG, job, trained


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the long training ends with when it is left alone, in this process."""
    task = job(tmp_path_factory.mktemp("undisturbed"), LONG)
    assert task.run().error is None
    return trained(task.store)


@pytest.fixture
def notes() -> list[str]:
    return []
