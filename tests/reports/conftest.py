"""What tests of the report share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fake_store
import pytest
from filled_stores import not_drawn

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
