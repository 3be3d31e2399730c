"""A report's page, with the axes of its plots kept instead of their files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from harness.variant import Variants
from reports.analysis.reading import read_store
from reports.figures import canvas
from reports.page import Figure, Page
from reports.pages.sections import make_page


@contextmanager
def drawn_page(root: Path, drawn: dict[str, list[Any]]) -> Iterator[Page]:
    """The page of a store; `drawn` maps each figure to its axes meanwhile."""

    def keep(plot: Any, id_: str, title: str, caption: str, alt: str) -> Figure:
        drawn[id_] = plot.axes
        return Figure(id_, title, caption, alt, "<svg xmlns='http://www.w3.org/2000/svg'/>", b"png")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "save", keep)
        store = Store(root)
        yield make_page(store, read_store(store), Variants(third_party=False))
    drawn.clear()
