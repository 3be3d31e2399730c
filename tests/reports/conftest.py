"""What tests of the report share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_store
import pytest
import three_metrics
from filled_stores import not_drawn

from harness.store import Store
from reports.analysis.groups import Group
from reports.analysis.overview import analyse
from reports.analysis.reading import read_store
from reports.page import Figure


@pytest.fixture
def plots_not_drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plots are composed but not rendered, and writes do not wait for the disk."""
    from reports.figures import canvas

    monkeypatch.setattr(canvas, "save", not_drawn)
    with fake_store.without_sync():
        yield


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[Any]]]:
    """Figure -> its axes, of every plot that a test composes; none is rendered."""
    from reports.figures import canvas

    axes: dict[str, list[Any]] = {}

    def keep(plot: Any, id_: str, title: str, caption: str, alt: str) -> Figure:
        axes[id_] = plot.axes
        return not_drawn(plot, id_, title, caption, alt)

    monkeypatch.setattr(canvas, "save", keep)
    with fake_store.without_sync():
        yield axes


@pytest.fixture(scope="session")
def measured_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which metrics disagree (see `three_metrics`). Not to be changed."""
    root = tmp_path_factory.mktemp("three-metrics")
    three_metrics.fill(root)
    return root


@pytest.fixture(scope="session")
def measured(measured_store: Path) -> Group:
    """Its one table, analysed."""
    return analyse(read_store(Store(measured_store))).groups[0]
